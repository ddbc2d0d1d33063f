"""The area under the AIR curve in closed form, and the times at which shares are reached.

With mode shares a of the signal and b of the noise, R_t(y) = Σ_j a_j g_t(λ_j)², likewise R_t(ζ),
and the area ∫ R_t(y) dR_t(ζ) over all times is Σ_jk a_j b_k h(j, k), where h(j, k) is the area when
the signal is mode j alone and the noise mode k. Each h is a sum of exponentials in t, integrated
term by term: no grid of times is involved.

Gradient flow: with p = μ_k/(μ_j + μ_k), h = 1 − 5p + 4p/(1 + p) + 2p/(2 − p).

Descent: the curve joins its points at t = 0, 1, 2, … by straight lines. With x = ηλ_j, y = ηλ_k,
u ∘ v = u + v − uv, what two factors 1 − u and 1 − v lose together, and u² := u ∘ u,
h = 1 − (2 − x)·[2y/(x ∘ y) − y²/(x ∘ y²)] + (1 + (1 − x)²)/2·[2y/(x² ∘ y) − y²/(x² ∘ y²)],
geometric series over t. It tends to the flow's as η → 0.

h(j, k) + h(k, j) = 1, so that equal modes give ½; h = 1 for a signal mode and a noise mode of rate
0, which is never retrieved. Two such modes are a tie, ½: the curve's end and (1, 1) are joined by a
straight line, as in a ROC curve. So energy in zero modes counts as retrieved after all else, and
the area needs no other norm.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntk_air._base.typing import AnyArray
from ntk_air.air.rates import Dynamics, ModeRates, retrieved


@partial(jax.jit, static_argnames="dynamics")
def area_under_curve(
    rates: ModeRates,
    signal: Float[Array, "n_draw n_mode"],
    noise: Float[Array, "n_draw n_mode"],
    *,
    dynamics: Dynamics,
) -> Float[Array, " n_draw"]:
    """∫ R_t(y) dR_t(ζ) for each draw, exact to rounding.

    Args:
        rates: rates μ_j of these dynamics per step, 0 … ∞, (n_mode,).
        signal: energy shares of the signal over the modes, (n_draw, n_mode).
        noise: energy shares of the noise, (n_draw, n_mode).
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.
    """
    pair_area = _descent_pair_area if dynamics == "descent" else _flow_pair_area
    speeds = -jnp.expm1(-rates) if dynamics == "descent" else rates

    def against_noise(speed: Float[Array, ""]) -> Float[Array, " n_draw"]:
        tied_for_ever = (speed == 0) & (speeds == 0)
        areas = jnp.where(tied_for_ever, 0.5, pair_area(speed, jnp.where(tied_for_ever, 1, speeds)))
        return jnp.matmul(noise, areas, precision="highest")

    weighted = jax.lax.map(against_noise, speeds, batch_size=64)
    return jnp.sum(signal * weighted.T, axis=1)


def _flow_pair_area(signal: Float[Array, ""], noise: ModeRates) -> ModeRates:
    share = noise / (signal + noise)
    return 1 - 5 * share + 4 * share / (1 + share) + 2 * share / (2 - share)


def _descent_pair_area(signal: Float[Array, ""], noise: ModeRates) -> ModeRates:
    def lost(first: AnyArray, second: AnyArray) -> AnyArray:
        return first + second - first * second

    signal_squared, noise_squared = lost(signal, signal), lost(noise, noise)

    def series(left: AnyArray) -> AnyArray:
        return 2 * noise / lost(left, noise) - noise_squared / lost(left, noise_squared)

    mean_square = (1 + (1 - signal) ** 2) / 2
    return 1 - (2 - signal) * series(signal) + mean_square * series(signal_squared)


@jax.jit
def shares_at(
    rates: ModeRates, shares: Float[Array, " n_mode"], times: Float[Array, " n_time"]
) -> Float[Array, " n_time"]:
    """R_t = Σ_j a_j g_t(λ_j)² at each time."""
    return jax.lax.map(lambda time: share_at(rates, shares, time), times, batch_size=64)


@jax.jit
def share_at(
    rates: ModeRates, shares: Float[Array, " n_mode"], time: Float[Array, ""]
) -> Float[Array, ""]:
    """R_t at one time."""
    return jnp.sum(shares * retrieved(rates, time) ** 2)


@jax.jit
def bracket_crossing(
    rates: ModeRates,
    shares: Float[Array, " n_mode"],
    level: Float[Array, ""],
    span: Float[Array, "2"],
) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
    """A time with R_t < level and a time with R_t ≥ level, neighbours to rounding.

    By bisection of the logarithm of time: R_t increases.

    Args:
        rates: rates μ_j per step, (n_mode,).
        shares: energy shares over the modes, (n_mode,).
        level: share to reach, in [0, 1].
        span: times in steps to search between, (2,).

    Returns:
        The two times, which mean nothing unless ``span`` brackets the crossing; and R_t at the
        start of ``span`` and at t = ∞, which tell whether it does.
    """

    def halve(_: Int[Array, ""], bracket: Float[Array, "2"]) -> Float[Array, "2"]:
        middle = jnp.sqrt(bracket[0]) * jnp.sqrt(bracket[1])
        below = share_at(rates, shares, middle) < level
        return jnp.where(below, jnp.stack([middle, bracket[1]]), jnp.stack([bracket[0], middle]))

    infinity = jnp.asarray(jnp.inf, rates.dtype)
    ends = jnp.stack([share_at(rates, shares, time) for time in (span[0], infinity)])
    return jax.lax.fori_loop(0, 80, halve, span), ends


def time_span(rates: ModeRates) -> tuple[float, float]:
    """Times between which everything happens: below no finite rate has acted, above all have."""
    values = np.asarray(rates)
    finite = values[np.isfinite(values) & (values > 0)]
    if len(finite) == 0:  # nothing is retrieved but by the first step
        return 0.5, 1.0
    return 1e-3 / float(finite.max()), 50 / float(finite.min())
