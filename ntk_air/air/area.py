"""The area under the AIR curve in closed form, and the times at which shares are reached.

With mode shares a of the signal and b of the noise, and rates μ,
R_t(y) = Σ_j a_j (1 − e^{−tμ_j})², likewise R_t(ζ), and the area is ∫ R_t(y) dR_t(ζ) over all times.
Its integrand is a sum of exponentials, so that it integrates term by term to
Σ_jk a_j b_k h(μ_k/(μ_j + μ_k)) with

    h(p) = 1 − 5p + 4p/(1 + p) + 2p/(2 − p),   p = μ_k/(μ_j + μ_k),

the area when the signal is mode j alone and the noise mode k: h(0) = 1 (the signal comes first),
h(1) = 0, h(½) = ½, h(p) + h(1 − p) = 1. No grid of times is involved.

Two modes that are never retrieved, or both at once, are a tie: p = ½, which joins the curve's ends
by a straight line, as a ROC curve does. So energy in zero modes counts as retrieved after all
else, and the area needs no other norm: it is 1/2 for any isotropic kernel, whatever its rank.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ntk_air.air.rates import ModeRates, retrieved


@jax.jit
def area_under_curve(
    rates: ModeRates,
    signal: Float[Array, "n_draw n_mode"],
    noise: Float[Array, "n_draw n_mode"],
) -> Float[Array, " n_draw"]:
    """∫ R_t(y) dR_t(ζ) for each draw, exact to rounding.

    Args:
        rates: μ_j per step, 0 … ∞.
        signal: energy shares of the signal over the modes, (n_draw, n_mode).
        noise: energy shares of the noise, (n_draw, n_mode).
    """

    def against_noise(rate: Float[Array, ""]) -> Float[Array, " n_draw"]:
        return jnp.matmul(noise, _pair_area(rate, rates), precision="highest")

    weighted = jax.lax.map(against_noise, rates, batch_size=64)
    return jnp.sum(signal * weighted.T, axis=1)


def _pair_area(signal_rate: Float[Array, ""], noise_rates: ModeRates) -> Float[Array, " n_mode"]:
    tied = signal_rate == noise_rates
    total = signal_rate + noise_rates
    share = jnp.where(jnp.isinf(noise_rates), 1, noise_rates / jnp.where(tied, 1, total))
    share = jnp.where(tied, 0.5, share)
    return 1 - 5 * share + 4 * share / (1 + share) + 2 * share / (2 - share)


@jax.jit
def shares_at(
    rates: ModeRates, shares: Float[Array, " n_mode"], times: Float[Array, " n_time"]
) -> Float[Array, " n_time"]:
    """R_t = Σ_j a_j g_t(λ_j)² at each time."""
    return jax.lax.map(lambda time: _share_at(rates, shares, time), times, batch_size=64)


def _share_at(
    rates: ModeRates, shares: Float[Array, " n_mode"], time: Float[Array, ""]
) -> Float[Array, ""]:
    return jnp.sum(shares * retrieved(rates, time) ** 2)


@jax.jit
def bracket_crossing(
    rates: ModeRates,
    shares: Float[Array, " n_mode"],
    level: Float[Array, ""],
    span: Float[Array, "2"],
) -> Float[Array, "2"]:
    """A time with R_t < level and a time with R_t ≥ level, neighbours to rounding.

    By bisection of the logarithm of time: R_t increases. ``span`` must be such a pair of times,
    or the result is the end of it that comes nearest.
    """

    def halve(_: Int[Array, ""], bracket: Float[Array, "2"]) -> Float[Array, "2"]:
        middle = jnp.sqrt(bracket[0]) * jnp.sqrt(bracket[1])
        below = _share_at(rates, shares, middle) < level
        return jnp.where(below, jnp.stack([middle, bracket[1]]), jnp.stack([bracket[0], middle]))

    return jax.lax.fori_loop(0, 80, halve, span)


def time_span(rates: ModeRates) -> tuple[float, float]:
    """Times between which everything happens: below no finite rate has acted, above all have."""
    finite = jnp.isfinite(rates) & (rates > 0)
    fastest = float(jnp.max(rates, where=finite, initial=0))
    slowest = float(jnp.min(rates, where=finite, initial=jnp.inf))
    if fastest == 0:  # nothing is retrieved but by the first step
        return 0.5, 1.0
    return 1e-3 / fastest, 50 / slowest
