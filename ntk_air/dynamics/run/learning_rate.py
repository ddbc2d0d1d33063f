"""Learning rates, absolute or relative to the kernel, and the bound above which they diverge."""

import dataclasses
from typing import TypeAlias

from ntk_air._base.checks import check_fraction, check_positive


@dataclasses.dataclass(frozen=True)
class RelativeRate:
    """η = fraction / λ₁.

    Args:
        fraction: share of 1/λ₁, above 0; plain descent on the square loss is stable below 2.

    Raises:
        ValueError: for a fraction that is not a finite number above 0.

    >>> import ntk_air as na
    >>> na.Descent(na.RelativeRate(0.5)).absolute_rate(largest_eigenvalue=4.0)
    0.125
    """

    fraction: float | int = 1.0

    def __post_init__(self):
        check_positive("fraction", self.fraction)


LearningRate: TypeAlias = float | int | RelativeRate
"""An absolute η, or a fraction of 1/λ₁."""

DEFAULT_RATE = RelativeRate(1.0)
"""η = 1/λ₁: the largest at which no mode overshoots."""


def stability_bound(
    largest_eigenvalue: float, *, momentum: float | int = 0.0, curvature: float = 1.0
) -> float:
    """The rate that a stable run stays below: 2(1 + β) / (κλ₁).

    On a quadratic a mode of heavy ball is stable exactly where ηκλ < 2(1 + β) (Polyak 1964);
    β = 0 is plain descent (theory.md section 0).

    Args:
        largest_eigenvalue: λ₁ of the kernel.
        momentum: β of heavy ball, in [0, 1).
        curvature: κ, the largest second derivative of the loss by one output: 1 for ½‖f − y‖².
    """
    return 2.0 * (1.0 + momentum) / (curvature * largest_eigenvalue)


def absolute_rate(
    learning_rate: LearningRate,
    *,
    largest_eigenvalue: float,
    momentum: float | int = 0.0,
    curvature: float = 1.0,
    allow_divergence: bool = False,
) -> float:
    """Return η, having refused one at which the run would diverge.

    Args:
        learning_rate: η itself, or ``RelativeRate(fraction)``.
        largest_eigenvalue: λ₁ of the kernel.
        momentum: β of heavy ball, in [0, 1).
        curvature: largest second derivative κ of the loss by one output: 1 for ½‖f − y‖².
        allow_divergence: accept a rate at or above the bound.

    Raises:
        ValueError: for a rate or λ₁ that is not a finite number above 0, a momentum outside
            [0, 1), and a rate at or above the bound unless ``allow_divergence``.
    """
    check_positive("largest_eigenvalue", largest_eigenvalue)
    check_fraction("momentum", momentum)
    if momentum == 1:
        raise ValueError("momentum must lie below 1: at 1 no mode ever comes to rest")
    if isinstance(learning_rate, RelativeRate):
        rate = learning_rate.fraction / largest_eigenvalue
    else:
        check_positive("learning_rate", learning_rate)
        rate = float(learning_rate)
    bound = stability_bound(largest_eigenvalue, momentum=momentum, curvature=curvature)
    if rate >= bound and not allow_divergence:
        raise ValueError(
            f"learning_rate must lie below {bound:.6g}, where the top mode "
            f"(λ₁ = {largest_eigenvalue:.6g}) stops shrinking; got {rate:.6g}: lower it, use "
            "RelativeRate(1.0) for 1/λ₁, or pass allow_divergence=True"
        )
    return rate
