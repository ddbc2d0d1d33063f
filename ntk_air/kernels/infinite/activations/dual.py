"""Dual activations: what an activation does to a pair of Gaussian pre-activations.

For (u, v) centred and Gaussian with covariance ((q11, q12), (q12, q22)):

    κ(q11, q12, q22) = E[φ(u)φ(v)],    κ̇(q11, q12, q22) = E[φ'(u)φ'(v)] = ∂κ/∂q12.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.elementwise import Elementwise, safe_divide, safe_sqrt
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair

_NEAR = 0.25
"""The 1 − |cos θ| below which it is computed apart from the cosine."""


class Dual(eqx.Module):
    """The two expectations, and the law of the pair behind the activation.

    Attributes:
        post: second moments of (φ(u), φ(v)); ``post.covariance`` is κ.
        derivative_product: κ̇.
    """

    post: GaussianPair
    derivative_product: Elementwise


class Activation(eqx.Module):
    """An activation function φ, known by its dual."""

    @abc.abstractmethod
    def __call__(self, x: AnyArray) -> Array:
        """φ(x), element by element."""

    @abc.abstractmethod
    def dual(self, pair: GaussianPair) -> Dual:
        """κ and κ̇ for each Gaussian pair."""

    @abc.abstractmethod
    def unit_second_moment(self) -> float:
        """E[φ(z)²] for z ~ N(0, 1)."""

    def numbers_per_input(self) -> int:
        """How many numbers the dual holds for each single input, beside those for pairs."""
        return 0

    def numbers_per_pair(self) -> int:
        """How many numbers the dual holds for each pair, beside those of a ReLU's."""
        return 6

    def roundings(self) -> float:
        """How many ε E[φ²] may be wrong by."""
        return 1.0

    def resolving(self, variance: Float[Array, ""]) -> "Activation":
        """The activation to use where pre-activations have variances up to this one.

        Raises:
            ValueError: there is none whose expectations are accurate there.
        """
        return self

    def kappa(
        self,
        q11: Float[AnyArray, "*shape"],
        q12: Float[AnyArray, "*shape"],
        q22: Float[AnyArray, "*shape"],
    ) -> Float[Array, "*shape"]:
        """κ = E[φ(u)φ(v)] from a covariance; three arrays of one shape."""
        return _dual(self, q11, q12, q22).post.covariance

    def kappa_dot(
        self,
        q11: Float[AnyArray, "*shape"],
        q12: Float[AnyArray, "*shape"],
        q22: Float[AnyArray, "*shape"],
    ) -> Float[Array, "*shape"]:
        """κ̇ = E[φ'(u)φ'(v)] from a covariance; three arrays of one shape."""
        return _dual(self, q11, q12, q22).derivative_product


@eqx.filter_jit
def _dual(activation: Activation, q11: AnyArray, q12: AnyArray, q22: AnyArray) -> Dual:
    covariance = (jnp.asarray(q11), jnp.asarray(q12), jnp.asarray(q22))
    return activation.dual(GaussianPair.from_covariance(*covariance))


def smooth_dual(
    pair: GaussianPair,
    product: Elementwise,
    moments: tuple[Elementwise, Elementwise],
    *,
    near_gap: Elementwise,
    derivative: Elementwise,
) -> Dual:
    """The dual of a smooth activation from E[φ(u)φ(v)], (E[φ(u)²], E[φ(v)²]) and κ̇.

    A cosine near ±1 rounds at ε, so 1 − |cos θ| there is ``near_gap``: accurate relative to its
    size where the moments are of one order. Elsewhere it may be anything.
    """
    moment1, moment2 = moments
    cosine = jnp.clip(safe_divide(product, safe_sqrt(moment1) * safe_sqrt(moment2)), -1, 1)
    gap = 1 - jnp.abs(cosine)
    alike = jnp.abs(moment1 - moment2) <= (moment1 + moment2) / 2
    near = alike & (gap < _NEAR) & (moment1 > 0)
    gap = jnp.where(near, jnp.clip(near_gap, 0, 1), gap)
    return Dual(pair.followed_by(moments, cosine, gap), derivative)
