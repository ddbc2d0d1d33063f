"""Retrieved shares over time, the AIR curve with its area, the AIR window (theory.md section 2)."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_fraction, check_whole_number
from ntk_air._base.typing import Curve, Targets, Times
from ntk_air.air.area import area_under_curve, bracket_crossing, share_at, shares_at, time_span
from ntk_air.air.energies import Shares, batched_energy_shares, one_draw
from ntk_air.air.rates import Dynamics, ModeRates, checked_times, retrieval_rates
from ntk_air.spectrum.result import Spectrum

_POINTS = 400


class AirCurve(eqx.Module):
    """R_t(signal) against R_t(noise), and the area under it."""

    times: Times
    """t in steps, 0 first, in equal ratios until every mode that moves at all is retrieved;
    whole steps, one by one as long as the ratios are closer, for descent."""
    signal: Curve
    """R_t of the signal."""
    noise: Curve
    """R_t of the noise."""
    area: float
    """The AIR-AUC over all times, in closed form and not from the times above. 1/2 for an isotropic
    kernel, 1 for perfect anisotropy; energy never retrieved comes last."""
    signal_never_retrieved: float
    """The share of the signal's energy in zero modes or outside a truncated spectrum."""
    noise_never_retrieved: float
    """The share of the noise's energy there."""
    learning_rate: float
    dynamics: Dynamics = eqx.field(static=True)
    notes: tuple[str, ...] = eqx.field(static=True)
    """The reasons where something fell short; empty where nothing did."""

    @property
    def area_among_retrieved(self) -> float:
        """The area counting only energy that is retrieved at all; NaN if one side has none.

        Zero modes add (1 − u)v + uv/2 to ``area``, u and v being the shares of signal and noise
        never retrieved; this is the rest of it, over (1 − u)(1 − v).
        """
        u, v = self.signal_never_retrieved, self.noise_never_retrieved
        retrieved = (1 - u) * (1 - v)
        return (self.area - (1 - u) * v - u * v / 2) / retrieved if retrieved > 0 else math.nan


class AirWindow(eqx.Module):
    """The times t with R_t(signal) ≥ 1 − δ and R_t(noise) ≤ δ′, possibly none."""

    start: float
    """The earliest t with R_t(signal) ≥ 1 − δ, in steps; ∞ where it never comes."""
    end: float
    """The latest t with R_t(noise) ≤ δ′, in steps; ∞ where the noise stays below for ever."""
    delta: float
    delta_prime: float
    reason: str = eqx.field(static=True)
    """Why the window is empty; the empty string where it is not."""

    @property
    def is_empty(self) -> bool:
        """Whether no time fulfils both conditions."""
        return self.reason != ""

    @property
    def steps(self) -> tuple[float, float] | None:
        """The first and the last whole step inside, or ``None``; the last may be ∞."""
        # Bisection ends one rounding beside a crossing that falls on a whole step.
        first = float(np.ceil(self.start * (1 - 1e-12)))
        last = float(np.floor(self.end * (1 + 1e-12)))
        return (first, last) if not self.is_empty and first <= last else None


class ModeShares(eqx.Module):
    """Rates with the energy shares of signals and noises over them, a last mode for the outside.

    Attributes:
        rates: rates μ per step, (n_mode,); the last is 0.
        signal: energy shares of the signals, (n_draw, n_mode); the last column is what a truncated
            spectrum does not hold.
        noise: energy shares of the noises, (n_draw, n_mode), with the same last column.
    """

    rates: Float[np.ndarray, " n_mode"]
    signal: Float[np.ndarray, "n_draw n_mode"]
    noise: Float[np.ndarray, "n_draw n_mode"]


def with_outside(spectrum: Spectrum, rates: ModeRates, signal: Shares, noise: Shares) -> ModeShares:
    """Append the energy outside a truncated spectrum as a mode that is never retrieved."""

    def extend(shares: Shares) -> np.ndarray:
        outside = np.maximum(1 - np.sum(shares, axis=1, keepdims=True), 0)
        return np.hstack([shares, np.zeros_like(outside) if spectrum.complete else outside])

    return ModeShares(
        rates=np.append(rates, np.zeros(1, rates.dtype)),
        signal=extend(signal),
        noise=extend(noise),
    )


def retrieved_share(
    spectrum: Spectrum,
    labels: Targets,
    times: Times,
    *,
    learning_rate: float | None = None,
    dynamics: Dynamics = "descent",
) -> Float[Array, " n_time"]:
    """R_t(u) = ‖g_t(Θ)u‖²/‖u‖², (n_time,): the share of u retrieved by each time.

    Args:
        spectrum: spectrum of Θ; what a truncated one lacks counts as never retrieved.
        labels: label matrix u, (n_train, n_out), in any unit.
        times: times t in steps, at least 0, (n_time,); ∞ is allowed.
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.

    Returns:
        Shares in [0, 1], (n_time,).

    Raises:
        ValueError: a negative or NaN time; labels of another number of rows, not finite or all
            zero; a learning rate that is not positive, or above 1/λ₁ for descent.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import retrieved_share
    >>> from ntk_air.spectrum.decomposition import decompose
    >>> spectrum = decompose(np.diag([4.0, 2.0]))
    >>> retrieved_share(spectrum, np.array([[0.0], [1.0]]), np.array([0.0, 1.0, 2.0])).tolist()
    [0.0, 0.25, 0.5625]
    """
    rates = retrieval_rates(spectrum, learning_rate=learning_rate, dynamics=dynamics)
    shares = batched_energy_shares(spectrum, labels[None], name="labels")[0]
    return shares_at(rates, shares, checked_times(times, rates))


def air_curve(
    spectrum: Spectrum,
    signal: Targets,
    noise: Targets,
    *,
    learning_rate: float | None = None,
    dynamics: Dynamics = "descent",
    n_points: int = _POINTS,
) -> AirCurve:
    """R_t(y) against R_t(ζ) as t runs from 0 to ∞, with the area under it.

    R_t(u) = ‖g_t(Θ)u‖²/‖u‖² is the share of u that training has retrieved by t (theory.md section
    2). The area is 1/2 for an isotropic kernel and 1 for perfect anisotropy.

    Args:
        spectrum: spectrum of Θ, (n_train, n_train).
        signal: clean labels y, (n_train, n_out), in any unit.
        noise: centred noise ζ = ỹ − E[ỹ | y], (n_train, n_out), in any unit.
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.
        n_points: number of times that the curve is given at, at least 3; the area is the same for
            all.

    Returns:
        The curve at ``n_points`` times, and its area in closed form.

    Raises:
        ValueError: labels of another number of rows, not finite or all zero; a learning rate that
            is not positive, or above 1/λ₁ for descent; fewer than three points.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> spectrum = na.decompose(np.diag([2.0, 1.0]))
    >>> signal, noise = np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]])
    >>> round(na.air_curve(spectrum, signal, noise, dynamics="flow").area, 12)  # 11/15
    0.733333333333
    """
    check_whole_number("n_points", n_points, minimum=3)
    modes = _modes(spectrum, signal, noise, learning_rate=learning_rate, dynamics=dynamics)
    never = modes.rates == 0
    never_signal, never_noise = (
        float(np.sum(shares[0, never])) for shares in (modes.signal, modes.noise)
    )
    times = jnp.asarray(curve_times(modes.rates, dynamics, n_points).astype(modes.rates.dtype))
    return AirCurve(
        times=times,
        signal=shares_at(modes.rates, modes.signal[0], times),
        noise=shares_at(modes.rates, modes.noise[0], times),
        area=float(area_under_curve(modes.rates, modes.signal, modes.noise, dynamics=dynamics)[0]),
        signal_never_retrieved=never_signal,
        noise_never_retrieved=never_noise,
        learning_rate=spectrum.default_learning_rate if learning_rate is None else learning_rate,
        dynamics=dynamics,
        notes=_shortfalls(spectrum, never_signal, never_noise),
    )


def air_window(
    spectrum: Spectrum,
    signal: Targets,
    noise: Targets,
    delta: float | tuple[float, float] = 0.1,
    *,
    learning_rate: float | None = None,
    dynamics: Dynamics = "descent",
) -> AirWindow:
    """The times with R_t(y) ≥ 1 − δ and R_t(ζ) ≤ δ′, by bisection to rounding.

    Args:
        spectrum: spectrum of Θ, (n_train, n_train).
        signal: clean labels y, (n_train, n_out), in any unit.
        noise: centred noise ζ = ỹ − E[ỹ | y], (n_train, n_out), in any unit.
        delta: shares (δ, δ′) in [0, 1] of the signal that may be missing and of the noise that may
            be there; one number stands for both.
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.

    Returns:
        First and last time in steps, and the reason where there is none between them.

    Raises:
        ValueError: δ or δ′ outside [0, 1]; labels of another number of rows, not finite or all
            zero; a learning rate that is not positive, or above 1/λ₁ for descent.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import air_window
    >>> from ntk_air.spectrum.decomposition import decompose
    >>> spectrum = decompose(np.diag([1.0, 0.01]))
    >>> air_window(spectrum, np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]]), 0.1).steps
    (1.0, 37.0)
    """
    delta, delta_prime = delta if isinstance(delta, tuple) else (delta, delta)
    check_fraction("delta", delta)
    check_fraction("delta_prime", delta_prime)
    modes = _modes(spectrum, signal, noise, learning_rate=learning_rate, dynamics=dynamics)
    _, start = _crossing(modes.rates, modes.signal[0], 1 - delta)
    # The noise may stay at δ′ itself, so it must first exceed it.
    above = float(np.nextafter(delta_prime, 1)) if delta_prime < 1 else math.inf
    end, _ = _crossing(modes.rates, modes.noise[0], above)
    return AirWindow(
        start=start,
        end=end,
        delta=delta,
        delta_prime=delta_prime,
        reason=_why_empty(modes, start, end, (delta, delta_prime)),
    )


def _modes(
    spectrum: Spectrum,
    signal: Targets,
    noise: Targets,
    *,
    learning_rate: float | None,
    dynamics: Dynamics,
) -> ModeShares:
    return with_outside(
        spectrum,
        retrieval_rates(spectrum, learning_rate=learning_rate, dynamics=dynamics),
        batched_energy_shares(spectrum, one_draw("signal", signal), name="signal"),
        batched_energy_shares(spectrum, one_draw("noise", noise), name="noise"),
    )


def curve_times(rates: ModeRates, dynamics: Dynamics, n_points: int) -> np.ndarray:
    """0 and times in equal ratios until every rate has acted; whole steps for descent."""
    first, last = time_span(rates)
    if dynamics == "flow":
        return np.append(0.0, np.geomspace(first, last, n_points - 1))
    later = np.round(np.geomspace(1.0, max(last, 1.0), n_points - 1))
    return np.append(0.0, np.maximum(np.arange(1, n_points), later))


def _crossing(
    rates: Float[np.ndarray, " n_mode"], shares: Float[np.ndarray, " n_mode"], level: float
) -> tuple[float, float]:
    """The last time with R_t < level and the first with R_t ≥ level; (∞, ∞) if it never is."""
    first, last = time_span(rates)
    first *= 1e-9  # early enough for any level above 1e-24
    if level <= 0:
        return 0.0, 0.0
    bracket, ends = bracket_crossing(
        rates, shares, np.asarray(level, rates.dtype), np.asarray([first, last], rates.dtype)
    )
    if float(ends[1]) < level:
        return math.inf, math.inf
    if float(ends[0]) >= level:  # by modes that the first step retrieves wholly
        return 0.0, float(np.nextafter(0, 1))
    return float(bracket[0]), float(bracket[1])


def _why_empty(modes: ModeShares, start: float, end: float, deltas: tuple[float, float]) -> str:
    delta, delta_prime = deltas
    if start <= end and math.isfinite(start):
        return ""
    if math.isinf(start):
        never = float(np.sum(modes.signal[0, modes.rates == 0]))
        return (
            f"the signal never reaches 1 − δ = {1 - delta:g}: {never:.3g} of its energy lies in "
            "modes that are never retrieved"
        )
    noise = float(share_at(modes.rates, modes.noise[0], np.asarray(start, modes.rates.dtype)))
    return (
        f"when the signal reaches 1 − δ = {1 - delta:g}, at step {start:.4g}, "
        f"{noise:.3g} of the noise is there, more than δ′ = {delta_prime:g}"
    )


def _shortfalls(spectrum: Spectrum, signal: float, noise: float) -> tuple[str, ...]:
    """Say what part of the curve rests on modes whose order is unknown."""
    notes: tuple[str, ...] = ()
    if max(signal, noise) > 1e-6:
        where = "in zero modes" if spectrum.complete else "in zero modes or outside the modes held"
        notes += (
            f"{signal:.3g} of the signal's and {noise:.3g} of the noise's energy lies {where}: it "
            "counts as never retrieved",
        )
    return notes
