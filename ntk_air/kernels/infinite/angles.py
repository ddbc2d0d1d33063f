"""Angles between inputs, accurate where the inputs nearly coincide or nearly oppose each other."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air.kernels.infinite.elementwise import safe_divide, safe_sqrt

_REFINED_AT_ONCE = 32

_LEAST_RESOLVED = 1e-3
"""The 1 − |cos θ| that a matrix product in float64 gives to 10⁻¹² of its size."""


def angle_gaps(
    x1: Float[Array, "n1 d"], x2: Float[Array, "n2 d"], *, symmetric: bool = False
) -> tuple[Float[Array, "n1 n2"], Float[Array, "n1 n2"]]:
    """1 − cos θ and 1 + cos θ between the rows of ``x1`` and of ``x2``.

    One matrix product of unit vectors serves the pairs at a fair angle. Pairs closer than
    1 − |cos θ| = ε^(1/4), or 10⁻³, are computed again from the difference of their rows, so that
    θ is accurate to ε·‖x1 − x2‖/‖x2‖ where they nearly coincide and to ε everywhere. That costs
    O(d) for each such pair. Rows of zeros are at a right angle to everything.

    Args:
        x1: vectors.
        x2: vectors.
        symmetric: ``x2`` is ``x1`` and only the part above the diagonal need be accurate.
    """
    return _angle_gaps(symmetric, x1, x2)


def _angle_gaps_value(symmetric, x1, x2):
    cosine = _cosines(x1, x2)
    # One array instead of two: 1 − cos θ for acute angles, −(1 + cos θ) for obtuse ones.
    folded = jnp.where(cosine >= 0, jnp.maximum(1 - cosine, 0), -_at_least_tiny(1 + cosine))
    folded = _refine(folded, x1, x2, symmetric=symmetric)
    obtuse = folded < 0
    opposite = folded == -jnp.finfo(folded.dtype).tiny
    plus = jnp.where(opposite, 0, jnp.where(obtuse, -folded, 2 - folded))
    return jnp.where(obtuse, 2 + folded, folded), plus


_angle_gaps = jax.custom_jvp(_angle_gaps_value, nondiff_argnums=(0,))


@_angle_gaps.defjvp
def _angle_gaps_jvp(symmetric, primals, tangents):
    """Differentiate the plain cosine: the refinement changes digits, not the function."""
    gaps = _angle_gaps(symmetric, *primals)
    _, slope = jax.jvp(_cosines, primals, tangents)
    return gaps, (-slope, slope)


def _cosines(x1, x2):
    return jnp.matmul(_unit_rows(x1), _unit_rows(x2).T, precision="highest")


def _unit_rows(x):
    return safe_divide(x, safe_sqrt(jnp.sum(x * x, axis=1, keepdims=True)))


def _at_least_tiny(x):
    """Keep the sign of ``-x`` readable where two rows are exactly opposite."""
    return jnp.maximum(x, jnp.finfo(x.dtype).tiny)


def _refine(folded, x1, x2, *, symmetric):
    """Compute again, row by row, the pairs whose angle the matrix product could not resolve."""
    n1, n2 = folded.shape
    threshold = max(float(jnp.finfo(folded.dtype).eps) ** 0.25, _LEAST_RESOLVED)
    at_once = min(_REFINED_AT_ONCE, n2)

    def refine_row(row, folded):
        close = jnp.abs(folded[row]) < threshold
        if symmetric:
            close &= jnp.arange(n2) > row

        def refine_some(state):
            values, close = state
            is_chosen, chosen = jax.lax.top_k(close.astype(values.dtype), at_once)
            before = values[chosen]
            exact = _folded_gap_from_difference(x1[row], x2[chosen], before < 0)
            values = values.at[chosen].set(jnp.where(is_chosen > 0, exact, before))
            return values, close.at[chosen].set(False)

        values, _ = jax.lax.while_loop(
            lambda state: state[1].any(), refine_some, (folded[row], close)
        )
        return folded.at[row].set(values)

    return jax.lax.fori_loop(0, n1, refine_row, folded)


def _folded_gap_from_difference(x, others, obtuse):
    """1 − |cos θ|, signed by ``obtuse``, from the part of ±x − other orthogonal to the shorter.

    The difference of nearly equal numbers is exact, so its rounding is relative to the
    difference, and projecting out the shorter vector keeps the error below ε of the longer.
    """
    x = jnp.broadcast_to(x, others.shape)
    x = jnp.where(obtuse[:, None], -x, x)
    x_longer = jnp.sum(x * x, axis=1, keepdims=True) > jnp.sum(others**2, axis=1, keepdims=True)
    longer, shorter = jnp.where(x_longer, x, others), jnp.where(x_longer, others, x)
    difference = longer - shorter
    along = jnp.sum(shorter * difference, axis=1) / jnp.sum(shorter**2, axis=1)
    across = difference - along[:, None] * shorter
    sine_squared = jnp.minimum(jnp.sum(across**2, axis=1) / jnp.sum(longer**2, axis=1), 1)
    gap = sine_squared / (1 + jnp.sqrt(1 - sine_squared))
    return jnp.where(obtuse, -_at_least_tiny(gap), gap)
