"""Dual activations: what an activation does to a pair of Gaussian pre-activations.

For (u, v) centred and Gaussian with covariance ((q11, q12), (q12, q22)):

    κ(q11, q12, q22) = E[φ(u)φ(v)],    κ̇(q11, q12, q22) = E[φ'(u)φ'(v)] = ∂κ/∂q12.
"""

import abc
from collections.abc import Callable
from typing import TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air.checks import check_choice
from ntk_air.kernels.gaussian_pair import Elementwise, GaussianPair
from ntk_air.typing import AnyArray


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

    def kappa(
        self,
        q11: Float[AnyArray, "*shape"],
        q12: Float[AnyArray, "*shape"],
        q22: Float[AnyArray, "*shape"],
    ) -> Float[Array, "*shape"]:
        """κ = E[φ(u)φ(v)] from a covariance; three arrays of one shape."""
        return self.dual(_pair(q11, q12, q22)).post.covariance

    def kappa_dot(
        self,
        q11: Float[AnyArray, "*shape"],
        q12: Float[AnyArray, "*shape"],
        q22: Float[AnyArray, "*shape"],
    ) -> Float[Array, "*shape"]:
        """κ̇ = E[φ'(u)φ'(v)] from a covariance; three arrays of one shape."""
        return self.dual(_pair(q11, q12, q22)).derivative_product


def _pair(q11: AnyArray, q12: AnyArray, q22: AnyArray) -> GaussianPair:
    return GaussianPair.from_covariance(jnp.asarray(q11), jnp.asarray(q12), jnp.asarray(q22))


def dual_from_products(
    product: Elementwise, variance1: Elementwise, variance2: Elementwise, derivative: Elementwise
) -> Dual:
    """The dual of a smooth activation from E[φ(u)φ(v)], E[φ(u)²], E[φ(v)²] and κ̇.

    Here 1 − cos θ is a difference and rounds at ε: a smooth κ does not amplify that.
    """
    return Dual(GaussianPair.from_covariance(variance1, product, variance2), derivative)


class PiecewiseLinear(Activation):
    """φ(x) = ``negative_slope``·x for x < 0, ``positive_slope``·x for x ≥ 0.

    With φ(x) = Ax + B|x|, θ the angle of the pair and s = √(q11·q22):
    κ = A²·s·cos θ + B²·s·(2/π)(sin θ + (π/2 − θ)cos θ), κ̇ = A² + B²(1 − 2θ/π)
    (Cho, Saul 2009, "Kernel Methods for Deep Learning", section 2, for A = B = 1/2).
    """

    negative_slope: float
    positive_slope: float

    def __init__(self, negative_slope: float, positive_slope: float):
        for name, slope in (("negative_slope", negative_slope), ("positive_slope", positive_slope)):
            if not abs(slope) < float("inf"):
                raise ValueError(f"{name} must be a finite number; got {slope!r}")
        if negative_slope == positive_slope == 0:
            raise ValueError("negative_slope and positive_slope must not both be 0")
        self.negative_slope = float(negative_slope)
        self.positive_slope = float(positive_slope)

    def __call__(self, x: AnyArray) -> Array:
        """φ(x), element by element."""
        return jnp.where(x < 0, self.negative_slope * x, self.positive_slope * x)

    def dual(self, pair: GaussianPair) -> Dual:
        """κ and κ̇ for each Gaussian pair."""
        odd = ((self.positive_slope + self.negative_slope) / 2) ** 2
        even = ((self.positive_slope - self.negative_slope) / 2) ** 2
        total = odd + even
        acute = pair.one_minus_cosine <= pair.one_plus_cosine
        fold = jnp.where(acute, pair.one_minus_cosine, pair.one_plus_cosine)
        folded_angle = jnp.arctan2(pair.sine, 1 - fold)
        angle = jnp.where(acute, folded_angle, jnp.pi - folded_angle)
        # |u||v| forgets signs, so its 1 − cosine is that of the folded angle, and small with it.
        even_gap = fold - (2 / jnp.pi) * _sine_minus_angle_cosine(folded_angle)
        post = GaussianPair(
            total * pair.variance1,
            total * pair.variance2,
            (odd / total) * pair.one_minus_cosine + (even / total) * even_gap,
            (odd / total) * pair.one_plus_cosine + (even / total) * (2 - even_gap),
        )
        return Dual(post, odd + even * (1 - (2 / jnp.pi) * angle))


def _sine_minus_angle_cosine(angle: Elementwise) -> Elementwise:
    """Sin θ − θ cos θ for 0 ≤ θ ≤ π/2, relative to its own size, θ³/3 at the origin.

    The Taylor series Σ_k (−1)^(k+1) 2k θ^(2k+1)/(2k+1)!, whose next term is below 1e-18.
    """
    square = angle * angle
    coefficients, factorial = [], 1.0
    for k in range(1, 12):
        factorial *= 2 * k * (2 * k + 1)
        coefficients.append((-1) ** (k + 1) * 2 * k / factorial)
    total = jnp.full_like(square, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * square + coefficient
    return total * square * angle


def relu() -> PiecewiseLinear:
    """φ(x) = max(x, 0)."""
    return PiecewiseLinear(0.0, 1.0)


def leaky_relu(slope: float = 0.01) -> PiecewiseLinear:
    """φ(x) = x for x ≥ 0 and ``slope``·x below."""
    return PiecewiseLinear(slope, 1.0)


def absolute_value() -> PiecewiseLinear:
    """φ(x) = |x|."""
    return PiecewiseLinear(-1.0, 1.0)


def identity() -> PiecewiseLinear:
    """φ(x) = x."""
    return PiecewiseLinear(1.0, 1.0)


ActivationLike: TypeAlias = str | Activation | Callable[[Array], Array]

_BY_NAME: dict[str, Callable[[], Activation]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "abs": absolute_value,
    "identity": identity,
}


def as_activation(activation: ActivationLike) -> Activation:
    """An activation from its name, from itself, or from any callable by quadrature.

    Raises:
        ValueError: the name is unknown.
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        check_choice("activation", activation, tuple(_BY_NAME))
        return _BY_NAME[activation]()
    raise ValueError(f"activation must be a name, an Activation or a callable; got {activation!r}")
