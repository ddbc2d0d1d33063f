"""What a run follows: descent or its flow, with all of its numbers."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx

from ntk_air._base.checks import (
    as_float,
    as_number,
    check_flag,
    check_fraction,
    check_positive,
    is_function,
)
from ntk_air.dynamics.filters.momentum import HeavyBall
from ntk_air.dynamics.filters.spectral import GradientDescent, GradientFlow, SpectralFilter
from ntk_air.dynamics.run.learning_rate import RelativeRate, absolute_rate

RateSchedule: TypeAlias = Callable[[Any], Any]
"""From the number of steps taken to a learning rate, traceable by JAX, such as optax's."""

Rate: TypeAlias = float | int | RelativeRate | RateSchedule


def _as_rate(rate: Any) -> Any:
    """Numbers of NumPy and JAX as Python's: they are static."""
    return as_number(rate)


class Descent(eqx.Module):
    """Gradient descent with heavy-ball momentum: v ← βv − η∇L, θ ← θ + v (Polyak 1964).

    One object for kernel-regime runs (theory.md sections 0 and 1) and for finite networks.

    Args:
        rate: learning rate η: an absolute number above 0; ``RelativeRate(fraction)``, a fraction
            of 1/λ₁; or, for finite networks, a schedule from steps to rates.
        momentum: momentum β, in [0, 1).
        allow_divergence: whether a rate at or above the bound of stability is accepted.

    Raises:
        ValueError: for a rate that is not a finite number above 0 and a momentum outside [0, 1).

    >>> import ntk_air as na
    >>> na.Descent(na.RelativeRate(0.5)).absolute_rate(largest_eigenvalue=4.0)
    0.125
    """

    rate: Rate = eqx.field(default=RelativeRate(1.0), converter=_as_rate, static=True)
    momentum: float = eqx.field(default=0.0, converter=as_float, kw_only=True, static=True)
    allow_divergence: bool = eqx.field(default=False, kw_only=True, static=True)

    def __check_init__(self):
        if not isinstance(self.rate, RelativeRate) and not is_function(self.rate):
            check_positive("rate", self.rate)
        check_fraction("momentum", self.momentum)
        if self.momentum == 1:
            raise ValueError("momentum must lie below 1: at 1 no motion ever comes to rest")
        check_flag("allow_divergence", self.allow_divergence)

    def absolute_rate(self, *, largest_eigenvalue: float, curvature: float = 1.0) -> float:
        """Return η, having refused one at which a run in the kernel regime would diverge.

        Args:
            largest_eigenvalue: λ₁ of the kernel.
            curvature: κ, the largest second derivative of the loss by one output.

        Raises:
            ValueError: for a schedule of rates, and for a rate at or above the bound of
                stability unless ``allow_divergence``.
        """
        if not isinstance(self.rate, RelativeRate | float | int):
            raise ValueError(
                "rate must be a number or RelativeRate in the kernel regime: schedules of the "
                f"learning rate are for finite networks; got {self.rate!r}"
            )
        return absolute_rate(
            self.rate,
            largest_eigenvalue=largest_eigenvalue,
            momentum=self.momentum,
            curvature=curvature,
            allow_divergence=self.allow_divergence,
        )

    def filter(self, *, largest_eigenvalue: float) -> SpectralFilter:
        """The spectral filter of descent on the square loss at this rate."""
        rate = self.absolute_rate(largest_eigenvalue=largest_eigenvalue)
        if self.momentum == 0:
            return GradientDescent(rate)
        return HeavyBall(rate, self.momentum)


class Flow(eqx.Module):
    """Gradient flow df/ds = −Θ(f − ỹ) at s = ηt (theory.md section 1).

    Args:
        rate: time η of the flow that counts as a step: an absolute number above 0, or
            ``RelativeRate(fraction)``, a fraction of 1/λ₁. Any will do: nothing diverges.

    Raises:
        ValueError: for a rate that is not a finite number above 0.

    >>> import ntk_air as na
    >>> na.Flow(0.25).filter(largest_eigenvalue=4.0).description
    'gradient flow, exact'
    """

    rate: float | int | RelativeRate = eqx.field(
        default=RelativeRate(1.0), converter=_as_rate, static=True
    )

    def __check_init__(self):
        if not isinstance(self.rate, RelativeRate):
            check_positive("rate", self.rate)

    def filter(self, *, largest_eigenvalue: float) -> SpectralFilter:
        """The spectral filter of the flow."""
        rate = absolute_rate(
            self.rate, largest_eigenvalue=largest_eigenvalue, allow_divergence=True
        )
        assert math.isfinite(rate)
        return GradientFlow(rate)
