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

from ntk_air._base.checks import check_whole_number
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
    """t in steps, 0 first, in equal ratios; whole steps for descent."""
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
        measure: spectral measure of the labels u.
        times: times t in steps, whole ones for descent, at least 0; ∞ is allowed.
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.

    Returns:
        Lower and upper bounds and an estimate at each time, (n_time,).

    Raises:
        ValueError: a time that is negative, or not whole for descent; a learning rate that is not
            positive, or above 1/λ₁ for descent.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import retrieved_share_enclosure
    >>> from ntk_air.kernels.operators.operator import DenseKernel
    >>> from ntk_air.spectrum.krylov import label_quadrature
    >>> theta, labels = DenseKernel(np.diag([4.0, 2.0, 1.0])), np.ones((3, 1))
    >>> measures = label_quadrature(theta, {"u": labels}, 3).measures()
    >>> share = retrieved_share_enclosure(measures["u"], np.array([0.0, 1.0, 100.0]))
    >>> share.estimate.round(4).tolist()  # a third of 1 + ½² + ¼² after a step
    [0.0, 0.4375, 1.0]
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
        signal: spectral measure of the clean labels y.
        noise: spectral measure of the centred noise ζ = ỹ − E[ỹ | y], from the same products.
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.
        n_points: number of times of the curve, at least 3; more of them narrow the area's bounds.

    Returns:
        Both shares and the area under the curve, each between bounds and with an estimate.

    Raises:
        ValueError: measures of different products, fewer than three points, a learning rate that is
            not positive, or above 1/λ₁ for descent.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import air_curve_enclosure
    >>> from ntk_air.kernels.operators.operator import DenseKernel
    >>> from ntk_air.spectrum.krylov import label_quadrature
    >>> labels = {"signal": np.array([[2.0], [1], [0]]), "noise": np.array([[0.0], [1], [2]])}
    >>> measures = label_quadrature(DenseKernel(np.diag([4.0, 2, 1])), labels, 3).measures()
    >>> area = air_curve_enclosure(measures["signal"], measures["noise"]).area
    >>> print(f"{area.lower[0]:.4f} … {area.upper[0]:.4f}")
    0.9047 … 0.9047
    """
    check_whole_number("n_points", n_points, minimum=3)
    if not np.array_equal(signal.modes.nodes, noise.modes.nodes):
        raise ValueError("signal and noise must be measures of the same label_quadrature")
    rate = signal.default_learning_rate if learning_rate is None else learning_rate
    rates = rates_of(
        signal.modes.nodes,
        signal.rate_of_nodes(rate),
        zero_floor=signal.uncertainty,
        dynamics=dynamics,
    )
    times = np.asarray(curve_times(rates, dynamics, n_points), np.float64)
    measures = (signal, noise)
    ours, theirs = (
        _rising(retrieved_share_enclosure(measure, times, learning_rate=rate, dynamics=dynamics))
        for measure in measures
    )
    area, off = _estimated_area(
        measures, (ours, theirs), times, rates=rates, rate=rate, dynamics=dynamics
    )
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
    *,
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
        height: lower bounds of the ordinates, (n_time,).
        position: upper bounds of the abscissae, (n_time,).
        single: whether a point and the next are joined by a straight line, (n_time − 1,).
    """
    height = np.maximum.accumulate(height)
    middle = (height[:-1] + height[1:]) / 2
    steps = np.append(np.where(single, middle, height[:-1]), height[-1])
    return float(steps[-1] - np.sum(np.diff(steps) * position[1:]))
