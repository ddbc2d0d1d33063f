"""A claim: statement, source, prediction, measurement, tolerance, negative control."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

from ntk_air._base.typing import AnyArray
from ntk_air.claims.sources import papers_of
from ntk_air.problem import Problem

Status: TypeAlias = Literal["holds", "fails", "control passed", "does not apply"]

Sign: TypeAlias = Literal["=", "≤", "≥", "→"]
"""How a measured number is held against a predicted one."""


class DoesNotApply(Exception):  # noqa: N818 – it is a verdict, not a failure
    """A claim's premises do not hold in a problem; the message says which."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A predicted and a measured number, and how far apart they may be.

    Args:
        predicted: number by the theory.
        measured: number by an independent computation.
        error: distance between the two; between curves or matrices the largest over all entries;
            by how much a bound is missed.
        tolerance: largest error that counts as agreement.
        sign: what stands between the measured number and the predicted one: ``"="`` equal within
            the tolerance, ``"≤"`` and ``"≥"`` bounds, ``"→"`` a limit that is approached.
        rate_in: variable, such as ``"m"``, where both numbers are powers of it, as in m^−½; empty
            where they are values.
    """

    predicted: float
    measured: float
    error: float
    tolerance: float
    sign: Sign = "="
    rate_in: str = ""

    @property
    def holds(self) -> bool:
        """Whether the error is within the tolerance; an error that is NaN is not."""
        return self.error <= self.tolerance


@dataclasses.dataclass(frozen=True)
class Claim:
    """One proposition, checked by comparing two independent computations.

    The negative control is the same comparison with its premise broken: it must not agree.

    Args:
        name: number of the proposition, such as in docs/theory.md.
        statement: sentence that is claimed.
        source: author and year, or section, that claims it.
        method: sentence that says what is compared with what.
        control: sentence that says what the negative control changes.
        measure: comparison ``measure(problem, **broken)``; raises ``DoesNotApply`` where a problem
            does not fulfil the premises.
        broken: arguments of ``measure`` that break the premise, by name.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> from ntk_air.claims import agreement
    >>> def trace(problem, *, power=1):
    ...     values = np.asarray(problem.spectrum.eigenvalues) ** power
    ...     return agreement(np.trace(problem.theta), values.sum(), tolerance=1e-9)
    >>> claim = na.Claim("mine", "The trace is the sum of the eigenvalues", "linear algebra",
    ...                  "diagonal against spectrum", "squared eigenvalues", trace, {"power": 2})
    >>> theta = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> problem = na.Problem(na.Labels(np.array([[1.0], [-1.0]])), theta, na.decompose(theta))
    >>> na.verify(problem, [claim])[0].status
    'holds'
    """

    name: str
    statement: str
    source: str
    method: str
    control: str
    measure: Callable[..., Measurement]
    broken: Mapping[str, Any]

    @property
    def theories(self) -> tuple[str, ...]:
        """The names of the papers that its source cites: first authors' surnames."""
        return tuple(paper.theory for paper in papers_of([self.source]))

    def measure_control(self, problem: Problem) -> Measurement:
        """The comparison with the premise broken."""
        return self.measure(problem, **self.broken)


def claim(
    name: str, statement: str, *, source: str, control: tuple[str, Mapping[str, Any]]
) -> Callable[[Callable[..., Measurement]], Claim]:
    """Make a claim of the function below, whose docstring says what is compared with what.

    Args:
        name: number of the proposition in docs/theory.md.
        statement: sentence that is claimed.
        source: author and year, or section, that claims it.
        control: sentence that says what the negative control changes, and the arguments that
            change it, by name.
    """
    sentence, broken = control

    def decorate(measure: Callable[..., Measurement]) -> Claim:
        method = (inspect.getdoc(measure) or "").splitlines()[0].rstrip(".")
        return Claim(name, statement, source, method, sentence, measure, broken)

    return decorate


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a claim in a problem.

    Args:
        claim: claim that was measured.
        status: ``"holds"`` where the comparison agrees and the control does not; ``"fails"``,
            ``"control passed"`` or ``"does not apply"``.
        reason: sentence that says why it does not apply; empty otherwise.
        measurement: comparison, where the claim applies.
        control: comparison with the premise broken, where the claim applies.
        seconds: time that both took.
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


def tends_to(limit: float, measured: float, *, tolerance: float) -> Measurement:
    """A number late on its way to a limit agrees with it, within a relative tolerance."""
    return dataclasses.replace(agreement(limit, measured, tolerance=tolerance), sign="→")


def at_least(bound: float, measured: float, *, rate_in: str = "") -> Measurement:
    """A number is at least as large as a bound; the error is by how much it falls short."""
    shortfall = max(0.0, bound - measured) if math.isfinite(measured) else math.inf
    return Measurement(float(bound), float(measured), shortfall, 0.0, "≥", rate_in)


def at_most(bound: float, measured: float, *, rate_in: str = "") -> Measurement:
    """A number is at most as large as a bound; the error is by how much it exceeds it."""
    excess = max(0.0, measured - bound) if math.isfinite(measured) else math.inf
    return Measurement(float(bound), float(measured), excess, 0.0, "≤", rate_in)
