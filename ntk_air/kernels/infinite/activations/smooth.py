"""Smooth activations with a dual in closed form: erf, sine, cosine, GELU.

Arguments of roots are written with the determinant q11·q22 − q12² of the pair, never as a
difference of products, so that large variances do not cancel.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ntk_air._base.kinds import kind
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.activations.dual import Activation, Dual, dual_from_products
from ntk_air.kernels.infinite.elementwise import Elementwise, arctan
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair


@kind("erf")
class Erf(Activation):
    """φ = erf, whose dual is an arcsine (Williams 1997, "Computing with Infinite Networks").

    κ = (2/π) arctan(2·q12/√m) and κ̇ = 4/(π√m) with m = 1 + 2·q11 + 2·q22 + 4(q11·q22 − q12²).
    """

    def __call__(self, x: AnyArray) -> Array:
        """φ(x), element by element."""
        return jax.scipy.special.erf(x)

    def unit_second_moment(self) -> float:
        """E[φ(z)²] for z ~ N(0, 1)."""
        return (2 / math.pi) * math.asin(2 / 3)

    def dual(self, pair: GaussianPair) -> Dual:
        """κ and κ̇ for each Gaussian pair."""
        root = jnp.sqrt(1 + 2 * (pair.variance1 + pair.variance2) + 4 * pair.determinant)
        product = (2 / jnp.pi) * arctan(2 * pair.covariance / root)
        derivative = (4 / jnp.pi) / root
        moment1, moment2 = self._moment(pair.variance1), self._moment(pair.variance2)
        return dual_from_products(product, moment1, moment2, derivative)

    def _moment(self, variance: Elementwise) -> Elementwise:
        return (2 / jnp.pi) * arctan(2 * variance / jnp.sqrt(1 + 4 * variance))


@kind("sine")
class Sine(Activation):
    """φ = sin: κ, κ̇ = (exp(−E[(u − v)²]/2) ∓ exp(−E[(u + v)²]/2))/2.

    From sin u·sin v = (cos(u − v) − cos(u + v))/2 and the characteristic function of a Gaussian
    (Rahimi, Recht 2007, section 3).
    """

    def __call__(self, x: AnyArray) -> Array:
        """φ(x), element by element."""
        return jnp.sin(x)

    def unit_second_moment(self) -> float:
        """E[φ(z)²] for z ~ N(0, 1)."""
        return -math.expm1(-2) / 2

    def dual(self, pair: GaussianPair) -> Dual:
        """κ and κ̇ for each Gaussian pair."""
        moment1, moment2 = (
            -jnp.expm1(-2 * pair.variance1) / 2,
            -jnp.expm1(-2 * pair.variance2) / 2,
        )
        return dual_from_products(_sine_product(pair), moment1, moment2, _cosine_product(pair))


@kind("cosine")
class Cosine(Activation):
    """φ = cos: the dual of ``Sine`` with κ and κ̇ exchanged."""

    def __call__(self, x: AnyArray) -> Array:
        """φ(x), element by element."""
        return jnp.cos(x)

    def unit_second_moment(self) -> float:
        """E[φ(z)²] for z ~ N(0, 1)."""
        return (1 + math.exp(-2)) / 2

    def dual(self, pair: GaussianPair) -> Dual:
        """κ and κ̇ for each Gaussian pair."""
        moment1, moment2 = (
            (1 + jnp.exp(-2 * pair.variance1)) / 2,
            (1 + jnp.exp(-2 * pair.variance2)) / 2,
        )
        return dual_from_products(_cosine_product(pair), moment1, moment2, _sine_product(pair))


def _cosine_product(pair: GaussianPair) -> Elementwise:
    """E[cos u cos v]."""
    return (jnp.exp(-pair.squared_distance / 2) + jnp.exp(-pair.squared_sum / 2)) / 2


def _sine_product(pair: GaussianPair) -> Elementwise:
    """E[sin u sin v], relative to its own size where the variances are small.

    (exp(−D/2) − exp(−S/2))/2 with S − D = 4·q12, so the larger one is factored out.
    """
    positive = pair.one_minus_cosine <= pair.one_plus_cosine
    nearer = jnp.where(positive, pair.squared_distance, pair.squared_sum)
    # Each branch gets an argument that cannot overflow where the other one is taken.
    rise = -jnp.expm1(-2 * jnp.where(positive, pair.covariance, 0))
    fall = jnp.expm1(2 * jnp.where(positive, 0, pair.covariance))
    return jnp.exp(-nearer / 2) * jnp.where(positive, rise, fall) / 2


@kind("gelu")
class GELU(Activation):
    """φ(x) = xΦ(x) with Φ the normal distribution function (the exact form, not the tanh one).

    By Stein's identity, with m = 1 + q11 + q22 + Δ, Δ = q11·q22 − q12²,
    r = 1/(1 + q11) + 1/(1 + q22) and a = 1/4 + arctan(q12/√m)/2π = E[Φ(u)Φ(v)]:
    κ = a·q12 + (Δ + r·q12²)/(2π√m), and κ̇ is its derivative in q12.
    """

    def __call__(self, x: AnyArray) -> Array:
        """φ(x), element by element."""
        return jax.nn.gelu(x, approximate=False)

    def unit_second_moment(self) -> float:
        """E[φ(z)²] for z ~ N(0, 1)."""
        return (
            1 / 4 + math.atan(1 / math.sqrt(3)) / (2 * math.pi) + 1 / (2 * math.pi * math.sqrt(3))
        )

    def dual(self, pair: GaussianPair) -> Dual:
        """κ and κ̇ for each Gaussian pair."""
        q12 = pair.covariance
        m = 1 + pair.variance1 + pair.variance2 + pair.determinant
        weight = 1 / (2 * jnp.pi * jnp.sqrt(m))
        r = 1 / (1 + pair.variance1) + 1 / (1 + pair.variance2)
        both_positive = 1 / 4 + arctan(q12 / jnp.sqrt(m)) / (2 * jnp.pi)
        quadratic = pair.determinant + r * q12**2
        derivative = both_positive + weight * q12 * (2 * r - 1 + quadratic / m)
        product = both_positive * q12 + weight * quadratic
        moment1, moment2 = self._moment(pair.variance1), self._moment(pair.variance2)
        return dual_from_products(product, moment1, moment2, derivative)

    def _moment(self, q: Elementwise) -> Elementwise:
        root = jnp.sqrt(1 + 2 * q)
        half = q / 4 + q * arctan(q / root) / (2 * jnp.pi)
        return half + q**2 / (1 + q) / (jnp.pi * root)
