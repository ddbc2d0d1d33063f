"""Dual activations: what an activation does to a pair of Gaussian pre-activations.

For (u, v) centred and Gaussian with covariance ((q11, q12), (q12, q22)):

    κ(q11, q12, q22) = E[φ(u)φ(v)],    κ̇(q11, q12, q22) = E[φ'(u)φ'(v)] = ∂κ/∂q12.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.elementwise import Elementwise
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair


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


def dual_from_products(
    product: Elementwise, variance1: Elementwise, variance2: Elementwise, derivative: Elementwise
) -> Dual:
    """The dual of a smooth activation from E[φ(u)φ(v)], E[φ(u)²], E[φ(v)²] and κ̇.

    Here 1 − cos θ is a difference and rounds at ε: a smooth κ does not amplify that.
    """
    return Dual(GaussianPair.from_covariance(variance1, product, variance2), derivative)
