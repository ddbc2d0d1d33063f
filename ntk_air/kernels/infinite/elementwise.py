"""Element-wise functions that stay accurate, finite and differentiable where JAX's do not."""

import functools
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Elementwise: TypeAlias = Float[Array, "*#pairs"]
"""Arrays of one computation that broadcast against each other."""

_ARCTAN_TERMS = 22


def safe_sqrt(x: Elementwise) -> Elementwise:
    """√x for x ≥ 0, with derivative 0 in place of ∞ at x = 0; what is no number stays none."""
    blank = x <= 0
    return jnp.where(blank, 0, jnp.sqrt(jnp.where(blank, 1, x)))


def safe_divide(numerator: Elementwise, denominator: Elementwise) -> Elementwise:
    """The quotient, and 0 with derivative 0 where the denominator is 0."""
    nonzero = denominator != 0
    return jnp.where(nonzero, numerator / jnp.where(nonzero, denominator, 1), 0)


def polynomial(coefficients: tuple[float, ...], x: Elementwise) -> Elementwise:
    """Σ_k coefficients[k]·xᵏ by Horner's scheme."""
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


@functools.cache
def _arctan_coefficients() -> tuple[float, ...]:
    """Powers of u = 2t² − 1 in (arctan(t)/t − 1)/t² on [0, 1], by Chebyshev interpolation.

    The singularity at t² = −1 makes the error fall by 3 + √8 with each term: below 1e-16 here.
    """
    nodes = np.polynomial.chebyshev.chebpts1(_ARCTAN_TERMS + 1)
    t = np.sqrt((nodes + 1) / 2)
    chebyshev = np.polynomial.chebyshev.chebfit(nodes, np.arctan(t) / t - 1, _ARCTAN_TERMS)
    powers = np.polynomial.chebyshev.cheb2poly(chebyshev)
    # Dividing by t² = (u + 1)/2 leaves a remainder of rounding alone.
    quotient, _ = np.polynomial.polynomial.polydiv(powers, [0.5, 0.5])
    return tuple(float(coefficient) for coefficient in np.asarray(quotient))


def arctan_unit(t: Elementwise) -> Elementwise:
    """Arctan on [−1, 1] to a few ε of its own size.

    Ten times as fast as XLA's own on CPU, which is scalar code there.
    """
    square = t * t
    u = 2 * square - 1
    return t + t * (square * polynomial(_arctan_coefficients(), u))


def arctan(x: Elementwise) -> Elementwise:
    """Arctan to a few ε of its own size, by ``arctan_unit`` of x or of 1/x."""
    inside = jnp.abs(x) <= 1
    angle = arctan_unit(jnp.where(inside, x, safe_divide(jnp.ones_like(x), x)))
    return jnp.where(inside, angle, jnp.copysign(jnp.pi / 2, x) - angle)
