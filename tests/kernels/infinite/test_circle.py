"""The two-layer ReLU NTK on the circle against its Fourier eigenvalues (Basri et al. 2019)."""

import numpy as np
import pytest
from scipy import integrate

from ntk_air.kernels.infinite.closed_forms import circle_eigenvalues, circle_gram_eigenvalues
from ntk_air.kernels.infinite.dense import DenseNTK

VARIANCES = [(2.0, 0.0), (2.0, 0.5), (1.3, 0.7)]
every_variance = pytest.mark.parametrize(("w", "b"), VARIANCES)


def circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def architecture(w, b):
    return DenseNTK(depth=2, weight_variance=w, bias_variance=b, bias_initialisation="zeros")


@every_variance
def test_eigenvalues_are_the_fourier_coefficients_of_the_kernel(w, b):
    """μ_k = (1/π) ∫ Θ(δ) cos kδ dδ over [0, π], the kernel being the library's."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    angles, weights = np.pi / 2 * (nodes + 1), np.pi / 2 * weights
    kernel = np.asarray(architecture(w, b)(circle(np.zeros(1)), circle(angles)))[0]
    frequencies = np.arange(20)
    wanted = np.cos(np.outer(frequencies, angles)) @ (weights * kernel) / np.pi
    measured = circle_eigenvalues(frequencies, weight_variance=w, bias_variance=b)
    # The kernel's own accuracy: angles are good to ε^(7/8) at the worst.
    np.testing.assert_allclose(measured, wanted, rtol=0, atol=5e-14)
    assert (circle_eigenvalues(-frequencies, weight_variance=w, bias_variance=b) == measured).all()


@every_variance
def test_eigenvalues_by_another_integration(w, b):
    """The kernel of the docstring, by scipy: independent of the library's kernel and of ours."""

    def kernel(angle):
        zeroth = 1 - angle / np.pi
        first = np.sin(angle) / np.pi + np.cos(angle) * zeroth
        return w**2 / 4 * (first + np.cos(angle) * zeroth) + w * b / 2 * zeroth + b

    for k in range(12):
        coefficient, _ = integrate.quad(kernel, 0, np.pi, weight="cos", wvar=k, epsabs=1e-13)
        eigenvalue = circle_eigenvalues(np.array([k]), weight_variance=w, bias_variance=b)
        np.testing.assert_allclose(eigenvalue, coefficient / np.pi, rtol=0, atol=1e-12)


def test_the_first_layer_alone_has_the_coefficients_of_basri_et_al():
    """Their kernels x·x'(π − δ)/2π and (x·x' + 1)(π − δ)/4π, from ours by subtraction.

    Θ at w = 2 is A₁ + cos δ·A₀ and A₁ has the eigenvalues 4/(π²(k² − 1)²), 1/4 for k = 1;
    A₀ is the part that grows with the biases. Their coefficients are of cos kδ: twice ours.
    """
    k = np.arange(9)
    twice = np.where(k == 0, 1, 2)
    even = (k % 2 == 0) & (k > 0)
    squares = np.where(k == 1, 0, k**2).astype(float)
    first_kind = np.where(k % 2 == 0, 4 / (np.pi * (squares - 1)) ** 2, (k == 1) / 4)
    cosine_part = circle_eigenvalues(k) - first_kind
    without = np.where(even, 2 * (squares + 1) / (np.pi * (squares - 1)) ** 2, 0)
    without[:2] = 1 / np.pi**2, 1 / 4
    np.testing.assert_allclose(twice * cosine_part / 2, without, rtol=0, atol=1e-15)

    zeroth_part = circle_eigenvalues(k, bias_variance=1.0) - circle_eigenvalues(k) - (k == 0)
    odd = np.where(k % 2 == 1, k, 1)
    biased = np.where(even, (squares + 1) / (np.pi * (squares - 1)) ** 2, 1 / (np.pi * odd) ** 2)
    biased[:2] = 1 / (2 * np.pi**2) + 1 / 8, 1 / np.pi**2 + 1 / 8
    np.testing.assert_allclose(twice * (cosine_part + zeroth_part) / 4, biased, rtol=0, atol=1e-15)


@every_variance
def test_gram_eigenvalues_at_equispaced_points(w, b):
    """The Fourier vectors are eigenvectors, with these eigenvalues, aliasing included exactly."""
    gram = np.asarray(architecture(w, b)(circle(2 * np.pi * np.arange(24) / 24)))
    values = circle_gram_eigenvalues(24, weight_variance=w, bias_variance=b)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(gram), np.sort(values), rtol=0, atol=1e-14 * values.sum()
    )
    vectors = fourier_vectors(24)
    np.testing.assert_allclose(gram @ vectors, vectors * values, rtol=0, atol=1e-14 * values.sum())


def fourier_vectors(n):
    return np.exp(2j * np.pi * (np.outer(np.arange(n), np.arange(n)) % n) / n)


@every_variance
def test_gram_eigenvalues_for_even_and_odd_numbers_of_points(w, b):
    sizes = (1, 2, 3, 4, 9, 25, 100, 101)
    points = [2 * np.pi * np.arange(n) / n for n in sizes]
    # The first row of each circulant matrix.
    row = np.asarray(architecture(w, b)(circle(np.zeros(1)), circle(np.concatenate(points))))[0]
    for n, first_row in zip(sizes, np.split(row, np.cumsum(sizes)[:-1]), strict=True):
        values = circle_gram_eigenvalues(n, weight_variance=w, bias_variance=b)
        wanted = fourier_vectors(n) @ first_row
        np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-14 * values.sum())


@every_variance
@pytest.mark.parametrize("n", [7, 12])
def test_gram_eigenvalues_are_sums_over_aliases(n, w, b):
    k, reach = np.arange(n), 20_000
    aliases = np.arange(-reach, reach + 1)[:, None] * n + k
    terms = circle_eigenvalues(aliases.ravel(), weight_variance=w, bias_variance=b)
    summed = n * terms.reshape(aliases.shape).sum(axis=0)
    exact = circle_gram_eigenvalues(n, weight_variance=w, bias_variance=b)
    # What is left out is below 2n·Σ_{m > reach} μ_{mn}, and μ_k < (w² + wb)/(π²(k − 1)²)·1.01.
    rest = 2.02 * (w**2 + w * b) / (np.pi**2 * n * (reach - 1))
    assert (summed <= exact + 1e-12).all()
    assert (exact <= summed + rest).all()


def test_odd_frequencies_vanish_without_biases_and_only_then():
    odd = np.arange(3, 40, 2)
    assert (circle_eigenvalues(odd) == 0).all()
    assert (circle_eigenvalues(odd, bias_variance=0.1) > 0).all()
    gram = circle_gram_eigenvalues(64)
    np.testing.assert_allclose(gram[3:62:2], 0, atol=1e-13)
    gram_matrix = np.asarray(architecture(2.0, 0.0)(circle(2 * np.pi * np.arange(24) / 24)))
    assert (np.linalg.eigvalsh(gram_matrix) < 1e-13 * gram[0]).sum() == 10


def test_eigenvalues_fall_as_the_square_of_the_frequency():
    """So the time to learn frequency k grows as k²."""
    frequencies = np.array([100, 200, 400])
    values = circle_eigenvalues(frequencies)
    np.testing.assert_allclose(values * frequencies**2, 2 / np.pi**2, rtol=1e-3)


def test_what_is_no_circle_is_refused():
    with pytest.raises(ValueError, match="n_points must be a whole number, at least 1; got 0"):
        circle_gram_eigenvalues(0)
    for function in (lambda **v: circle_eigenvalues(np.arange(3), **v), circle_from_three_points):
        with pytest.raises(ValueError, match="weight_variance must be a finite number above 0"):
            function(weight_variance=0.0)
        with pytest.raises(ValueError, match="bias_variance must be a finite number, at least 0"):
            function(bias_variance=-1.0)


def circle_from_three_points(**variances):
    return circle_gram_eigenvalues(3, **variances)
