"""The top modes by blocks: against spectra that are known, over restarts and interruptions."""

import hashlib
import json

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from ntk_air._base.memory import MemoryBudgetError
from ntk_air._base.version import computed_with
from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.spectrum.krylov import mode_search
from ntk_air.spectrum.krylov import top_modes as module
from ntk_air.spectrum.krylov.checkpoint import Checkpoint
from ntk_air.spectrum.krylov.space import KrylovSpace, random_block
from ntk_air.spectrum.krylov.top_modes import TopModesOptions, top_modes
from ntk_air.spectrum.solvers import DecompositionError
from tests.helpers.problems import SPECTRA, spectral_problem, with_eigenvalues

SLOW = with_eigenvalues(np.arange(1.0, 301.0) ** -0.7)
"""Eigenvalues that a small space finds after several restarts alone."""

SMALL_SPACE = module._bytes(300, 8 + 12 * 4, 4)


class HostKernel(KernelOperator):
    """A matrix known by products that NumPy computes; counts them."""

    matrix: np.ndarray
    passes: list

    def __init__(self, matrix):
        self.matrix, self.passes = matrix, []

    @property
    def shape(self):
        return self.matrix.shape

    @property
    def dtype(self):
        return self.matrix.dtype

    def matvec(self, vectors):
        assert vectors.dtype == self.dtype
        self.passes.append(vectors.shape[1])
        return jnp.asarray(self.matrix @ vectors)

    def to_dense(self):
        raise AssertionError("the whole matrix was asked for")

    def diagonal(self):
        raise AssertionError("the diagonal was asked for")


@pytest.mark.parametrize("top_k", [1, 12, 30])
@pytest.mark.parametrize("block", [3, 16])
@pytest.mark.parametrize("name", SPECTRA)
def test_modes_of_known_spectra(name, block, top_k):
    problem = spectral_problem(name)
    kernel = HostKernel(problem.matrix)
    found = top_modes(kernel, top_k, options=TopModesOptions(block=block))
    largest = problem.eigenvalues[0]
    errors = np.abs(found.eigenvalues - problem.eigenvalues[:top_k])
    assert errors.max() < 1e-8 * largest
    # What it says of itself: residuals, and that eigenvalues are no further off than they are.
    vectors = found.eigenvectors
    defects = problem.matrix @ vectors - vectors * found.eigenvalues
    np.testing.assert_allclose(
        found.residuals, np.linalg.norm(defects, axis=0) / found.eigenvalues[0], atol=1e-14
    )
    assert found.residuals.max() <= found.accuracy
    assert (errors <= found.residuals * largest + 1e-14).all()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(top_k), rtol=0, atol=1e-13)
    assert found.n_products == len(kernel.passes)
    assert found.notes == ()
    # Equal eigenvalues cut by k leave the eigenspace open: the sine must say so.
    if problem.eigenvalues[top_k - 1] - problem.eigenvalues[top_k] < 1e-3 * largest * top_k**-2:
        assert found.subspace_sine == 1.0
    else:
        angles = scipy.linalg.subspace_angles(vectors, problem.basis[:, :top_k])
        assert np.sin(angles.max()) <= found.subspace_sine + 1e-13
        assert found.subspace_sine < 1e-6


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_more_equal_eigenvalues_than_a_block_has_vectors(precision):
    matrix = np.kron(spectral_problem("power_law").matrix[:8, :8], np.eye(12)).astype(precision)
    wanted = np.linalg.eigvalsh(matrix.astype(float))[::-1][:15]
    found = top_modes(HostKernel(matrix), 15, options=TopModesOptions(block=4))
    accuracy = 200 * np.finfo(precision).eps * wanted[0]
    np.testing.assert_allclose(found.eigenvalues, wanted, rtol=0, atol=accuracy)


def test_all_modes():
    problem = spectral_problem("power_law")
    found = top_modes(HostKernel(problem.matrix), 60, options=TopModesOptions(block=7))
    np.testing.assert_allclose(found.eigenvalues, problem.eigenvalues, rtol=0, atol=1e-13)
    assert np.isnan(found.next_eigenvalue)
    assert found.subspace_sine == 0.0


def test_a_block_takes_fewer_passes_than_a_vector():
    passes = {}
    for block in (1, 8):
        kernel = HostKernel(SLOW.matrix)
        top_modes(kernel, 8, options=TopModesOptions(block=block, accuracy=1e-8))
        passes[block] = len(kernel.passes)
    assert passes[8] < passes[1] / 2


def test_float32_products_are_said_to_be_too_coarse():
    found = top_modes(
        HostKernel(SLOW.matrix.astype(np.float32)),
        5,
        options=TopModesOptions(block=8, accuracy=1e-10),
    )
    assert 1e-10 < found.residuals.max() < 1e-6
    assert len(found.notes) == 1
    assert "not the accuracy asked for, 1e-10" in found.notes[0]


def test_a_small_space_restarts_and_finds_the_same(monkeypatch):
    restarts = []
    monkeypatch.setattr(
        mode_search.ModeSearch,
        "restart",
        lambda search, do=mode_search.ModeSearch.restart: (
            restarts.append(search.space.size),
            do(search),
        ),
    )
    found = top_modes(
        HostKernel(SLOW.matrix),
        8,
        max_memory_bytes=SMALL_SPACE,
        options=TopModesOptions(block=4, accuracy=1e-9),
    )
    assert len(restarts) >= 2
    assert max(restarts) <= 8 + 12 * 4
    np.testing.assert_allclose(found.eigenvalues, SLOW.eigenvalues[:8], rtol=0, atol=1e-9)
    angles = scipy.linalg.subspace_angles(found.eigenvectors, SLOW.basis[:, :8])
    assert np.sin(angles.max()) <= found.subspace_sine < 1e-6


class InterruptedSearchError(Exception):
    """Stands for a kill."""


def arrays_of(found):
    return [found.eigenvalues, found.eigenvectors, found.residuals, found.next_eigenvalue]


def test_an_interrupted_search_ends_in_the_same_bits(tmp_path):
    def search(folder, stop_after=None):
        passes = 0

        def stop(stage, done, total):
            nonlocal passes
            passes += stage == module._PASSES and done < total
            if passes == stop_after:
                raise InterruptedSearchError

        return top_modes(
            HostKernel(SLOW.matrix),
            8,
            max_memory_bytes=SMALL_SPACE,
            checkpoint=Checkpoint(folder, belongs_to="slow"),
            progress=stop,
            options=TopModesOptions(block=4, accuracy=1e-7),
        )

    wanted = search(tmp_path / "whole")
    interruptions = 0
    for _ in range(100):
        try:
            # One pass at a time, so that every kind of move is taken up again.
            found = search(tmp_path / "pieces", stop_after=1)
            break
        except InterruptedSearchError:
            interruptions += 1
    assert interruptions > 12
    assert found.n_products == wanted.n_products
    for ours, theirs in zip(arrays_of(found), arrays_of(wanted), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_folder_is_known_by_what_0_1_wrote(tmp_path):
    checkpoint = Checkpoint(tmp_path, belongs_to="slow")
    options = TopModesOptions(block=4, accuracy=1e-7)
    top_modes(HostKernel(SLOW.matrix), 8, checkpoint=checkpoint, options=options)
    identity = json.loads((tmp_path / "identity.json").read_text())
    assert identity.pop("start") == hashlib.sha256(first_block().data).hexdigest()
    assert identity.pop("made_with") == computed_with()  # which 0.1 did not say
    assert identity == {
        "belongs_to": "slow",
        "computation": {
            "what": "top_modes",
            "top_k": 8,
            "accuracy": 1e-7,
            "capacity": 144,
            "shape": [300, 300],
            "dtype": "float64",
        },
    }


def first_block():
    """The block that a search of four vectors begins with, in the order of its rows."""
    block = random_block(KrylovSpace(300, 144), 4, (0, 0))
    return np.ascontiguousarray(block)


def test_a_search_that_gave_up_goes_on_with_more_products(tmp_path):
    def search(most):
        kernel = HostKernel(SLOW.matrix)
        checkpoint = Checkpoint(tmp_path, belongs_to="slow")
        found = top_modes(
            kernel, 8, checkpoint=checkpoint, options=TopModesOptions(block=4, max_products=most)
        )
        return kernel, found

    with pytest.raises(DecompositionError, match=r"\d of 8 modes converged in 5 products: raise"):
        search(5)
    kernel, found = search(500)
    assert len(kernel.passes) == found.n_products - 5
    with pytest.raises(ValueError, match="differs in belongs_to"):
        checkpoint = Checkpoint(tmp_path, belongs_to="another")
        top_modes(kernel, 8, checkpoint=checkpoint, options=TopModesOptions(block=4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, r"top_k must be a whole number, from 1 to 300; got 0"),
        ({"top_k": 301}, r"top_k must be a whole number, from 1 to 300; got 301"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    kernel = HostKernel(SLOW.matrix)
    with pytest.raises(ValueError, match=message):
        top_modes(kernel, **options)
    assert kernel.passes == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": 0}, "block must be a whole number, at least 1; got 0"),
        ({"accuracy": 0.0}, "accuracy must be"),
        ({"accuracy": 1.5}, "accuracy must lie in"),
        ({"max_products": 0}, "max_products must be a whole number, at least 1; got 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TopModesOptions(**options)


def test_what_does_not_fit_is_refused_before_it_starts():
    kernel = HostKernel(SLOW.matrix)
    with pytest.raises(MemoryBudgetError, match=r"a Krylov space of \d+ vectors .* top_k"):
        top_modes(kernel, 8, max_memory_bytes=50_000)
    assert kernel.passes == []


def test_products_that_are_not_finite_are_refused():
    with pytest.raises(DecompositionError, match="products must be finite"):
        top_modes(HostKernel(np.full((30, 30), np.nan)), 3)


def test_a_kernel_without_a_positive_eigenvalue_is_refused():
    with pytest.raises(ValueError, match="kernel must have a positive eigenvalue"):
        top_modes(HostKernel(np.zeros((30, 30))), 3)
