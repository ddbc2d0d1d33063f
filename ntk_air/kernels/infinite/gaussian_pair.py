"""A pair of jointly Gaussian pre-activations, kept so that small angles stay accurate.

A covariance matrix ((q11, q12), (q12, q22)) forgets the angle θ between nearly parallel inputs:
cos θ = q12/√(q11·q22) rounds at ε, so θ is lost below √ε (3e-4 in float32), and a ReLU kernel,
which has a cusp at θ = 0, is wrong by as much. Here the pair is (q11, q22, 1 − cos θ, 1 + cos θ),
each accurate relative to its own size, and no step between layers subtracts nearly equal numbers.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air.kernels.infinite.elementwise import Elementwise, safe_divide, safe_sqrt
from ntk_air.kernels.infinite.folded_angles import angle_of_gap


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
        # Behind a barrier: folding the recursion at a constant 0 keeps XLA busy, and it says so.
        zero = jax.lax.optimization_barrier(jnp.zeros_like(variance))
        return cls(variance, variance, zero, zero + 2)

    @classmethod
    def from_covariance(
        cls, q11: Elementwise, q12: Elementwise, q22: Elementwise
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
    def folded_gap(self) -> Elementwise:
        """1 − |cos θ|."""
        return jnp.minimum(self.one_minus_cosine, self.one_plus_cosine)

    @property
    def folded_angle(self) -> Elementwise:
        """min(θ, π − θ) in radians."""
        return angle_of_gap(self.folded_gap)

    @property
    def angle(self) -> Elementwise:
        """θ in radians, from 0 to π."""
        acute = self.one_minus_cosine <= self.one_plus_cosine
        return jnp.where(acute, self.folded_angle, jnp.pi - self.folded_angle)

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

    def affine(
        self, weight_variance: Float[Array, ""], bias_variance: Float[Array, ""] | None
    ) -> "GaussianPair":
        """The pair behind a dense layer: q → weight_variance · q + bias_variance in all entries.

        1 − cos θ after adding b to q11, q12, q22 is, with s = √(q11·q22) and s' the same after,
        (s(1 − cos θ) + b(√q11 − √q22)²/(s' + s + b))/s': a sum of terms that are not negative.
        """
        variance1 = weight_variance * self.variance1
        variance2 = weight_variance * self.variance2
        scaled = GaussianPair(variance1, variance2, self.one_minus_cosine, self.one_plus_cosine)
        if bias_variance is None:
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
