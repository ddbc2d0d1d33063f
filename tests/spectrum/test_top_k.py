"""The top k modes, dense and from products alone, against the full decomposition."""

import numpy as np
import pytest
import scipy.sparse.linalg

from ntk_air.spectrum.decomposition import DecompositionError, DecompositionOptions, decompose
from tests.helpers.problems import SPECTRA, spectral_problem
from tests.spectrum.operators import ProductOnly

KERNELS = {"lapack_syevr": lambda matrix: matrix, "arpack_lanczos": ProductOnly}


# ARPACK ends as near to rounding as its products let it.
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("top_k", [1, 12, 30])
@pytest.mark.parametrize("solver", KERNELS)
@pytest.mark.parametrize("name", SPECTRA)
def test_top_modes_equal_the_full_ones(name, solver, top_k):
    problem = spectral_problem(name)
    full, top = decompose(problem.matrix), decompose(KERNELS[solver](problem.matrix), top_k=top_k)
    assert top.solver == solver
    assert not top.complete
    accuracy = 60 * np.finfo(float).eps
    assert np.asarray(top.residuals).max() < accuracy
    assert top.orthogonality_error < accuracy
    assert top.trace == pytest.approx(full.trace)
    np.testing.assert_allclose(
        top.eigenvalues, full.eigenvalues[:top_k], rtol=0, atol=accuracy * full.lambda_max
    )
    vectors = np.asarray(top.eigenvectors)
    for group in problem.groups:
        if group[-1] >= top_k or problem.eigenvalues[group[0]] == 0:
            continue  # a group cut by k, or the kernel's null space, is known only in part
        basis = problem.basis[:, group]
        np.testing.assert_allclose(
            vectors[:, group] @ vectors[:, group].T, basis @ basis.T, rtol=0, atol=1e-9
        )


@pytest.mark.parametrize(
    ("matrix", "top_k"),
    [
        (np.diag(np.repeat(3.0 ** -np.arange(6.0), 30)), 10),
        (np.kron(spectral_problem("power_law").matrix[:10, :10], np.eye(20)), 25),
    ],
    ids=["diagonal", "kernel_of_twenty_outputs"],
)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_equal_eigenvalues_are_not_missed(matrix, top_k, precision):
    # One Krylov vector sees one direction of each eigenspace: ARPACK alone is wrong by 2/3 of λ₁.
    wanted = np.linalg.eigvalsh(matrix)[::-1][:top_k]
    found = decompose(ProductOnly(matrix), top_k=top_k, precision=precision)
    accuracy = len(matrix) * np.finfo(precision).eps * wanted[0]
    np.testing.assert_allclose(found.eigenvalues, wanted, rtol=0, atol=accuracy)


def test_a_search_for_missed_modes_asks_for_no_more_than_were_asked_for(monkeypatch):
    eigsh, asked = scipy.sparse.linalg.eigsh, []

    def counting(matrix, *, k, **options):
        asked.append(k)
        return eigsh(matrix, k=k, **options)

    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", counting)
    values = np.repeat(3.0 ** -np.arange(6.0), 30)
    found = decompose(ProductOnly(np.diag(values)), top_k=10)
    np.testing.assert_allclose(found.eigenvalues, 1, rtol=1e-12)
    assert len(asked) > 2  # modes were missed, and found
    assert max(asked) == 10
    assert found.trace_share == pytest.approx(10 / values.sum(), rel=1e-12)


def test_the_same_seed_gives_the_same_modes():
    # Signs come from the start vector. Bits may differ: threads and alignment reorder sums.
    kernel = ProductOnly(spectral_problem("power_law").matrix)
    first, again = (
        decompose(kernel, top_k=9, options=DecompositionOptions(seed=3)) for _ in range(2)
    )
    np.testing.assert_allclose(first.eigenvectors, again.eigenvectors, rtol=0, atol=1e-10)
    other = decompose(kernel, top_k=9, options=DecompositionOptions(seed=4))
    assert np.abs(np.asarray(first.eigenvectors - other.eigenvectors)).max() > 0.1


def test_a_float32_kernel_in_a_float64_solver():
    problem = spectral_problem("power_law")
    top = decompose(ProductOnly(problem.matrix.astype(np.float32)), top_k=8)
    assert top.epsilon == np.finfo("float32").eps
    accuracy = 60 * top.epsilon * top.lambda_max
    np.testing.assert_allclose(top.eigenvalues, problem.eigenvalues[:8], rtol=0, atol=accuracy)


def test_too_few_iterations_are_said():
    kernel = ProductOnly(np.diag(np.linspace(0.9, 1, 300)))
    with pytest.raises(DecompositionError, match=r"Lanczos found \d+ of the 5 .* max_iterations"):
        decompose(kernel, top_k=5, options=DecompositionOptions(max_iterations=1))


def test_method_can_be_named():
    problem = spectral_problem("power_law")
    assert decompose(problem.matrix, top_k=3, method="iterative").solver == "arpack_lanczos"
    assert decompose(problem.matrix, top_k=60).complete
