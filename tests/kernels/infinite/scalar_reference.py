"""Deep kernels of a pair of inputs in 60 digits or more: the textbook's recursion of covariances.

With so many digits little is lost by differences, so that each formula is the plainest there is.
"""

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import mpmath
import numpy as np
from mpmath import mpf


class Kernels(NamedTuple):
    """At one depth: Θ, Σ, and √(Σ(x, x)·Σ(x', x'))."""

    ntk: mpf
    nngp: mpf
    scale: mpf


def erf(q11, q12, q22):
    """Williams 1997."""
    product = (1 + 2 * q11) * (1 + 2 * q22)
    kappa = 2 / mpmath.pi * mpmath.asin(2 * q12 / mpmath.sqrt(product))
    return kappa, 4 / (mpmath.pi * mpmath.sqrt(product - 4 * q12**2))


def sine(q11, q12, q22):
    """By the characteristic function of a Gaussian."""
    difference = mpmath.exp(-(q11 + q22 - 2 * q12) / 2)
    total = mpmath.exp(-(q11 + q22 + 2 * q12) / 2)
    return (difference - total) / 2, (difference + total) / 2


def cosine(q11, q12, q22):
    """The same, exchanged."""
    return sine(q11, q12, q22)[::-1]


def gelu(q11, q12, q22):
    """By Stein's identity; κ̇ is the derivative of κ in q12."""
    determinant = q11 * q22 - q12**2
    m = 1 + q11 + q22 + determinant
    r = 1 / (1 + q11) + 1 / (1 + q22)
    positive = mpf(1) / 4 + mpmath.atan(q12 / mpmath.sqrt(m)) / (2 * mpmath.pi)
    quadratic, weight = determinant + r * q12**2, 1 / (2 * mpmath.pi * mpmath.sqrt(m))
    slope = positive + weight * q12 * (2 * r - 1 + quadratic / m)
    return positive * q12 + weight * quadratic, slope


def relu(q11, q12, q22):
    """Cho, Saul 2009."""
    scale = mpmath.sqrt(q11 * q22)
    correlation = max(mpf(-1), min(mpf(1), q12 / scale))
    angle = mpmath.acos(correlation)
    rest = mpmath.pi - angle
    kappa = scale * (mpmath.sin(angle) + rest * correlation) / (2 * mpmath.pi)
    return kappa, rest / (2 * mpmath.pi)


def slopes(below: str, above: str = "1"):
    """Of what is linear on either side of zero: |u| = 2 max(0, u) − u, and so on."""

    def dual(q11, q12, q22):
        kappa, slope = relu(q11, q12, q22)
        odd, even = ((mpf(above) + sign * mpf(below)) ** 2 / 4 for sign in (1, -1))
        return odd * q12 + even * (4 * kappa - q12), odd + even * (4 * slope - 1)

    return dual


_TERMS, _SPACING, _N_NODES = 1024, mpf(1) / 32, 448
_BITS = 200


@functools.cache
def _hermite_rows():
    """Weights of the trapezoidal rule times odd Hermite polynomials, as whole numbers/2^_BITS."""
    with mpmath.workprec(2 * _BITS):
        nodes = [_SPACING * (k + mpf(1) / 2) for k in range(_N_NODES)]
        before = [2 * _SPACING * mpmath.npdf(z) for z in nodes]
        now, rows = [w * z for w, z in zip(before, nodes, strict=True)], []
        for k in range(1, _TERMS):
            if k % 2:
                rows.append([int(mpmath.ldexp(value, _BITS)) for value in now])
            a, b = mpmath.sqrt(k), 1 / mpmath.sqrt(k + 1)
            parts = zip(nodes, now, before, strict=True)
            now, before = [b * (z * h - a * g) for z, h, g in parts], now
    return nodes, np.array(rows, dtype=object)


@functools.lru_cache(maxsize=4)
def _tanh_coefficients(variance):
    """E[tanh(√q·z)h_k(z)] for odd k, as whole numbers/2^_BITS."""
    nodes, rows = _hermite_rows()
    root = mpmath.sqrt(variance)
    values = [int(mpmath.ldexp(mpmath.tanh(root * z), _BITS)) for z in nodes]
    return (rows @ np.array(values, dtype=object)) >> _BITS


def tanh(q11, q12, q22):
    """By Mehler's formula, with E[φ'(√q·z)h_k(z)] = √(k + 1)·E[φ(√q·z)h_{k+1}(z)]/√q (Stein)."""
    scale = mpmath.sqrt(q11 * q22)
    rho = int(mpmath.ldexp(q12 / scale, _BITS))
    square = rho * rho >> _BITS
    products = _tanh_coefficients(q11) * _tanh_coefficients(q22) >> _BITS
    kappa = slope = 0
    for index in reversed(range(len(products))):
        kappa = products[index] + (square * kappa >> _BITS)
        slope = (2 * index + 1) * products[index] + (square * slope >> _BITS)
    kappa, slope = (mpmath.ldexp(mpf(int(part)), -_BITS) for part in (kappa * rho >> _BITS, slope))
    return kappa, slope / scale


DUALS: dict[str, Callable] = {
    "relu": relu,
    "erf": erf,
    "sine": sine,
    "cosine": cosine,
    "gelu": gelu,
    "leaky_relu": slopes("0.01"),
    "abs": slopes("-1"),
    "identity": lambda q11, q12, q22: (q12, mpf(1)),
    "tanh": tanh,
}


def kernels(
    name: str, inputs: tuple, variances: tuple[float, float], depths: Iterable[int]
) -> dict[int, Kernels]:
    """Both kernels at some depths, of the inputs as they are stored."""
    dual, depths = DUALS[name], set(depths)
    # GELU's determinant, of variances that grow without bound, is a difference of their squares.
    growth = mpmath.log10(1 + variances[0]) if name == "gelu" else 0
    if name == "sine" and variances[1] == 0:  # of variances that vanish, of exponentials near 1
        growth = max(0, -mpmath.log10(variances[0])) / 2
    with mpmath.workdps(60 + 2 * int(max(depths) * growth)):
        x, y = ([mpf(float(value)) for value in vector] for vector in inputs)
        weight, bias = map(mpf, variances)

        def product(u, v):
            return weight * mpmath.fdot(u, v) / len(u) + bias

        # Equal inputs are one input, at any number of digits; opposite ones are for odd functions.
        sign = 1 if x == y else -1
        odd = bias == 0 and name in ("erf", "sine", "tanh", "identity")
        one = x == y or (odd and x == [-value for value in y])
        q11, q12, q22 = product(x, x), product(x, y), product(y, y)
        ntk, found = q12, {}
        for depth in range(1, max(depths) + 1):
            if depth > 1:
                own1, slope = dual(q11, q11, q11)
                own2, kappa = own1, sign * own1
                if not one:
                    own2, (kappa, slope) = dual(q22, q22, q22)[0], dual(q11, q12, q22)
                q11, q12, q22 = (weight * q + bias for q in (own1, kappa, own2))
                ntk = q12 + weight * slope * ntk
            if depth in depths:
                found[depth] = Kernels(ntk, q12, mpmath.sqrt(q11 * q22))
        return found


def relative_errors(found, wanted: Iterable[tuple[mpf, mpf]]) -> list[float]:
    """Errors of values by the value, the scale that comes with it or the least normal number."""
    least = float(np.finfo(found.dtype).tiny)
    pairs = zip(found, wanted, strict=True)
    return [
        float(abs(mpf(float(value)) - right) / max(abs(right), scale, least))
        for value, (right, scale) in pairs
    ]
