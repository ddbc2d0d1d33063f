"""The runs that several claims compare: outputs at chosen steps, exact and simulated."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ntk_air._base.typing import Targets
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.event_driven.event_driven import EventDriven
from ntk_air.dynamics.filters.spectral import SpectralRule
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import Supervision
from ntk_air.problem import Labels, Problem

Steps = Sequence[float]
OutputsOverTime = Float[np.ndarray, "n_time n_train n_out"]


def exact(
    problem: Problem, rule: SpectralRule, times: Steps, *, initial: Targets | None = None
) -> Trajectory:
    """A closed form followed in the eigenbasis, outputs kept at every time."""
    if initial is not None:
        problem = problem.replace(labels=Labels(problem.noisy, problem.clean, initial))
    finite = [step for step in times if np.isfinite(step)]
    return solve(problem, rule, times, ClosedForm(allow_divergence=True), store_at=finite)


def stepped(
    problem: Problem,
    supervision: Supervision,
    times: Steps,
    *,
    noisy: Targets | None = None,
    learning_rate: float | None = None,
) -> Trajectory:
    """Plain steps from products with Θ, outputs kept at every time; other labels stand alone."""
    if noisy is not None:
        problem = problem.replace(labels=Labels(noisy), held_out=None)
    rate = problem.learning_rate if learning_rate is None else learning_rate
    descent = Descent(rate, allow_divergence=True)
    return solve(problem, supervision, times, Stepwise(), descent=descent, store_at=times)


def jumped(problem: Problem, supervision: Supervision, times: Steps) -> Trajectory:
    """Event-driven from one change of the taught labels to the next."""
    return solve(problem, supervision, times, EventDriven(), store_at=times)


def train_outputs(trajectory: Trajectory) -> OutputsOverTime:
    """The outputs that were kept, on the training inputs."""
    assert trajectory.stored is not None  # the runs above keep them
    return np.asarray(trajectory.stored.train)


def held_out_outputs(trajectory: Trajectory) -> OutputsOverTime:
    """The outputs that were kept, on the held-out inputs."""
    assert trajectory.stored is not None
    assert trajectory.stored.held_out is not None
    return np.asarray(trajectory.stored.held_out)
