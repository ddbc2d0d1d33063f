"""What cannot be decomposed is refused, and what falls short says why."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.spectrum import decomposition, solvers
from ntk_air.spectrum.decomposition import DecompositionError, DecompositionOptions, decompose
from tests.helpers.problems import spectral_problem
from tests.spectrum.operators import ProductOnly

MATRIX = spectral_problem("power_law").matrix


def planted(index, value):
    matrix = MATRIX.copy()
    matrix[index] = value
    return matrix


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_kernels_are_refused(value):
    with pytest.raises(ValueError, match=r"kernel must be finite; .* 1 rows: 3"):
        decompose(planted((3, 5), value))
    with pytest.raises(ValueError, match=r"kernel diagonal must be finite; .* 1 rows: 4"):
        decompose(planted((4, 4), value))


def test_asymmetric_kernels_are_refused_with_their_asymmetry():
    largest = np.abs(MATRIX).max()
    matrix = planted((3, 5), MATRIX[3, 5] + 1e-3 * largest)
    with pytest.raises(ValueError, match=r"kernel must be symmetric: .* is 0\.001, above .* 1e-05"):
        decompose(matrix)
    with pytest.raises(ValueError, match=r"kernel must be symmetric"):
        decompose(ProductOnly(matrix), top_k=5)


def test_asymmetry_within_the_tolerance_is_averaged_and_said():
    matrix = planted((3, 5), MATRIX[3, 5] + 1e-7)
    spectrum = decompose(matrix)
    assert spectrum.symmetry_error == pytest.approx(1e-7 / np.abs(MATRIX).max(), rel=1e-6)
    assert any("asymmetric beyond rounding" in note for note in spectrum.notes)
    averaged = np.linalg.eigvalsh((matrix + matrix.T) / 2)[::-1]
    np.testing.assert_allclose(spectrum.eigenvalues, averaged, atol=1e-13)
    assert decompose(MATRIX).symmetry_error == 0


def test_shapes_and_ranges_are_refused():
    with pytest.raises(ValueError, match="kernel must not be empty"):
        decompose(np.zeros((0, 0)))
    with pytest.raises(ValueError, match=r"top_k must be a whole number, from 1 to 60; got 61"):
        decompose(MATRIX, top_k=61)
    with pytest.raises(ValueError, match=r"top_k must be a whole number, from 1 to 60; got 0"):
        decompose(MATRIX, top_k=0)
    with pytest.raises(ValueError, match=r"method='iterative' computes fewer.*got None"):
        decompose(MATRIX, method="iterative")
    with pytest.raises(ValueError, match=r"symmetry_tolerance must be .* at least 0"):
        decompose(MATRIX, options=DecompositionOptions(symmetry_tolerance=-1.0))


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), -np.eye(4)])
def test_a_kernel_without_positive_eigenvalues_is_refused(matrix):
    with pytest.raises(ValueError, match="kernel must have a positive eigenvalue; the largest is"):
        decompose(matrix)


def test_float64_is_refused_while_jax_runs_in_32_bits():
    with jax.enable_x64(False), pytest.raises(ValueError, match="runs in float64 and JAX is set"):
        decompose(MATRIX.astype(np.float32))


def test_what_cannot_fit_is_refused_before_the_start():
    with pytest.raises(MemoryBudgetError, match=r"60 examples needs 168\.75 KiB .* top_k"):
        decompose(MATRIX, max_memory_bytes=100_000)
    # Products alone need no matrix.
    assert decompose(ProductOnly(MATRIX), top_k=3, max_memory_bytes=100_000).n_mode == 3
    with pytest.raises(MemoryBudgetError, match="ask for fewer modes"):
        decompose(ProductOnly(MATRIX), top_k=40, max_memory_bytes=100_000)


def test_past_the_size_limit_another_solver_takes_over():
    usual = decompose(MATRIX, options=DecompositionOptions(eigh_size_limit=60))
    assert (usual.solver, usual.notes) == ("jax_eigh", ())
    fallback = decompose(MATRIX, options=DecompositionOptions(eigh_size_limit=59))
    assert fallback.solver == "lapack_syevr"
    assert "not trusted at n = 60 (limit 59)" in fallback.notes[0]
    np.testing.assert_allclose(fallback.eigenvalues, usual.eigenvalues, atol=1e-13)


def test_the_size_limit_of_the_cpu_is_where_lapack_overflows():
    limit = solvers.eigh_size_limit(jnp.asarray(MATRIX, device=jax.devices("cpu")[0]))

    def workspace(n):
        return 1 + 6 * n + 2 * n**2

    assert workspace(limit) <= 2**31 - 1 < workspace(limit + 1)


@pytest.mark.parametrize("defect", [np.nan, 1e-3])
def test_a_solver_that_returns_nonsense_is_caught(monkeypatch, defect):
    def broken(matrix):
        values, vectors = jnp.linalg.eigh(matrix)
        return values[::-1], vectors[:, ::-1] + defect

    monkeypatch.setattr(decomposition.solvers, "jax_eigh", broken)
    with pytest.raises(DecompositionError, match="jax_eigh at n = 60 in float64 returned no dec"):
        decompose(MATRIX)


def test_small_losses_are_noted(monkeypatch):
    def worn(matrix):
        values, vectors = jnp.linalg.eigh(matrix)
        return values[::-1], vectors[:, ::-1] * (1 + 1e-10)

    monkeypatch.setattr(decomposition.solvers, "jax_eigh", worn)
    spectrum = decompose(MATRIX)
    assert spectrum.orthogonality_error == pytest.approx(2e-10, rel=1e-3)
    assert "above rounding" in spectrum.notes[0]
