"""AIR from products with the kernel alone: shares, curve and area between bounds.

What ``air_curve`` computes from eigenvectors, for kernels too large for them (theory.md section 9).
With D(k) = uᵀ(I − ηΘ)ᵏu/‖u‖², the retrieved share is R_t = 1 − 2D(t) + D(2t), and it lies between
(1 − D(t))² and 1 − D(t). So bounds on decays bound the curve.

Its area is bounded twice. First by steps: the curve rises from point to point, so that it lies
between the staircases that its bounds allow; where the points are one step of descent apart it is
the straight line between them. And by the area under the estimated curve, which has a closed form:
where a share is off by at most e(t), never falling, the area is off by at most ∫ e dR of the other,
for signal and noise (the second integrated by parts).
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ntk_air._base.checks import check_at_least
from ntk_air.air.area import area_under_curve
from ntk_air.air.curve import curve_times
from ntk_air.air.rates import Dynamics, ModeRates, rates_of
from ntk_air.spectrum.krylov.enclosure import Enclosure, enclosure_within_one
from ntk_air.spectrum.krylov.measure import SpectralMeasure

_POINTS = 400

Times = Float[np.ndarray, " n_time"]


class AirCurveEnclosure(eqx.Module):
    """R_t(signal) against R_t(noise) and the area under it, between bounds."""

    times: Times
    """t in steps, 0 first; see ``AirCurve``."""
    signal: Enclosure
    """R_t of the signal."""
    noise: Enclosure
    """R_t of the noise."""
    area: Enclosure
    """The AIR-AUC, one value."""
    learning_rate: float
    dynamics: Dynamics = eqx.field(static=True)


def retrieved_share_enclosure(
    measure: SpectralMeasure,
    times: Times,
    *,
    learning_rate: float | None = None,
    dynamics: Dynamics = "descent",
) -> Enclosure:
    """R_t(u) = ‖g_t(Θ)u‖²/‖u‖² between bounds: the share of u retrieved by each time.

    Args:
        measure: of u.
        times: t in steps, whole ones for descent, at least 0; ∞ is allowed.
        learning_rate: η; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.

    Raises:
        ValueError: see ``SpectralMeasure.decay``.
    """
    times = np.asarray(times, np.float64)
    decay = measure.decay(
        np.concatenate([times, 2 * times]), learning_rate=learning_rate, dynamics=dynamics
    )
    (lower, lower_twice), (upper, upper_twice), (estimate, estimate_twice) = (
        np.split(values, 2) for values in (decay.lower, decay.upper, decay.estimate)
    )
    return enclosure_within_one(
        np.maximum(1 - 2 * upper + lower_twice, (1 - upper) ** 2),
        np.minimum(1 - 2 * lower + upper_twice, 1 - lower),
        1 - 2 * estimate + estimate_twice,
    )


def air_curve_enclosure(
    signal: SpectralMeasure,
    noise: SpectralMeasure,
    *,
    learning_rate: float | None = None,
    dynamics: Dynamics = "descent",
    n_points: int = _POINTS,
) -> AirCurveEnclosure:
    """R_t(y) against R_t(ζ) as t runs from 0 to ∞, with the area under it, between bounds.

    Args:
        signal: the measure of y.
        noise: the measure of ζ = ỹ − E[ỹ | y], centred, from the same products.
        learning_rate: η; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``.
        n_points: how many times the curve is given at, at least 3; more of them make the area's
            bounds by steps narrower.

    Raises:
        ValueError: measures of different products; see also ``SpectralMeasure.decay``.
    """
    check_at_least("n_points", float(n_points), 3.0)
    if not np.array_equal(signal.modes.nodes, noise.modes.nodes):
        raise ValueError("signal and noise must be measures of the same label_quadrature")
    rate = signal.default_learning_rate if learning_rate is None else learning_rate
    rates = rates_of(signal.modes.nodes, rate, zero_floor=signal.uncertainty, dynamics=dynamics)
    times = np.asarray(curve_times(rates, dynamics, n_points), np.float64)
    measures = (signal, noise)
    ours, theirs = (
        _rising(retrieved_share_enclosure(measure, times, learning_rate=rate, dynamics=dynamics))
        for measure in measures
    )
    area, off = _estimated_area(measures, (ours, theirs), times, rates, rate, dynamics)
    single = (dynamics == "descent") & (np.diff(times) == 1)
    lower = max(_least(ours.lower, theirs.upper, single), area - off)
    upper = min(1 - _least(theirs.lower, ours.upper, single), area + off)
    return AirCurveEnclosure(
        times=times,
        signal=ours,
        noise=theirs,
        area=enclosure_within_one(*(np.array([value]) for value in (lower, upper, area))),
        learning_rate=rate,
        dynamics=dynamics,
    )


def _rising(share: Enclosure) -> Enclosure:
    """A share never falls with time: a bound at one time holds at those behind, or before it."""
    lower = np.maximum.accumulate(share.lower)
    upper = np.minimum.accumulate(share.upper[::-1])[::-1]
    return enclosure_within_one(lower, upper, share.estimate)


def _estimated_area(
    measures: tuple[SpectralMeasure, SpectralMeasure],
    shares: tuple[Enclosure, Enclosure],
    times: Times,
    rates: ModeRates,
    rate: float,
    dynamics: Dynamics,
) -> tuple[float, float]:
    """The area under the estimated curve, and what it is off by at most."""
    weights = [jnp.asarray(m.modes.weights / m.energy, rates.dtype)[None] for m in measures]
    area = area_under_curve(rates, *weights, dynamics=dynamics)[0]
    off = len(rates) * float(jnp.finfo(area.dtype).eps)
    errors, least = [], []
    for measure, share in zip(measures, shares, strict=True):
        error = _share_error(measure, times, rate, dynamics)
        # No lower than this are both, the share and its estimate.
        least.append(np.maximum(share.lower - error, 0))
        # Nor, behind the last time, than they are there.
        errors.append(np.maximum.accumulate(np.append(error[1:], 1 - least[-1][-1])))
    for error, other in zip(errors, least[::-1], strict=True):
        # Each share rises from 0 to 1: what one is off by is weighted with the other's rise.
        off += float(error[-1] - np.sum(np.diff(error) * other[1:]))
    return float(area), off


def _share_error(measure: SpectralMeasure, times: Times, rate: float, dynamics: Dynamics) -> Times:
    """By how much the estimated share may be off until each time."""
    steps = np.concatenate([times, 2 * times])
    error = measure.estimate_error(steps, learning_rate=rate, dynamics=dynamics)
    once, twice = np.split(error, 2)
    return np.minimum(2 * once + twice, 1)


def _least(height: Times, position: Times, single: np.ndarray) -> float:
    """The least area under a curve that rises through points known by bounds.

    Args:
        height: lower bounds of the ordinates.
        position: upper bounds of the abscissae.
        single: whether a point and the next are joined by a straight line.
    """
    height = np.maximum.accumulate(height)
    middle = (height[:-1] + height[1:]) / 2
    steps = np.append(np.where(single, middle, height[:-1]), height[-1])
    return float(steps[-1] - np.sum(np.diff(steps) * position[1:]))
