"""Kernels whose squares leave floating point have the eigenvalues that they have."""

import numpy as np
import pytest

from ntk_air.air import air_curve_enclosure
from ntk_air.kernels.operators.operator import DenseKernel
from ntk_air.spectrum.decomposition import decompose
from ntk_air.spectrum.krylov import label_quadrature
from ntk_air.spectrum.krylov.top_modes import TopModesOptions, least_bytes, top_modes
from tests.helpers.problems import spectral_problem
from tests.spectrum.operators import ProductOnly

MATRIX = spectral_problem("power_law").matrix
VALUES = spectral_problem("power_law").eigenvalues


@pytest.mark.parametrize(
    ("kernel", "top_k"), [(DenseKernel, None), (DenseKernel, 5), (ProductOnly, 5)]
)
@pytest.mark.parametrize("exponent", [-1000, -700, 700, 1000])
def test_a_power_of_two_changes_nothing_but_the_eigenvalues(kernel, top_k, exponent):
    usual = decompose(kernel(MATRIX), top_k=top_k)
    scaled = decompose(kernel(np.ldexp(MATRIX, exponent)), top_k=top_k)
    ulps = np.ldexp(4e-15 * VALUES[0], exponent)
    wanted = np.ldexp(np.asarray(usual.eigenvalues), exponent)
    np.testing.assert_allclose(scaled.eigenvalues, wanted, rtol=0, atol=ulps)
    assert scaled.trace == np.ldexp(usual.trace, exponent)
    # Measured, and not lost in an underflow.
    assert 1e-17 < np.max(scaled.residuals) < 1e-13
    assert scaled.solver == usual.solver
    assert scaled.n_below_precision == usual.n_below_precision


@pytest.mark.parametrize(("kernel", "exponent"), [(DenseKernel, -1000), (ProductOnly, 700)])
def test_a_power_of_two_changes_nothing_of_top_modes_but_the_eigenvalues(kernel, exponent):
    small = {
        "options": TopModesOptions(block=1),
        "max_memory_bytes": least_bytes(len(MATRIX), 5, 1),
    }
    usual = top_modes(kernel(MATRIX), 5, **small)
    assert usual.n_products > 17  # more than the space holds: it restarts
    scaled = top_modes(kernel(np.ldexp(MATRIX, exponent)), 5, **small)
    np.testing.assert_array_equal(scaled.eigenvalues, np.ldexp(usual.eigenvalues, exponent))
    np.testing.assert_array_equal(scaled.residuals, usual.residuals)
    assert scaled.next_eigenvalue == np.ldexp(usual.next_eigenvalue, exponent)
    assert scaled.subspace_sine == usual.subspace_sine
    with pytest.raises(ValueError, match=r"eigenvalues .* float64 holds.*λ₁ = inf"):
        top_modes(DenseKernel(np.full((4, 4), 1e308)), 1)


@pytest.mark.parametrize(("kernel", "exponent"), [(DenseKernel, -1000), (ProductOnly, 700)])
def test_a_power_of_two_of_the_learning_rate_undoes_one_of_the_kernel(kernel, exponent):
    labels = {"u": np.eye(len(MATRIX))[:, :2]}
    thresholds, steps = np.array([VALUES[1], VALUES[4]]), np.array([0.0, 5.0, 300.0])
    usual, scaled = (
        label_quadrature(kernel(np.ldexp(MATRIX, e)), labels, 6).measures()["u"]
        for e in (0, exponent)
    )
    assert scaled.largest_eigenvalue == np.ldexp(usual.largest_eigenvalue, exponent)
    rate = 0.5 * usual.default_learning_rate
    for one, other in (
        (usual.decay(steps), scaled.decay(steps)),
        (
            usual.decay(steps, learning_rate=rate, dynamics="flow"),
            scaled.decay(steps, learning_rate=np.ldexp(rate, -exponent), dynamics="flow"),
        ),
        (usual.energy_from(thresholds), scaled.energy_from(np.ldexp(thresholds, exponent))),
    ):
        for name in ("lower", "upper", "estimate"):
            np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-12)
    curves = [air_curve_enclosure(each, each) for each in (usual, scaled)]
    np.testing.assert_allclose(curves[1].area.estimate, curves[0].area.estimate, rtol=1e-12)
    with pytest.raises(ValueError, match="learning_rate must be at most 1/λ₁"):
        scaled.decay(steps, learning_rate=1.1 * scaled.default_learning_rate)


@pytest.mark.parametrize("scale", [1e-30, 1e25, 1e36])
def test_single_precision_has_a_range_of_its_own(scale):
    spectrum = decompose((scale * MATRIX).astype(np.float32), precision="float32")
    error = 60 * np.finfo(np.float32).eps * scale * VALUES[0]
    np.testing.assert_allclose(spectrum.eigenvalues, scale * VALUES, rtol=0, atol=error)
    assert 1e-9 < np.max(spectrum.residuals) < 1e-5


def test_a_negative_eigenvalue_is_noted_in_the_kernels_own_unit():
    matrix = 1e250 * np.diag([2.0, -1.0])
    assert "the smallest eigenvalue is -1e+250" in decompose(matrix).notes[0]
    with pytest.raises(ValueError, match=r"positive eigenvalue; the largest is -1e\+250"):
        decompose(-1e250 * np.eye(2))


@pytest.mark.parametrize(
    ("matrix", "precision", "message"),
    [
        (np.full((4, 4), 1e308), "float64", r"eigenvalues .* float64 holds.*λ₁ = inf"),
        (1e200 * np.eye(2), "float32", r"eigenvalues .* float32 holds.*divide the kernel"),
        (1e-200 * np.eye(2), "float32", r"eigenvalues .* float32 holds.*divide the kernel"),
        (1e-308 * np.eye(2) / 2, "float64", "float64 holds|positive eigenvalue"),
    ],
)
def test_eigenvalues_that_the_precision_cannot_hold_are_refused(matrix, precision, message):
    with pytest.raises(ValueError, match=message):
        decompose(matrix, precision=precision)
