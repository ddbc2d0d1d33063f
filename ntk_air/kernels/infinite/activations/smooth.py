"""Smooth activations with a dual in closed form: erf, sine, cosine, GELU.

Arguments of roots are written with sin² θ of the pair, never as a difference of products, and in
shares of 1, so that large variances neither cancel nor overflow. What an angle near 0 or π becomes
is computed from the angle and from the difference of the variances.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ntk_air._base.kinds import kind
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.activations.dual import Activation, Dual, smooth_dual
from ntk_air.kernels.infinite.elementwise import (
    Elementwise,
    arctan,
    arctan_unit,
    safe_divide,
    safe_sqrt,
)
from ntk_air.kernels.infinite.folded_angles import angle_minus_chord_of_gap
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair


@kind("erf")
class Erf(Activation):
    """φ = erf, whose dual is an arcsine (Williams 1997, "Computing with Infinite Networks").

    With x = 2q/(1 + 2q) for each variance, κ = (2/π)β for sin β = √(x1·x2)·cos θ, and
    κ̇ = (4/π)/√m with m = 1 + 2·q11 + 2·q22 + 4(q11·q22 − q12²).
    """

    def __call__(self, x: AnyArray) -> Array:
        """φ(x), element by element."""
        return jax.scipy.special.erf(x)

    def unit_second_moment(self) -> float:
        """E[φ(z)²] for z ~ N(0, 1)."""
        return (2 / math.pi) * math.asin(2 / 3)

    def dual(self, pair: GaussianPair) -> Dual:
        """κ and κ̇ for each Gaussian pair."""
        shares = _Shares(pair, 2)
        product = shares.angle * 2 / jnp.pi
        derivative = (4 / jnp.pi) * shares.root_rests / shares.cosine
        angle1, angle2 = (
            arctan(safe_divide(share, own))
            for share, own in zip(shares.shares, shares.own_cosines, strict=True)
        )
        near_gap = _near_gap(shares.determinant((angle1, angle2)), (angle1, angle2))
        moments = (2 / jnp.pi * angle1, 2 / jnp.pi * angle2)
        return smooth_dual(pair, product, moments, near_gap=near_gap, derivative=derivative)


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
        moments = (_fall(2 * pair.variance1) / 2, _fall(2 * pair.variance2) / 2)
        both, apart = _determinant_parts(pair)
        near_gap = _near_gap(both - apart, moments)
        return smooth_dual(
            pair, _sine_product(pair), moments, near_gap=near_gap, derivative=_cosine_product(pair)
        )


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
        moments = (
            (1 + jnp.exp(-2 * pair.variance1)) / 2,
            (1 + jnp.exp(-2 * pair.variance2)) / 2,
        )
        both, apart = _determinant_parts(pair)
        near_gap = _near_gap(both + apart, moments)
        return smooth_dual(
            pair, _cosine_product(pair), moments, near_gap=near_gap, derivative=_sine_product(pair)
        )


def _fall(x: Elementwise) -> Elementwise:
    """1 − e^{−x}."""
    return -jnp.expm1(-x)


def _determinant_parts(pair: GaussianPair) -> tuple[Elementwise, Elementwise]:
    """4(κ11·κ22 − κ²) is the first less (sine) or plus (cosine) the second.

    With S, D = E[(u ± v)²], the first is (1 − e^{−S})(1 − e^{−D}) and the second
    e^{−2·min(q11, q22)}(1 − e^{−|q11 − q22|})².
    """
    least = jnp.minimum(pair.variance1, pair.variance2)
    apart = _fall(jnp.abs(pair.variance_difference)) ** 2 * jnp.exp(-2 * least)
    return _fall(pair.squared_sum) * _fall(pair.squared_distance), apart


def _near_gap(determinant: Elementwise, moments: tuple[Elementwise, Elementwise]) -> Elementwise:
    """1 − |cos| of a pair with these moments and this 4(κ11·κ22 − κ²)."""
    moment1, moment2 = moments
    sine_squared = jnp.clip(safe_divide(safe_divide(determinant, 4 * moment1), moment2), 0, 1)
    return sine_squared / (1 + safe_sqrt(1 - sine_squared))


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

    By Stein's identity, with x = q/(1 + q) and t = 1/(1 + q) for each variance, s = √(q11·q22),
    sin β = y = √(x1·x2)·cos θ and a = 1/4 + β/2π = E[Φ(u)Φ(v)]:

        κ = a·q12 + (s√(x1·x2)·cos β + y²√(t1·t2)/cos β)/2π,
        κ̇ = a + y/(2π·cos β)·(t1 + t2 + t1·t2 + t1·t2·tan² β).
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
        shares = _Shares(pair, 1)
        rest1, rest2 = shares.rests
        tangent = safe_divide(shares.sine, shares.cosine)
        both_positive = 1 / 4 + shares.angle / (2 * jnp.pi)
        bend = rest1 + rest2 + rest1 * rest2 * (1 + tangent**2)
        derivative = both_positive + tangent * bend / (2 * jnp.pi)
        straight = pair.scale * shares.root_shares * shares.cosine
        curved = straight + shares.sine * tangent * shares.root_rests
        product = both_positive * pair.covariance + curved / (2 * jnp.pi)
        moments = (_gelu_at_one_angle(pair.variance1), _gelu_at_one_angle(pair.variance2))
        lost = self._lost_by_angle(pair, shares, both_positive) + self._lost_by_norms(pair)
        scale = safe_sqrt(moments[0]) * safe_sqrt(moments[1])
        # Opposite inputs are not opposite behind GELU, however nearly so where it is nearly linear.
        lost = jnp.where(product >= 0, lost, scale + product)
        near_gap = safe_divide(lost, scale)
        return smooth_dual(pair, product, moments, near_gap=near_gap, derivative=derivative)

    def _lost_by_angle(
        self, pair: GaussianPair, shares: "_Shares", both_positive: Elementwise
    ) -> Elementwise:
        """κ at the angle 0 less κ, for acute angles, as a sum of what is not negative."""
        rest1, rest2 = shares.rests
        own = safe_sqrt(rest1 + rest2 - rest1 * rest2)
        sine0, sine = shares.root_shares, jnp.abs(shares.sine)
        turned = safe_divide(
            shares.root_shares**2 * pair.sine_squared, sine0 * shares.cosine + sine * own
        )
        turned_gap = 1 - jnp.clip(own * shares.cosine + sine0 * sine, 0, 1)
        half_cosine = safe_sqrt(1 - jnp.minimum(turned_gap, 1) / 2)
        chord = turned / half_cosine
        middle = (own + shares.cosine) / (2 * half_cosine)
        flat = middle**2 / (1 + (sine0 + sine) / (2 * half_cosine))
        rise = (sine0 + sine) / (2 * half_cosine) * chord
        slope = pair.scale * (rest1 + rest2 - rest1 * rest2) / (1 + sine0)
        steep = safe_divide(shares.root_rests, own * shares.cosine)
        bend = angle_minus_chord_of_gap(jnp.clip(chord**2 / 2, 0, 1)) + chord * flat
        turning = pair.scale * bend + rise * (slope + shares.root_rests + steep)
        return turning / (2 * jnp.pi) + pair.scale * pair.folded_gap * both_positive

    def _lost_by_norms(self, pair: GaussianPair) -> Elementwise:
        """√(κ11·κ22) less κ at the angle 0; to second order where the variances are close."""
        moment1, moment2 = (_gelu_at_one_angle(q) for q in (pair.variance1, pair.variance2))
        scale = safe_sqrt(moment1) * safe_sqrt(moment2)
        plain = jnp.maximum(scale - _gelu_at_one_angle(pair.variance1, pair.variance2), 0)
        mean = (pair.variance1 + pair.variance2) / 2
        ratio = safe_divide(pair.variance_difference, mean)
        curvature = safe_sqrt(_curvature(pair.variance1)) * safe_sqrt(_curvature(pair.variance2))
        close = jnp.abs(ratio) < float(jnp.finfo(ratio.dtype).eps) ** 0.25
        return jnp.where(close, scale * curvature * ratio**2 / 2, plain)


def _gelu_at_one_angle(q11: Elementwise, q22: Elementwise | None = None) -> Elementwise:
    """κ of ``GELU`` at the angle 0."""
    q22 = q11 if q22 is None else q22
    rest1, rest2 = 1 / (1 + q11), 1 / (1 + q22)
    scale = safe_sqrt(q11) * safe_sqrt(q22)
    cosine = jnp.sqrt(rest1 + rest2 - rest1 * rest2)
    sine = scale * jnp.sqrt(rest1) * jnp.sqrt(rest2)
    tangent = sine / cosine
    curved = scale * sine * cosine + sine * tangent * jnp.sqrt(rest1) * jnp.sqrt(rest2)
    return scale * (1 / 4 + arctan(tangent) / (2 * jnp.pi)) + curved / (2 * jnp.pi)


def _curvature(q: Elementwise) -> Elementwise:
    """The second derivative, in log q, of −log cos between GELUs of parallel inputs.

    A constant to derivatives: it comes with the square of a small difference.
    """
    q = jnp.maximum(jax.lax.stop_gradient(q), float(jnp.finfo(q.dtype).tiny) ** 0.25)
    one = jnp.ones_like(q)

    def slope(log_ratio: Elementwise) -> Elementwise:
        def gap(log_ratio: Elementwise) -> Elementwise:
            other = q * jnp.exp(log_ratio)
            return jnp.log(_gelu_at_one_angle(other)) / 2 - jnp.log(_gelu_at_one_angle(other, q))

        return jax.jvp(gap, (log_ratio,), (one,))[1]

    return jnp.maximum(jax.jvp(slope, (jnp.zeros_like(q),), (one,))[1], 0)


class _Shares:
    """The angle β with sin β = √(x1·x2)·cos θ, x = factor·q/(1 + factor·q), and its parts.

    Attributes:
        rests: 1 − x for each variance.
        shares: x for each variance.
        root_rests: √((1 − x1)(1 − x2)).
        root_shares: √(x1·x2).
        sine: sin β.
        cosine: cos β, without a difference.
        angle: β.
    """

    def __init__(self, pair: GaussianPair, factor: int):
        self._pair, self._factor = pair, factor
        scaled = factor * pair.variance1, factor * pair.variance2
        rest1, rest2 = self.rests = tuple(1 / (1 + q) for q in scaled)
        share1, share2 = self.shares = scaled[0] * rest1, scaled[1] * rest2
        self.root_rests = jnp.sqrt(rest1) * jnp.sqrt(rest2)
        self.root_shares = safe_sqrt(share1) * safe_sqrt(share2)
        self.sine = self.root_shares * pair.cosine
        turned = share1 * share2 * pair.sine_squared
        self.cosine = safe_sqrt(rest1 + rest2 - rest1 * rest2 + turned)
        self.angle = arctan(safe_divide(self.sine, self.cosine))

    @property
    def own_cosines(self) -> tuple[Elementwise, Elementwise]:
        """Cos a for each variance, where sin a = x is sin β of a pair of one variance."""
        rest1, rest2 = self.rests
        return jnp.sqrt(rest1 * (2 - rest1)), jnp.sqrt(rest2 * (2 - rest2))

    def determinant(self, angles: tuple[Elementwise, Elementwise]) -> Elementwise:
        """4(a1·a2 − β²) for |β| near the angles a1, a2 given: where β is for pairs of one variance.

        It is e·(a1 + a2 + 2|β|) − (a1 − a2)² with e = a1 + a2 − 2|β|, and, with m the mean of
        a1 and a2, sin e/2 · sin(m + |β|) = sin² (a1 − a2)/2 + x1·x2·sin² θ: a sum of squares, so
        that all it knows of the norms is the difference of the variances.
        """
        (share1, share2), (rest1, rest2) = self.shares, self.rests
        (own1, own2), sine = self.own_cosines, jnp.abs(self.sine)
        both, along = share1 * own2 + share2 * own1, own1 * own2
        difference = self._factor * self._pair.variance_difference * rest1 * rest2
        across = safe_divide(difference * (share1 + share2), both)
        apart = arctan(safe_divide(across, along + share1 * share2))
        squares = across**2 / (2 * (1 + along + share1 * share2))
        squares += share1 * share2 * self._pair.sine_squared
        mean_cosine = jnp.sqrt((along + rest1 + rest2 - rest1 * rest2) / 2)
        mean_sine = safe_divide(both, 2 * mean_cosine)
        rise = safe_divide(squares, mean_sine * self.cosine + mean_cosine * sine)
        run = mean_cosine * self.cosine + mean_sine * sine
        excess = 2 * arctan_unit(jnp.minimum(safe_divide(rise, run), 1))
        return excess * (angles[0] + angles[1] + 2 * jnp.abs(self.angle)) - apart**2
