"""A decomposition satisfies its defining equations, on kernels of given eigenvalues."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.operators.operator import DenseKernel
from ntk_air.spectrum import result, solvers
from ntk_air.spectrum.decomposition import DecompositionOptions, decompose
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers
from tests.helpers.problems import SPECTRA, random_orthogonal, spectral_problem, with_eigenvalues

# Every way to all modes: the usual solver, and the one past its size limit.
FULL = [DecompositionOptions(), DecompositionOptions(eigh_size_limit=10)]


def rounding(problem, precision="float64"):
    """n·ε·λ₁, the accuracy promised of each eigenvalue."""
    return len(problem.eigenvalues) * np.finfo(precision).eps * problem.eigenvalues[0]


def projectors(eigenvectors, groups):
    """VVᵀ of each group of equal eigenvalues: blind to signs and to rotations inside a group."""
    return [eigenvectors[:, group] @ eigenvectors[:, group].T for group in groups]


def gap(problem, group):
    """The distance from a group's eigenvalue to the nearest other one."""
    others = np.delete(problem.eigenvalues, group)
    return np.abs(others - problem.eigenvalues[group[0]]).min()


@pytest.mark.parametrize("options", FULL)
@pytest.mark.parametrize("name", SPECTRA)
def test_defining_equations(name, options):
    problem = spectral_problem(name)
    spectrum = decompose(problem.matrix, options=options)
    values, vectors = np.asarray(spectrum.eigenvalues), np.asarray(spectrum.eigenvectors)
    np.testing.assert_allclose(
        problem.matrix @ vectors, vectors * values, rtol=0, atol=rounding(problem)
    )
    # syevr, the fallback, is known to be less orthogonal inside clusters of eigenvalues.
    loss = 1e-10 if options.eigh_size_limit else 60 * np.finfo(float).eps
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(60), rtol=0, atol=loss)
    assert spectrum.trace == pytest.approx(values.sum(), rel=1e-13)
    assert (np.diff(values) <= 0).all()
    assert spectrum.complete
    assert spectrum.n_mode == spectrum.n_train == 60


@pytest.mark.parametrize("options", FULL)
@pytest.mark.parametrize("name", SPECTRA)
def test_given_eigenvalues_and_eigenspaces_are_recovered(name, options):
    problem = spectral_problem(name)
    spectrum = decompose(DenseKernel(problem.matrix), options=options)
    np.testing.assert_allclose(
        spectrum.eigenvalues, problem.eigenvalues, rtol=0, atol=rounding(problem)
    )
    found = projectors(np.asarray(spectrum.eigenvectors), problem.groups)
    for group, got, wanted in zip(
        problem.groups, found, projectors(problem.basis, problem.groups), strict=True
    ):
        # Davis, Kahan: an eigenspace turns by the perturbation over its gap.
        turned = 2 * rounding(problem) / gap(problem, group)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=turned)


@pytest.mark.parametrize("options", FULL)
@pytest.mark.parametrize("name", SPECTRA)
def test_single_precision(name, options):
    problem = spectral_problem(name)
    spectrum = decompose(problem.matrix, precision="float32", options=options)
    assert spectrum.eigenvectors.dtype == jnp.float32
    assert spectrum.precision == "float32"
    np.testing.assert_allclose(
        spectrum.eigenvalues, problem.eigenvalues, rtol=0, atol=rounding(problem, "float32")
    )
    assert 1e-9 < spectrum.residuals.max() < 60 * np.finfo("float32").eps


def test_residuals_are_measured_on_the_kernel():
    problem = spectral_problem("power_law")
    spectrum = decompose(problem.matrix)
    vectors, values = np.asarray(spectrum.eigenvectors), np.asarray(spectrum.eigenvalues)
    defect = np.linalg.norm(problem.matrix @ vectors - vectors * values, axis=0)
    # Sums in another order: equal to the rounding of a residual that is rounding itself.
    np.testing.assert_allclose(spectrum.residuals * values[0], defect, rtol=0, atol=4e-15)
    assert 0 < spectrum.residuals.max() < 60 * np.finfo(float).eps


@pytest.mark.parametrize("name", SPECTRA)
def test_permutation_and_rotation_change_no_eigenvalue(name):
    problem = spectral_problem(name)
    order = np.random.default_rng(1).permutation(60)
    turn = random_orthogonal(60, seed=2)
    turned = turn @ problem.matrix @ turn.T
    values = decompose(problem.matrix).eigenvalues
    for matrix in (problem.matrix[np.ix_(order, order)], (turned + turned.T) / 2):
        again = decompose(matrix).eigenvalues
        np.testing.assert_allclose(again, values, rtol=0, atol=2 * rounding(problem))


def test_numbers_of_a_spectrum():
    problem = with_eigenvalues(np.array([4.0, 2.0, 1.0, 1.0, 0.0, 0.0]))
    spectrum = decompose(problem.matrix)
    shares = np.array([0.5, 0.25, 0.125, 0.125])
    assert spectrum.effective_rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert spectrum.condition_number == pytest.approx(4)
    assert spectrum.n_below_precision == 2
    assert spectrum.lambda_max == pytest.approx(4)
    assert abs(spectrum.lambda_min) < 1e-14
    assert spectrum.largest_stable_learning_rate == pytest.approx(0.5)
    assert spectrum.default_learning_rate == pytest.approx(0.25)
    assert spectrum.trace_share == pytest.approx(1)
    assert spectrum.notes == ()


def test_negative_eigenvalues_are_counted_and_kept():
    spectrum = decompose(with_eigenvalues(np.array([2.0, 1.0, -0.25, -0.5])).matrix)
    assert spectrum.n_negative == 2
    assert spectrum.n_below_precision == 2
    np.testing.assert_allclose(spectrum.eigenvalues, [2, 1, -0.25, -0.5], atol=1e-14)
    assert any("not positive semi-definite" in note for note in spectrum.notes)


def test_a_float32_kernel_keeps_its_own_floor_in_a_float64_solver():
    problem = with_eigenvalues(np.geomspace(1, 1e-6, 20))
    single = decompose(problem.matrix.astype(np.float32))
    double = decompose(problem.matrix)
    floor = 20 * np.finfo("float32").eps
    assert single.precision_floor == pytest.approx(floor, rel=1e-5)
    assert max(single.zero_floor, double.zero_floor) <= 20 * np.finfo(float).eps * (1 + 1e-6)
    assert single.n_below_precision == np.sum(problem.eigenvalues <= floor) > 0
    assert double.n_below_precision == 0


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("rank", [1, 25, 300])
def test_the_zero_floor_parts_zero_modes_from_small_ones(precision, rank):
    problem = with_eigenvalues(np.append(np.geomspace(1, 2e-5, rank), np.zeros(400 - rank)))
    spectrum = decompose(problem.matrix, precision=precision)
    zero = np.asarray(spectrum.eigenvalues) <= spectrum.zero_floor
    np.testing.assert_array_equal(zero, problem.eigenvalues == 0)
    assert np.abs(spectrum.eigenvalues[zero]).max() > 0  # rounding, not exact zeros


def test_projection_on_the_eigenvectors():
    problem = spectral_problem("power_law")
    spectrum = decompose(problem.matrix)
    labels = np.random.default_rng(0).standard_normal((60, 3))
    coefficients = spectrum.project(labels)
    assert coefficients.shape == (60, 3)
    np.testing.assert_allclose(spectrum.eigenvectors @ coefficients, labels, atol=1e-13)
    with pytest.raises(ValueError, match=r"labels must have one row.*60.*got shape \(59, 3\)"):
        spectrum.project(labels[:59])


def test_lowers_for_accelerators():
    matrix = jnp.asarray(spectral_problem("step").matrix)
    spectrum = decompose(matrix)
    assert_lowers(solvers.jax_eigh, matrix)
    assert_lowers(result._project, spectrum.eigenvectors, matrix[:, :3])


def test_the_second_decomposition_compiles_nothing():
    with count_compilations() as first:
        decompose(with_eigenvalues(np.linspace(1, 2, 37)[::-1]).matrix)
    with count_compilations() as second:
        decompose(with_eigenvalues(np.linspace(3, 4, 37)[::-1]).matrix)
    assert first
    assert not second


def test_the_eigengap_is_the_ratio_of_neighbours():
    values = np.append(np.geomspace(8.0, 1.0, 4), 0.0)
    spectrum = decompose(with_eigenvalues(values).matrix)
    assert spectrum.eigengap(2) == pytest.approx(2.0, rel=1e-12)
    assert spectrum.eigengap(4) == np.inf
    for k in (0, 5):
        with pytest.raises(ValueError, match=rf"k must be a whole number, from 1 to 4; got {k}"):
            spectrum.eigengap(k)


@pytest.mark.parametrize(("residual", "in_epsilons"), [(0.5, 8), (3, 12), (5, 20), (30, 60)])
def test_the_zero_floor_is_four_times_the_largest_residual_within_its_limits(residual, in_epsilons):
    """At least 8ε and at most nε, times λ₁ = 1."""
    epsilon = np.finfo(np.float64).eps
    spectrum = decompose(spectral_problem("power_law").matrix)
    assert spectrum.n_train == 60
    residuals = np.zeros(60)
    residuals[7] = residual * epsilon
    planted = eqx.tree_at(lambda s: s.residuals, spectrum, residuals)
    assert planted.zero_floor == pytest.approx(
        in_epsilons * epsilon * planted.lambda_max, rel=1e-12, abs=0
    )
