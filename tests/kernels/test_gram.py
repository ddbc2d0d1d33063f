"""Gram assembly: every tiling gives the untiled matrix, under the bound, or refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.kernels._tiling import ASSUMED_TEMPORARIES, HOST_TILES, TILES_IN_FLIGHT, assemble
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.infinite.dense import DenseNTK
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers
from tests.helpers.peak_memory import peak_bytes
from tests.helpers.type_checks import without_type_checks


def inputs(n, seed=0, n_features=4, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((n, n_features)).astype(dtype)


@jax.jit
def gaussian(x1, x2=None):
    x2 = x1 if x2 is None else x2
    return jnp.exp(-0.5 * jnp.sum((x1[:, None] - x2[None]) ** 2, axis=-1))


def dense_gaussian(x1, x2):
    """The same kernel in NumPy, entry by entry."""
    return np.array([[np.exp(-0.5 * np.sum((a - b) ** 2)) for b in x2] for a in x1])


def budget(n1, n2, tile, itemsize=8):
    """Bytes that just allow tiles of this size, for a kernel that states no need of its own."""
    return (n1 * n2 + (TILES_IN_FLIGHT * ASSUMED_TEMPORARIES + HOST_TILES) * tile**2) * itemsize


class Recorded:
    """A kernel that notes the shapes it is called with."""

    def __init__(self, kernel=gaussian):
        self.kernel, self.calls = kernel, []

    def __call__(self, x1, x2=None):
        self.calls.append((len(x1), None if x2 is None else len(x2)))
        return self.kernel(x1, x2)


@pytest.mark.parametrize("n", [1, 31, 64, 65, 127, 150])
@pytest.mark.parametrize("tile", [32, 40, 64])
def test_tiles_make_the_untiled_symmetric_matrix(n, tile):
    x = inputs(n)
    matrix = gram_matrix(gaussian, x, max_memory_bytes=budget(n, n, min(n, tile)))
    assert isinstance(matrix, np.ndarray)
    np.testing.assert_allclose(matrix, dense_gaussian(x, x), rtol=1e-12, atol=0)
    np.testing.assert_array_equal(matrix, matrix.T)


@pytest.mark.parametrize(("n1", "n2"), [(70, 33), (33, 70), (1, 50), (64, 64)])
def test_tiles_make_the_untiled_cross_matrix(n1, n2):
    x1, x2 = inputs(n1), inputs(n2, seed=1)
    matrix = gram_matrix(gaussian, x1, x2, max_memory_bytes=budget(n1, n2, 32))
    np.testing.assert_allclose(matrix, dense_gaussian(x1, x2), rtol=1e-12, atol=0)


def test_the_same_inputs_as_x2_give_the_same_matrix():
    x = inputs(90)
    limit = budget(90, 90, 32)
    np.testing.assert_allclose(
        gram_matrix(gaussian, x, max_memory_bytes=limit),
        gram_matrix(gaussian, x, x, max_memory_bytes=limit),
        rtol=1e-12,
    )


def test_a_jax_array_is_as_good_as_a_numpy_array():
    x = inputs(70)
    np.testing.assert_array_equal(gram_matrix(gaussian, jnp.asarray(x)), gram_matrix(gaussian, x))


def test_the_symmetric_half_is_computed_once_in_tiles_of_one_shape():
    kernel = Recorded()
    gram_matrix(kernel, inputs(150), max_memory_bytes=budget(150, 150, 38))
    assert sorted(kernel.calls, key=str) == [(38, 38)] * 6 + [(38, None)] * 4


def test_the_tile_grows_with_the_budget():
    rows = []
    for factor in (1, 4, 16):
        kernel = Recorded()
        gram_matrix(kernel, inputs(150), max_memory_bytes=factor * budget(150, 150, 32))
        rows.append(kernel.calls[0][0])
    assert rows[0] < rows[1] < rows[2] == 150


def test_infinite_width_kernels_assemble():
    architecture, x = DenseNTK(bias_variance=0.1), inputs(80)
    matrix = gram_matrix(architecture, x, max_memory_bytes=400_000)
    np.testing.assert_allclose(matrix, architecture(x), rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(matrix), architecture.diagonal(x), rtol=1e-13)


def test_permuting_inputs_permutes_the_matrix():
    x, order = inputs(80), np.random.default_rng(3).permutation(80)
    limit = budget(80, 80, 32)
    matrix = gram_matrix(gaussian, x, max_memory_bytes=limit)
    permuted = gram_matrix(gaussian, x[order], max_memory_bytes=limit)
    np.testing.assert_allclose(permuted, matrix[np.ix_(order, order)], rtol=1e-12)


def test_progress_is_told_after_each_tile():
    told = []
    gram_matrix(
        gaussian,
        inputs(96),
        max_memory_bytes=budget(96, 96, 32),
        progress=lambda *args: told.append(args),
    )
    assert told == [("Gram matrix", done, 6) for done in range(1, 7)]


def test_more_tiles_compile_nothing_more():
    compiled = []
    for n in (64, 96, 160):  # 2, 3 and 5 tiles of 32 rows in each direction
        kernel = jax.jit(lambda x1, x2=None: gaussian(x1, x2))
        with count_compilations() as events:
            gram_matrix(kernel, inputs(n), max_memory_bytes=budget(n, n, 32))
        compiled.append(len(events))
    assert compiled == [2, 2, 2]


def test_the_second_call_compiles_nothing():
    kernel = jax.jit(lambda x1, x2=None: gaussian(x1, x2))
    limit = budget(100, 100, 32)
    with count_compilations() as first:
        gram_matrix(kernel, inputs(100), max_memory_bytes=limit)
    with count_compilations() as second:
        gram_matrix(kernel, inputs(100, seed=1), max_memory_bytes=limit)
    assert first
    assert not second


def test_a_kernel_lowers_tile_by_tile_for_accelerators():
    x = jnp.asarray(inputs(8))
    assert_lowers(DenseNTK(), x, x)


# --- memory -----------------------------------------------------------------------------------


def test_a_matrix_that_cannot_fit_is_refused_before_the_kernel_runs():
    kernel = Recorded()
    with pytest.raises(
        MemoryBudgetError,
        match=r"Gram matrix of 200 × 200 inputs needs .* budget is 390\.62 KiB: allow "
        r"max_memory_bytes=500224, or pass at most \d+ inputs; float32 inputs need half as much",
    ):
        gram_matrix(kernel, inputs(200), max_memory_bytes=400_000)
    assert not kernel.calls


def test_the_ways_out_of_a_refusal_work():
    x = inputs(200)
    with pytest.raises(MemoryBudgetError) as refusal:
        gram_matrix(gaussian, x, max_memory_bytes=400_000)
    text = str(refusal.value)
    enough = int(text.split("max_memory_bytes=")[1].split(",")[0])
    n_fitting = int(text.split("at most ")[1].split(" ")[0])
    gram_matrix(gaussian, x, max_memory_bytes=enough)
    gram_matrix(gaussian, x[:n_fitting], max_memory_bytes=400_000)
    gram_matrix(gaussian, x.astype(np.float32), max_memory_bytes=400_000)
    with pytest.raises(MemoryBudgetError):
        gram_matrix(gaussian, x, max_memory_bytes=enough - 1)
    with pytest.raises(MemoryBudgetError):
        gram_matrix(gaussian, x[: n_fitting + 1], max_memory_bytes=400_000)


def test_a_refused_cross_matrix_says_how_many_rows_fit():
    with pytest.raises(MemoryBudgetError, match=r"at most (\d+) inputs in x1 at a time"):
        gram_matrix(gaussian, inputs(400), inputs(100), max_memory_bytes=400_000)


def test_a_budget_below_one_tile_says_so():
    with pytest.raises(MemoryBudgetError, match=r"one tile alone needs 176\.00 KiB"):
        gram_matrix(gaussian, inputs(200), max_memory_bytes=1000)


def test_a_kernel_may_state_its_own_need():
    class Hungry(Recorded):
        def tile_bytes(self, x1, x2):
            assert x1.dtype == x2.dtype == np.float64
            return 1000 * x1.shape[0] * x2.shape[0]

    frugal, hungry, limit = Recorded(), Hungry(), budget(150, 150, 150)
    gram_matrix(frugal, inputs(150), max_memory_bytes=limit)
    gram_matrix(hungry, inputs(150), max_memory_bytes=limit)
    assert frugal.calls == [(150, None)]
    assert hungry.calls[0][0] < 60
    with pytest.raises(MemoryBudgetError, match="needs"):
        gram_matrix(hungry, inputs(150), max_memory_bytes=150 * 150 * 8 + 2_000_000)


SETUP = """
import numpy as np
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.infinite.dense import DenseNTK
kernel = DenseNTK()
x = np.random.default_rng(0).standard_normal((1500, 10))
"""


@pytest.mark.slow
def test_measured_peak_memory_stays_under_the_bound():
    result = 1500**2 * 8
    bound = result + 2**22
    tiled, whole = peak_bytes(
        SETUP, f"gram_matrix(kernel, x, max_memory_bytes={bound})", "np.asarray(kernel(x))"
    )
    assert result <= tiled <= bound
    # The same bound is far from the need of one single tile.
    assert whole > 1.5 * bound


# --- refusals ---------------------------------------------------------------------------------


def spoiled(rows):
    x = inputs(10)
    x[rows, 1] = np.nan
    return x


@pytest.mark.parametrize(
    ("x1", "x2", "message"),
    [
        (spoiled([3, 7]), None, r"x1 must be finite; got NaN or infinity in 2 rows: 3, 7"),
        (inputs(4), spoiled([9]), r"x2 must be finite; got NaN or infinity in 1 rows: 9"),
        (inputs(0), None, r"x1 must not be empty; got shape \(0, 4\)"),
        (inputs(3), inputs(0), r"x2 must not be empty; got shape \(0, 4\)"),
        (inputs(3), inputs(3, n_features=5), r"x1 and x2 .* same features; got shapes \(4,\)"),
        (inputs(3), inputs(3, dtype=np.float32), r"x1 and x2 .* same dtype; got float64 and"),
        (np.zeros(3), None, r"x1 must have shape \(n, \*features\)"),
    ],
)
def test_bad_inputs_are_refused_before_the_kernel_runs(x1, x2, message):
    kernel = Recorded()
    with pytest.raises(ValueError, match=message):
        gram_matrix(kernel, x1, x2)
    assert not kernel.calls


@pytest.mark.parametrize("position", [0, 1])
def test_integers_are_refused(position):
    pair = [inputs(3), inputs(3)]
    pair[position] = np.ones((3, 4), np.uint8)
    name = f"x{position + 1}"
    refusal = pytest.raises(ValueError, match=rf"{name} must be a floating-point.*got dtype uint8")
    with refusal, without_type_checks():
        gram_matrix(gaussian, *pair)


def test_a_bad_row_is_found_wherever_its_tile_is():
    kernel, x = Recorded(), inputs(200)
    x[170, 0] = np.inf
    with pytest.raises(ValueError, match="in 1 rows: 170"):
        gram_matrix(kernel, x, max_memory_bytes=budget(200, 200, 32))
    assert not kernel.calls


@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_must_be_positive(bound):
    with pytest.raises(ValueError, match="max_memory_bytes must be a finite number above 0"):
        gram_matrix(gaussian, inputs(3), max_memory_bytes=bound)


def asymmetric(x1, x2=None):
    return gaussian(x1, x2) + (0.01 * x1[:, :1] if x2 is None else 0.0)


def undefined(x1, x2=None):
    return gaussian(x1, x2).at[2, 1].set(jnp.nan)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (asymmetric, r"kernel must be symmetric.*in rows 0 to 9"),
        (undefined, r"finite values; got NaN or infinity first between inputs 2 and 1"),
        (lambda x1, x2=None: gaussian(x1, x2)[0], r"return shape \(10, 10\).*got \(10,\)"),
        (
            lambda x1, x2=None: gaussian(x1, x2).astype(jnp.float32),
            r"precision of its inputs, float64; got float32",
        ),
    ],
)
def test_a_kernel_of_wrong_values_is_refused(kernel, message):
    with pytest.raises(ValueError, match=message):
        gram_matrix(kernel, inputs(10))


def test_values_that_are_not_finite_are_found_by_their_inputs():
    def kernel(x1, x2=None):
        matrix = np.array(gaussian(x1, x2))
        matrix[np.asarray(x1)[:, 0] == 5.0] = np.inf
        return matrix

    x = inputs(100)
    x[77, 0] = 5.0
    with pytest.raises(ValueError, match="first between inputs 77 and "):
        gram_matrix(kernel, x, inputs(100, seed=1), max_memory_bytes=budget(100, 100, 32))


def test_rounding_asymmetry_is_averaged_away():
    noise = 1e-14 * np.random.default_rng(0).standard_normal((40, 40))
    matrix = assemble(
        lambda rows, columns: np.eye(40) + noise,
        (40, 40),
        tile=40,
        symmetric=True,
        dtype=np.dtype(float),
        progress=lambda done, total: None,
    )
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(matrix, np.eye(40) + (noise + noise.T) / 2, atol=1e-16)
