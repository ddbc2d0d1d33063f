"""A block Krylov space: ΘV = V·projection, VᵀV = I; a resumed one is the same to the bit."""

import hashlib
import io
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.spectrum.decomposition import DecompositionError
from ntk_air.spectrum.krylov.checkpoint import Checkpoint
from ntk_air.spectrum.krylov.space import (
    KrylovSpace,
    orthonormal,
    random_block,
    require_space_memory,
    rounding,
    space_bytes,
)
from tests.helpers.problems import SPECTRA, spectral_problem
from tests.spectrum.operators import ProductOnly

N, WIDTH = 60, 3


def start_block(seed=0):
    return np.random.default_rng(seed).standard_normal((N, WIDTH))


def started_space(capacity=N):
    space = KrylovSpace(N, capacity)
    first, _, _ = orthonormal(start_block(), tolerance=rounding(N), max_rank=N)
    space.append_pending(first)
    return space


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", SPECTRA)
def test_the_space_fulfils_its_equation(name, precision):
    matrix = spectral_problem(name).matrix.astype(precision)
    # Each vector meets one direction of an eigenspace, and dimensions end.
    distinct, passes = len(spectral_problem(name).groups), 0
    space = started_space()
    while not space.is_invariant:
        space.advance(ProductOnly(matrix))
        passes += 1
        basis = space.basis
        image = basis @ np.vstack([space.projection, space.coupling])
        scale = np.linalg.norm(matrix, 2)
        accuracy = 20 * np.finfo(precision).eps * scale
        np.testing.assert_allclose(matrix @ basis[:, : space.n_done], image, rtol=0, atol=accuracy)
        np.testing.assert_allclose(space.projection, space.projection.T, rtol=0, atol=accuracy)
        np.testing.assert_allclose(basis.T @ basis, np.eye(space.size), rtol=0, atol=1e-14)
        if passes == min(distinct, N // WIDTH) and precision == "float64":
            # Zero in exact arithmetic; rounding grows by scale/coupling a pass.
            assert np.linalg.norm(space.coupling) < 1e-9 * scale
    assert space.size <= N
    assert space.dropped < accuracy


def test_dependent_columns_are_dropped():
    columns = np.array(start_block())
    columns[:, 2] = columns[:, 0] - 2 * columns[:, 1]
    basis, coefficients, left_out = orthonormal(columns, tolerance=1e-13, max_rank=N)
    assert basis.shape == (N, 2)
    np.testing.assert_allclose(basis @ coefficients, columns, rtol=0, atol=1e-14)
    assert left_out < 1e-14


def test_a_random_block_is_orthogonal_and_ends_with_the_dimensions():
    space = started_space()
    space.advance(ProductOnly(spectral_problem("power_law").matrix))
    block = random_block(space, 100, (4, 2))
    assert block.shape == (N, N - space.size)
    both = np.hstack([space.basis, block])
    np.testing.assert_allclose(both.T @ both, np.eye(N), rtol=0, atol=1e-14)
    np.testing.assert_array_equal(block, random_block(space, 100, (4, 2)))


def test_refusals():
    matrix = spectral_problem("power_law").matrix
    space = started_space(capacity=2 * WIDTH)
    space.advance(ProductOnly(matrix))
    with pytest.raises(DecompositionError, match="no room"):
        space.advance(ProductOnly(matrix))
    broken = np.array(matrix)
    broken[7, 3] = np.nan
    with pytest.raises(DecompositionError, match="finite; got NaN or infinity in 1 rows"):
        started_space().advance(ProductOnly(broken))
    with pytest.raises(MemoryBudgetError, match=r"30 vectors of length 60 needs .* fewer products"):
        require_space_memory(N, 30, WIDTH, max_bytes=1000)


def test_a_space_and_its_passes_hold_no_more_than_is_said():
    n, columns, width = 5_000, 24, 8

    class Scaled(ProductOnly):
        def matvec(self, vectors) -> Any:
            return np.linspace(1, 2, n)[:, None] * np.asarray(vectors)

    first = np.linalg.qr(np.random.default_rng(0).standard_normal((n, width)))[0]

    def fill():
        space = KrylovSpace(n, columns)
        space.append_pending(first)
        while space.size < columns:
            space.advance(Scaled(np.zeros((n, 0))))

    fill()  # what is compiled and imported is no part of a space
    tracemalloc.start()
    try:
        fill()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= space_bytes(n, columns, width)
    assert peak > n * (columns + 3 * width) * 8  # and it is a pass that takes the room


# What is kept of a computation, and what becomes of it.


def passes(operator, folder, n_passes, *, belongs_to="digits", stop_after=None, restart_at=6):
    """A computation with a restart, which may be killed after some passes; its last space."""
    checkpoint = Checkpoint(folder, belongs_to=belongs_to)
    records = checkpoint.open({"what": "test"}, start_block())
    space = started_space()
    if records:
        space.restore(records[0])
        for record in records[1:]:
            space.accept(record)
    else:
        checkpoint.begin(space.state())
    while space.size // WIDTH - 1 < n_passes:
        if stop_after == 0:
            raise KeyboardInterrupt
        checkpoint.append(space.advance(operator))
        if space.size // WIDTH - 1 == restart_at:
            checkpoint.begin(space.state())
        stop_after = None if stop_after is None else stop_after - 1
    return space


def assert_same(space, other):
    assert space.state().keys() == other.state().keys()
    for name, array in space.state().items():
        np.testing.assert_array_equal(array, other.state()[name], strict=True)


@pytest.fixture(scope="module")
def operator():
    return ProductOnly(spectral_problem("power_law").matrix.astype(np.float32))


@pytest.fixture(scope="module")
def uninterrupted(operator, tmp_path_factory):
    return passes(operator, tmp_path_factory.mktemp("whole"), 9)


def test_a_killed_run_goes_on_to_the_same_bits(operator, uninterrupted, tmp_path):
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            passes(operator, tmp_path, 9, stop_after=2)
    counted = CountedProducts(operator.matrix)
    assert_same(passes(counted, tmp_path, 9), uninterrupted)
    assert counted.n_products[0] == 9 - 4 * 2  # no pass was done twice
    kept = sorted(path.name for path in tmp_path.glob("*.record"))
    assert kept == [f"00001-{number:05d}.record" for number in range(4)]  # nothing of before 6


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "missing", "foreign", "older"])
@pytest.mark.parametrize("number", [0, 2])
def test_a_damaged_record_is_done_again(operator, *, uninterrupted, tmp_path, damage, number):
    passes(operator, tmp_path, 9)
    path = tmp_path / f"00001-{number:05d}.record"
    content = path.read_bytes()
    flipped = bytes([*content[:-300], content[-300] ^ 1, *content[-299:]])
    if damage == "missing":
        path.unlink()
    elif damage in ("foreign", "older"):
        other = passes(operator, tmp_path / "b", 9, belongs_to="c" if damage == "foreign" else "b")
        assert_same(other, uninterrupted)
        source = tmp_path / "b" / path.name
        path.write_bytes((source if damage == "foreign" else _neighbour(path)).read_bytes())
    else:
        path.write_bytes({"cut": content[:-10], "flipped": flipped, "empty": b""}[damage])
    counted = CountedProducts(operator.matrix)
    assert_same(passes(counted, tmp_path, 9), uninterrupted)
    # The pass is lost with those behind it; a generation's first record loses all.
    assert counted.n_products[0] == (9 if number == 0 else 2)


def _neighbour(path):
    return path.with_name("00001-00001.record")


class CountedProducts(ProductOnly):
    n_products: list[int]

    def __init__(self, matrix):
        super().__init__(matrix)
        self.n_products = [0]

    def matvec(self, vectors):
        self.n_products[0] += 1
        return super().matvec(vectors)


def test_a_folder_of_something_else_is_refused(tmp_path):
    start = start_block()
    Checkpoint(tmp_path, belongs_to="digits").open({"m": 3}, start)
    assert Checkpoint(tmp_path, belongs_to="digits").open({"m": 3}, start) == []
    for belongs_to, computation, block, word in (
        ("mnist", {"m": 3}, start, "belongs_to"),
        ("digits", {"m": 4}, start, "computation"),
        ("digits", {"m": 3}, start + 1, "start"),
    ):
        with pytest.raises(ValueError, match=f"differs in {word}: remove the folder"):
            Checkpoint(tmp_path, belongs_to=belongs_to).open(computation, block)
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(ValueError, match=r"identity\.json is not valid JSON"):
        Checkpoint(tmp_path, belongs_to="digits").open({"m": 3}, start)


def write_as_0_1(folder, start, records):
    """A checkpoint as ntk_air 0.1 wrote it."""
    identity = {
        "belongs_to": "digits",
        "computation": {"what": "test"},
        "start": hashlib.sha256(start.tobytes()).hexdigest(),
    }
    (folder / "identity.json").write_text(json.dumps(identity, indent=1) + "\n")
    last = json.dumps(identity, sort_keys=True).encode() + b"0"
    for number, record in enumerate(records):
        buffer = io.BytesIO()
        np.savez(buffer, **record)
        last = hashlib.sha256(last + buffer.getvalue()).digest()
        (folder / f"00000-{number:05d}.record").write_bytes(last + buffer.getvalue())


def test_a_checkpoint_written_by_0_1_opens(operator, uninterrupted, tmp_path):
    space = started_space()
    first = {name: np.array(array) for name, array in space.state().items()}
    write_as_0_1(tmp_path, start_block(), [first, *(space.advance(operator) for _ in range(4))])
    counted = CountedProducts(operator.matrix)
    assert_same(passes(counted, tmp_path, 9), uninterrupted)
    assert counted.n_products[0] == 5


def test_a_removed_checkpoint_leaves_nothing(operator, tmp_path):
    passes(operator, tmp_path / "run", 2)
    Checkpoint(tmp_path / "run", belongs_to="digits").remove()
    assert list(tmp_path.iterdir()) == []
