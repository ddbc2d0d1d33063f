"""Spectra known in closed form: the two-layer ReLU NTK on the circle."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from ntk_air._base.checks import check_at_least, check_positive, check_whole_number
from ntk_air._base.typing import AnyArray


def circle_eigenvalues(
    frequencies: Int[AnyArray, " n_mode"],
    *,
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
) -> Float[np.ndarray, " n_mode"]:
    """Eigenvalues of the two-layer ReLU NTK for points uniform on the unit circle in the plane.

    The kernel is ``DenseNTK(depth=2, bias_initialisation="zeros")`` with the variances
    given. At an angle δ between two points, with w = σ_w² and b = σ_b²,

        Θ(δ) = (w²/4)(A₁(δ) + cos δ·A₀(δ)) + (wb/2)A₀(δ) + b,
        A₀ = 1 − |δ|/π,   A₁ = |sin δ|/π + cos δ·A₀.

    Its eigenfunctions are cos kδ and sin kδ, and the eigenvalue of both is
    μ_k = (1/2π) ∫ Θ(δ) cos kδ dδ, that is

        w²/4 · 6/π² + wb/4 + b                    k = 0,
        w²/8 + wb/π²                              k = 1,
        w²/4 · 2(k² + 3)/(π²(k² − 1)²)            k ≥ 2 even,
        wb/(π²k²)                                 k ≥ 3 odd: nothing without biases.

    μ_k is the eigenvalue under the uniform probability measure: half the coefficient of cos kδ in
    Θ (k ≥ 1), and the limit of a Gram eigenvalue divided by the number of points. Basri et al.
    2019 (arXiv 1906.00425, section 4) give these coefficients, not halved, for the kernel of the
    first layer alone. Biases drawn at random have no such elementary form.

    Args:
        frequencies: Frequencies k, of either sign.
        weight_variance: Variance w of the weights of both layers.
        bias_variance: Variance b of the biases of both layers, trained from zero; 0 is a network
            without biases.

    Raises:
        ValueError: a variance that is negative or not finite, or a weight variance of 0.
    """
    _check_variances(weight_variance, bias_variance)
    k = np.abs(np.asarray(frequencies)).astype(np.float64)
    even = k % 2 == 0
    squares = np.where(even, k**2, 0.0)
    weights = np.where(even, 2 * (squares + 3) / (np.pi * (squares - 1)) ** 2, (k == 1) / 2)
    slopes = np.where(even, (k == 0) / 2, 2 / (np.pi * np.where(even, 1.0, k)) ** 2)
    return _combine(weights, slopes, k == 0, w=weight_variance, b=bias_variance)


def circle_gram_eigenvalues(
    n_points: int, *, weight_variance: float = 2.0, bias_variance: float = 0.0
) -> Float[np.ndarray, " n_points"]:
    """Eigenvalues of the Gram matrix of the same kernel at equispaced points of the circle.

    The matrix is circulant. Its eigenvalue at frequency k = 0 … n − 1, which n − k shares, is
    n Σ_m μ_{k+mn}: the points cannot tell frequencies apart that differ by a multiple of n. The
    sums are Σ_m 1/(a + mP)² = (π/P)²/sin²(πa/P) and Σ_m 1/(a + mP) = (π/P) cot(πa/P).

    Args:
        n_points: Number n of points.
        weight_variance: Variance w of the weights of both layers.
        bias_variance: Variance b of the biases of both layers, trained from zero; 0 is a network
            without biases.

    Raises:
        ValueError: ``n_points`` below 1; a variance that is negative or not finite, or a weight
            variance of 0.
    """
    check_whole_number("n_points", n_points, minimum=1)
    _check_variances(weight_variance, bias_variance)
    k = np.arange(n_points)

    def sum_of_parity(parity: int, term: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
        """Σ over the frequencies ≡ k (mod n) that are even or odd."""
        if n_points % 2 == 0:
            return np.where(
                k % 2 == parity, term(np.where(k % 2 == parity, k, parity), n_points), 0
            )
        return term(np.where(k % 2 == parity, k, k + n_points), 2 * n_points)

    def first(a: np.ndarray, period: int) -> np.ndarray:
        return (np.pi / period) / np.tan(np.pi * a / period)

    def second(a: np.ndarray, period: int) -> np.ndarray:
        return (np.pi / period / np.sin(np.pi * a / period)) ** 2

    def even_weights(a: np.ndarray, period: int) -> np.ndarray:
        # 2(a² + 3)/(a² − 1)² in partial fractions.
        poles = first(a + 1, period) - first(a - 1, period)
        return (poles + 2 * second(a - 1, period) + 2 * second(a + 1, period)) / np.pi**2

    one = (np.mod(k - 1, n_points) == 0) * 0.5 + (np.mod(k + 1, n_points) == 0) * 0.5
    zero = k == 0
    weights = sum_of_parity(0, even_weights) + one
    slopes = sum_of_parity(1, lambda a, period: 2 * second(a, period) / np.pi**2) + zero / 2
    return n_points * _combine(weights, slopes, zero, w=weight_variance, b=bias_variance)


def _combine(
    weights: np.ndarray, slopes: np.ndarray, constant: np.ndarray, *, w: float, b: float
) -> np.ndarray:
    """Coefficients of Θ from those of A₁ + cos δ·A₀, of A₀ and of 1."""
    return w**2 / 4 * weights + w * b / 2 * slopes + b * constant


def _check_variances(weight_variance: float, bias_variance: float) -> None:
    check_positive("weight_variance", weight_variance)
    check_at_least("bias_variance", bias_variance, 0)
