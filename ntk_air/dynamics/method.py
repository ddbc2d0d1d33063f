"""What every method of following a rule is asked, and what rules there are."""

import abc
import dataclasses
from typing import TypeAlias

import equinox as eqx

from ntk_air.dynamics.filters.spectral import SpectralRule
from ntk_air.dynamics.rules import Descent, Flow
from ntk_air.dynamics.run.inputs import Steps
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.supervision import Supervision, plain_descent
from ntk_air.dynamics.supervision.rounds import Rounds
from ntk_air.problem import Problem

Rule: TypeAlias = Descent | Flow | SpectralRule | Supervision | Rounds
"""What a run follows."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked of a run.

    Attributes:
        times: steps to record at; ``None`` where the rule says when it is to be looked at.
        store_at: steps at which outputs are kept as well.
        descent: the descent on the supervision's targets.
    """

    times: Steps | None
    store_at: Steps
    descent: Descent


class Method(eqx.Module):
    """A way of following rules. Its options are its fields."""

    @abc.abstractmethod
    def obstacle(self, problem: Problem, rule: Rule, request: Request) -> str:
        """What keeps this method from following a rule on a problem; empty if nothing."""

    @abc.abstractmethod
    def follow(self, problem: Problem, rule: Rule, request: Request) -> Trajectory:
        """The trajectory of a rule that nothing keeps it from following."""


def supervision_of(rule: Rule) -> Supervision | None:
    """What each step is trained on, for rules that are steps; ``None`` for others."""
    if isinstance(rule, Supervision):
        return rule
    if isinstance(rule, Rounds):
        return rule.supervision
    return plain_descent() if isinstance(rule, Descent) else None


def times_of(rule: Rule, times: Steps | None) -> Steps:
    """The times asked for, or those that the rule itself names.

    Raises:
        ValueError: for rules that name none.
    """
    if times is not None:
        return times
    if isinstance(rule, Rounds):
        return rule.times()
    raise ValueError(
        f"times must be a list of steps for {type(rule).__name__}; got None, which only Rounds take"
    )
