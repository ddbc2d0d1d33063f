"""A pair of jointly Gaussian pre-activations, kept so that small angles stay accurate.

A covariance matrix ((q11, q12), (q12, q22)) forgets the angle θ between nearly parallel inputs:
cos θ = q12/√(q11·q22) rounds at ε, so θ is lost below √ε (3e-4 in float32), and a ReLU kernel,
which has a cusp at θ = 0, is wrong by as much. Here the pair is (q11, q22, 1 − cos θ, 1 + cos θ),
each accurate relative to its own size, and no step between layers subtracts nearly equal numbers.
"""

from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Elementwise: TypeAlias = Float[Array, "*#pairs"]


def safe_sqrt(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """√x for x ≥ 0, with derivative 0 in place of ∞ at x = 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)


class GaussianPair(eqx.Module):
    """The law of (u, v), centred and jointly Gaussian, for each pair of inputs.

    The fields broadcast against each other: (n1, 1), (1, n2), (n1, n2), (n1, n2) for a kernel
    matrix, or four arrays of one shape.

    Attributes:
        variance1: E[u²].
        variance2: E[v²].
        one_minus_cosine: 1 − cos θ, where cos θ is the correlation of u and v.
        one_plus_cosine: 1 + cos θ.
    """

    variance1: Elementwise
    variance2: Elementwise
    one_minus_cosine: Elementwise
    one_plus_cosine: Elementwise

    @classmethod
    def identical(cls, variance: Float[Array, "*shape"]) -> "GaussianPair":
        """The pair (u, u): an angle of exactly zero."""
        zero = jnp.zeros_like(variance)
        return cls(variance, variance, zero, zero + 2)

    @classmethod
    def from_covariance(
        cls, q11: Float[Array, "*shape"], q12: Float[Array, "*shape"], q22: Float[Array, "*shape"]
    ) -> "GaussianPair":
        """The pair with a given covariance: angles below √ε are already lost in q12."""
        scale = safe_sqrt(q11) * safe_sqrt(q22)
        cosine = jnp.clip(safe_divide(q12, scale), -1, 1)
        return cls(q11, q22, 1 - cosine, 1 + cosine)

    @property
    def scale(self) -> Elementwise:
        """√(q11·q22), formed so that very different variances neither over- nor underflow."""
        return safe_sqrt(self.variance1) * safe_sqrt(self.variance2)

    @property
    def cosine(self) -> Elementwise:
        """The correlation of u and v."""
        acute = self.one_minus_cosine < 1
        return jnp.where(acute, 1 - self.one_minus_cosine, self.one_plus_cosine - 1)

    @property
    def sine(self) -> Elementwise:
        """Sin θ, at least 0."""
        return safe_sqrt(self.one_minus_cosine * self.one_plus_cosine)

    @property
    def covariance(self) -> Elementwise:
        """q12 = E[uv]."""
        return self.scale * self.cosine

    @property
    def determinant(self) -> Elementwise:
        """q11·q22 − q12²."""
        return self.variance1 * self.variance2 * (self.one_minus_cosine * self.one_plus_cosine)

    @property
    def squared_distance(self) -> Elementwise:
        """E[(u − v)²]."""
        return self._norm_gap + 2 * self.scale * self.one_minus_cosine

    @property
    def squared_sum(self) -> Elementwise:
        """E[(u + v)²]."""
        return self._norm_gap + 2 * self.scale * self.one_plus_cosine

    @property
    def _norm_gap(self) -> Elementwise:
        """(√q11 − √q22)²."""
        return (safe_sqrt(self.variance1) - safe_sqrt(self.variance2)) ** 2

    def affine(self, weight_variance: float, bias_variance: float) -> "GaussianPair":
        """The pair behind a dense layer: q → weight_variance · q + bias_variance, all entries.

        1 − cos θ after adding b to q11, q12, q22 is, with s = √(q11·q22) and s' the same after,
        (s(1 − cos θ) + b(√q11 − √q22)²/(s' + s + b))/s': a sum of terms that are not negative.
        """
        variance1 = weight_variance * self.variance1
        variance2 = weight_variance * self.variance2
        scaled = GaussianPair(variance1, variance2, self.one_minus_cosine, self.one_plus_cosine)
        if isinstance(bias_variance, float) and bias_variance == 0:
            return scaled
        b = bias_variance
        before = scaled.scale
        after = safe_sqrt(variance1 + b) * safe_sqrt(variance2 + b)
        grown = safe_divide(b * scaled._norm_gap, after + before + b)
        return GaussianPair(
            variance1 + b,
            variance2 + b,
            safe_divide(before * self.one_minus_cosine + grown, after),
            safe_divide((after - before + b) + before * self.one_plus_cosine, after),
        )


def safe_divide(numerator: Elementwise, denominator: Elementwise) -> Elementwise:
    """The quotient, and 0 with derivative 0 where the denominator is 0."""
    nonzero = denominator != 0
    return jnp.where(nonzero, numerator / jnp.where(nonzero, denominator, 1), 0)


_REFINED_AT_ONCE = 32


def angle_gaps(
    x1: Float[Array, "n1 d"], x2: Float[Array, "n2 d"], *, symmetric: bool = False
) -> tuple[Float[Array, "n1 n2"], Float[Array, "n1 n2"]]:
    """1 − cos θ and 1 + cos θ between the rows of ``x1`` and of ``x2``.

    One matrix product of unit vectors serves the pairs at a fair angle. Pairs closer than
    1 − |cos θ| = ε^(1/4) are computed again from the difference of their rows, so that θ is
    accurate to ε·‖x1 − x2‖/‖x2‖ where they nearly coincide and to ε everywhere. That costs
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
    return jnp.where(obtuse, 2 + folded, folded), jnp.where(obtuse, -folded, 2 - folded)


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
    threshold = float(jnp.finfo(folded.dtype).eps) ** 0.25
    columns = jnp.arange(n2)

    def is_close(values, row):
        close = jnp.abs(values) < threshold
        return close & (columns > row) if symmetric else close

    flagged = jax.vmap(is_close)(folded, jnp.arange(n1)).any(axis=1)
    rows = jnp.nonzero(flagged, size=n1, fill_value=0)[0]

    def refine_row(k, folded):
        row = rows[k]

        def refine_some(state):
            values, close = state
            chosen = jnp.nonzero(close, size=min(_REFINED_AT_ONCE, n2), fill_value=n2)[0]
            others = x2.at[chosen].get(mode="clip")
            obtuse = values.at[chosen].get(mode="clip") < 0
            exact = _folded_gap_from_difference(x1[row], others, obtuse)
            return values.at[chosen].set(exact, mode="drop"), close.at[chosen].set(
                False, mode="drop"
            )

        values, _ = jax.lax.while_loop(
            lambda state: state[1].any(), refine_some, (folded[row], is_close(folded[row], row))
        )
        return folded.at[row].set(values)

    return jax.lax.fori_loop(0, flagged.sum(), refine_row, folded)


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
