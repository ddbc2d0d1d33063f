"""The angle φ ∈ [0, π/2] of a gap z = 1 − cos φ ∈ [0, 1], and what ReLU and GELU make of it.

All functions are a power of √z times a power series in z that ends at z = 2: one root and one
polynomial each, with as many terms as the precision asks for.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

from ntk_air.kernels.infinite.elementwise import Elementwise, polynomial, safe_sqrt

_NODES = 40


def angle_of_gap(gap: Elementwise) -> Elementwise:
    """φ = arccos(1 − z) for 0 ≤ z ≤ 1, to a few ε of its own size."""
    return safe_sqrt(gap) * _series(_angle_over_root, gap)


def sine_minus_angle_cosine_of_gap(gap: Elementwise) -> Elementwise:
    """Sin φ − φ cos φ for 0 ≤ z ≤ 1, to a few ε of its own size, φ³/3 at the origin."""
    return safe_sqrt(gap) * gap * _series(_sine_minus_angle_cosine_over_power, gap)


def angle_minus_chord_of_gap(gap: Elementwise) -> Elementwise:
    """φ − 2 sin φ/2 for 0 ≤ z ≤ 1, to a few ε of its own size, φ³/24 at the origin."""
    return safe_sqrt(gap) * gap * _series(_angle_minus_chord_over_power, gap)


def _series(function: Callable[[np.ndarray], np.ndarray], gap: Elementwise) -> Elementwise:
    eps = float(np.finfo(gap.dtype).eps)
    return polynomial(_coefficients(function, eps), 2 * gap - 1)


@functools.cache
def _coefficients(function: Callable[[np.ndarray], np.ndarray], eps: float) -> tuple[float, ...]:
    """Powers of 2z − 1 in a function of z, by Chebyshev interpolation.

    The singularity at z = 2 makes the terms fall by 3 + √8 each: those left out, from the first
    one below ε/8 on, add up to less than ε/6. Extended precision, where the machine has it, keeps
    the rounding of these sums below the terms.
    """
    order = np.arange(_NODES, dtype=np.longdouble)
    angles = np.arccos(np.longdouble(-1)) * (order + 0.5) / _NODES
    values = function((np.cos(angles) + 1) / 2)
    terms = 2 / np.longdouble(_NODES) * np.cos(np.outer(order, angles)) @ values
    terms[0] /= 2
    n_terms = int(np.argmax(np.abs(terms) < eps / 8 * np.abs(terms[0])))
    powers = np.polynomial.chebyshev.cheb2poly(terms[:n_terms])
    return tuple(float(coefficient) for coefficient in powers)


def _angle_over_root(gap: np.ndarray) -> np.ndarray:
    """φ/√z, by φ = 2 arcsin √(z/2)."""
    return 2 * np.arcsin(np.sqrt(gap / 2)) / np.sqrt(gap)


def _sine_minus_angle_cosine_over_power(gap: np.ndarray) -> np.ndarray:
    """(sin φ − φ cos φ)/z^(3/2), by the Taylor series Σ_k (−1)^(k+1) 2k φ^(2k+1)/(2k + 1)!."""
    square = (2 * np.arcsin(np.sqrt(gap / 2))) ** 2
    signed = [(-1) ** (k + 1) * np.longdouble(2 * k) for k in range(1, 16)]
    taylor = [term / math.factorial(2 * k + 1) for k, term in enumerate(signed, start=1)]
    return np.polynomial.polynomial.polyval(square, taylor) * (square / gap) ** 1.5


def _angle_minus_chord_over_power(gap: np.ndarray) -> np.ndarray:
    """(φ − 2 sin φ/2)/z^(3/2): Σ_k (2k)!/(4ᵏ k!² (2k + 1)) hᵏ/√2 with h = z/2, from k = 1 on."""
    half = gap / 2
    terms = np.ones_like(half)
    total = np.zeros_like(half)
    for k in range(1, 80):
        terms = terms * half * (2 * k - 1) / (2 * k)
        total += terms / (2 * k + 1)
    return total * np.sqrt(np.longdouble(2)) / gap
