"""A claim: statement, source, prediction, measurement, tolerance, negative control."""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from ntk_air._base.typing import AnyArray
from ntk_air.problem import Problem

Status: TypeAlias = Literal["holds", "fails", "control passed", "does not apply"]


class DoesNotApply(Exception):  # noqa: N818 – it is a verdict, not a failure
    """A claim's premises do not hold in a problem; the message says which."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A predicted and a measured number, and how far apart they may be.

    Attributes:
        predicted: by the theory.
        measured: by an independent computation.
        error: their distance; of curves or matrices the largest over all entries.
        tolerance: the largest error that counts as agreement.
    """

    predicted: float
    measured: float
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the error is within the tolerance; an error that is NaN is not."""
        return self.error <= self.tolerance


@dataclasses.dataclass(frozen=True)
class Claim:
    """One proposition, checked by comparing two independent computations.

    Attributes:
        name: the proposition's number in docs/theory.md.
        statement: what is claimed.
        source: who claims it.
        method: what is compared with what.
        control: what the negative control changes; it must not agree.
        measure: the comparison in a problem; raises ``DoesNotApply`` where the premises fail.
        measure_control: the same comparison with the premise broken.
    """

    name: str
    statement: str
    source: str
    method: str
    control: str
    measure: Callable[[Problem], Measurement]
    measure_control: Callable[[Problem], Measurement]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a claim in a problem.

    Attributes:
        claim: which.
        status: ``holds`` where the comparison agrees and the control does not.
        reason: why it does not apply; empty otherwise.
        measurement: of the claim, where it applies.
        control: of the negative control, where the claim applies.
        seconds: taken by both.
    """

    claim: Claim
    status: Status
    reason: str
    measurement: Measurement | None
    control: Measurement | None
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether it holds or says why it does not apply."""
        return self.status in ("holds", "does not apply")


def agreement(predicted: float, measured: float, *, tolerance: float) -> Measurement:
    """Two numbers agree within a tolerance relative to the predicted one."""
    error = abs(measured - predicted) / abs(predicted) if predicted else abs(measured)
    return Measurement(float(predicted), float(measured), float(error), tolerance)


def array_agreement(predicted: AnyArray, measured: AnyArray, *, tolerance: float) -> Measurement:
    """Two arrays agree in every entry, relative to the largest; their last norms are shown."""
    predicted, measured = np.asarray(predicted), np.asarray(measured)
    scale = float(np.max(np.abs(predicted)))
    error = float(np.max(np.abs(predicted - measured))) / scale
    last = [float(np.linalg.norm(array[-1])) for array in (predicted, measured)]
    return Measurement(last[0], last[1], error, tolerance)


def at_least(bound: float, measured: float) -> Measurement:
    """A number is at least as large as a bound; the error is by how much it falls short."""
    shortfall = max(0.0, bound - measured) if math.isfinite(measured) else math.inf
    return Measurement(float(bound), float(measured), shortfall, 0.0)


def at_most(bound: float, measured: float) -> Measurement:
    """A number is at most as large as a bound; the error is by how much it exceeds it."""
    excess = max(0.0, measured - bound) if math.isfinite(measured) else math.inf
    return Measurement(float(bound), float(measured), excess, 0.0)
