"""Activations linear on either side of zero: ReLU, leaky ReLU, absolute value, identity."""

import jax.numpy as jnp
from jaxtyping import Array

from ntk_air._base.kinds import kind
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.activations.dual import Activation, Dual
from ntk_air.kernels.infinite.folded_angles import sine_minus_angle_cosine_of_gap
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair


@kind("piecewise_linear")
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

    def unit_second_moment(self) -> float:
        """E[φ(z)²] for z ~ N(0, 1)."""
        return (self.positive_slope**2 + self.negative_slope**2) / 2

    def numbers_per_pair(self) -> int:
        """How many numbers the dual holds for each pair, beside those of a ReLU's."""
        return 0

    def dual(self, pair: GaussianPair) -> Dual:
        """κ and κ̇ for each Gaussian pair."""
        odd = ((self.positive_slope + self.negative_slope) / 2) ** 2
        even = ((self.positive_slope - self.negative_slope) / 2) ** 2
        total = odd + even
        # |u||v| forgets signs, so its 1 − cosine is that of the folded angle, and small with it.
        sine_minus_angle_cosine = sine_minus_angle_cosine_of_gap(pair.folded_gap)
        even_gap = pair.folded_gap - (2 / jnp.pi) * sine_minus_angle_cosine
        minus = (odd / total) * pair.one_minus_cosine + (even / total) * even_gap
        plus = (odd / total) * pair.one_plus_cosine + (even / total) * (2 - even_gap)
        # What A and B leave of a line, and nothing for ReLU at obtuse angles, by no difference.
        line = jnp.where(pair.cosine >= 0, even + odd, even - odd) / total
        bend = (even / total) * (2 / jnp.pi) * sine_minus_angle_cosine
        cosine = line * jnp.abs(pair.cosine) + bend
        gap = jnp.where(cosine >= 0, minus, plus)
        post = pair.followed_by((total * pair.variance1, total * pair.variance2), cosine, gap)
        return Dual(post, odd + even * (1 - (2 / jnp.pi) * pair.angle))


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
