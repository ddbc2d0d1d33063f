"""A pair of jointly Gaussian pre-activations, kept so that small angles stay accurate.

A covariance matrix ((q11, q12), (q12, q22)) forgets the angle θ between nearly parallel inputs:
cos θ = q12/√(q11·q22) rounds at ε, so θ is lost below √ε (3e-4 in float32), and a ReLU kernel,
which has a cusp at θ = 0, is wrong by as much; where layers take near inputs apart, as wide weights
and an activation that saturates do, each multiplies what was lost. Here the pair is
(q11, q22, cos θ, 1 − |cos θ|), each accurate relative to its own size, and no step between layers
subtracts nearly equal numbers.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ntk_air.kernels.infinite.elementwise import Elementwise, safe_divide, safe_sqrt
from ntk_air.kernels.infinite.folded_angles import angle_of_gap


class GaussianPair(eqx.Module):
    """The law of (u, v), centred and jointly Gaussian, for each pair of inputs.

    The fields broadcast against each other: (n1, 1), (1, n2) and three of (n1, n2) for a kernel
    matrix, or five arrays of one shape.

    Attributes:
        variance1: E[u²].
        variance2: E[v²].
        cosine: cos θ, the correlation of u and v, accurate relative to its size.
        folded_gap: 1 − |cos θ|, accurate relative to its size.
        same_variance: where the variances are one number, however each was rounded.
    """

    variance1: Elementwise
    variance2: Elementwise
    cosine: Elementwise
    folded_gap: Elementwise
    same_variance: Bool[Array, "*#pairs"]

    @classmethod
    def identical(cls, variance: Float[Array, "*shape"]) -> "GaussianPair":
        """The pair (u, u): an angle of exactly zero."""
        # Behind a barrier: folding the recursion at a constant 0 keeps XLA busy, and it says so.
        zero = jax.lax.optimization_barrier(jnp.zeros_like(variance))
        return cls(variance, variance, zero + 1, zero, zero == 0)

    @classmethod
    def from_gaps(
        cls,
        variance1: Elementwise,
        variance2: Elementwise,
        one_minus_cosine: Elementwise,
        one_plus_cosine: Elementwise,
    ) -> "GaussianPair":
        """The pair with 1 − cos θ and 1 + cos θ given: a cosine near 0 is accurate to ε."""
        acute = one_minus_cosine < 1
        return cls(
            variance1,
            variance2,
            jnp.where(acute, 1 - one_minus_cosine, one_plus_cosine - 1),
            jnp.where(acute, one_minus_cosine, one_plus_cosine),
            variance1 == variance2,
        )

    @classmethod
    def from_covariance(
        cls, q11: Elementwise, q12: Elementwise, q22: Elementwise
    ) -> "GaussianPair":
        """The pair with a given covariance: angles below √ε are already lost in q12."""
        scale = safe_sqrt(q11) * safe_sqrt(q22)
        cosine = jnp.clip(safe_divide(q12, scale), -1, 1)
        return cls(q11, q22, cosine, 1 - jnp.abs(cosine), q11 == q22)

    def followed_by(
        self,
        variances: tuple[Elementwise, Elementwise],
        cosine: Elementwise,
        folded_gap: Elementwise,
    ) -> "GaussianPair":
        """The pair of another layer: equal variances stay equal, and large cosines are 1 − gap."""
        folded_gap = jnp.clip(folded_gap, 0, 1)
        by_gap = jnp.copysign(1 - folded_gap, cosine)
        cosine = jnp.where(folded_gap < 0.5, by_gap, cosine)
        return GaussianPair(*variances, cosine, folded_gap, self.same_variance)

    @property
    def scale(self) -> Elementwise:
        """√(q11·q22), formed so that very different variances neither over- nor underflow."""
        return safe_sqrt(self.variance1) * safe_sqrt(self.variance2)

    @property
    def one_minus_cosine(self) -> Elementwise:
        """1 − cos θ."""
        return jnp.where(self.cosine >= 0, self.folded_gap, 1 - self.cosine)

    @property
    def one_plus_cosine(self) -> Elementwise:
        """1 + cos θ."""
        return jnp.where(self.cosine >= 0, 1 + self.cosine, self.folded_gap)

    @property
    def sine_squared(self) -> Elementwise:
        """sin² θ."""
        return self.folded_gap * (2 - self.folded_gap)

    @property
    def folded_angle(self) -> Elementwise:
        """min(θ, π − θ) in radians."""
        return angle_of_gap(self.folded_gap)

    @property
    def angle(self) -> Elementwise:
        """θ in radians, from 0 to π."""
        return jnp.where(self.cosine >= 0, self.folded_angle, jnp.pi - self.folded_angle)

    @property
    def covariance(self) -> Elementwise:
        """q12 = E[uv]."""
        return self.scale * self.cosine

    @property
    def determinant(self) -> Elementwise:
        """q11·q22 − q12²."""
        return self.variance1 * self.variance2 * self.sine_squared

    @property
    def squared_distance(self) -> Elementwise:
        """E[(u − v)²]."""
        return self._norm_gap + 2 * self.scale * self.one_minus_cosine

    @property
    def squared_sum(self) -> Elementwise:
        """E[(u + v)²]."""
        return self._norm_gap + 2 * self.scale * self.one_plus_cosine

    @property
    def variance_difference(self) -> Elementwise:
        """q11 − q22."""
        return jnp.where(self.same_variance, 0, self.variance1 - self.variance2)

    @property
    def _norm_gap(self) -> Elementwise:
        """(√q11 − √q22)²."""
        difference = safe_sqrt(self.variance1) - safe_sqrt(self.variance2)
        return jnp.where(self.same_variance, 0, difference) ** 2

    def affine(
        self, weight_variance: Elementwise, bias_variance: Elementwise | None
    ) -> "GaussianPair":
        """The pair behind a dense layer: q → weight_variance · q + bias_variance in all entries.

        1 − cos θ after adding b to q11, q12, q22 is, with s = √(q11·q22) and s' the same after,
        (s(1 − cos θ) + b(√q11 − √q22)²/(s' + s + b))/s': a sum of terms that are not negative.
        """
        variance1 = weight_variance * self.variance1
        variance2 = weight_variance * self.variance2
        scaled = GaussianPair(
            variance1, variance2, self.cosine, self.folded_gap, self.same_variance
        )
        if bias_variance is None:
            return scaled
        b = bias_variance
        before = scaled.scale
        after = safe_sqrt(variance1 + b) * safe_sqrt(variance2 + b)
        grown = safe_divide(b * scaled._norm_gap, after + before + b)
        cosine = safe_divide(before * self.cosine + b, after)
        minus = safe_divide(before * self.one_minus_cosine + grown, after)
        added = b * (1 + safe_divide(variance1 + variance2 + b, after + before))
        plus = safe_divide(added + before * self.one_plus_cosine, after)
        gap = jnp.where(cosine >= 0, minus, plus)
        return scaled.followed_by((variance1 + b, variance2 + b), cosine, gap)
