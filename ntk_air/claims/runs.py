"""The runs that several claims compare: outputs at chosen steps, exact and simulated."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ntk_air._base.typing import Targets
from ntk_air.dynamics.closed_form.exact import exact_trajectory
from ntk_air.dynamics.closed_form.filters import SpectralRule
from ntk_air.dynamics.event_driven.event_driven import simulate_by_jumps
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.stepwise.simulate import simulate
from ntk_air.dynamics.supervision import Supervision
from ntk_air.problem import Problem

Steps = Sequence[float]
OutputsOverTime = Float[np.ndarray, "n_time n_train n_out"]


def exact(
    problem: Problem, rule: SpectralRule, times: Steps, *, initial: Targets | None = None
) -> Trajectory:
    """A closed form followed in the eigenbasis, outputs kept at every time."""
    return exact_trajectory(
        problem.spectrum,
        problem.noisy,
        rule,
        times=times,
        initial=initial,
        clean=problem.clean,
        held_out=problem.held_out,
        store_at=[step for step in times if np.isfinite(step)],
        allow_divergence=True,
    )


def stepped(
    problem: Problem,
    supervision: Supervision,
    times: Steps,
    *,
    noisy: Targets | None = None,
    learning_rate: float | None = None,
) -> Trajectory:
    """Plain steps from products with Θ, outputs kept at every time; other labels stand alone."""
    return simulate(
        problem.theta,
        problem.noisy if noisy is None else noisy,
        supervision,
        times=times,
        learning_rate=problem.learning_rate if learning_rate is None else learning_rate,
        clean=problem.clean if noisy is None else None,
        held_out=problem.held_out if noisy is None else None,
        store_at=times,
        largest_eigenvalue=problem.spectrum.lambda_max,
        allow_divergence=True,
    )


def jumped(problem: Problem, supervision: Supervision, times: Steps) -> Trajectory:
    """Jumps in the eigenbasis from one change of the taught labels to the next."""
    return simulate_by_jumps(
        problem.spectrum,
        problem.noisy,
        supervision,
        times=times,
        learning_rate=problem.learning_rate,
        clean=problem.clean,
        held_out=problem.held_out,
        store_at=times,
    )


def train_outputs(trajectory: Trajectory) -> OutputsOverTime:
    """The outputs that were kept, on the training inputs."""
    assert trajectory.stored is not None  # the runs above keep them
    return np.asarray(trajectory.stored.train)


def held_out_outputs(trajectory: Trajectory) -> OutputsOverTime:
    """The outputs that were kept, on the held-out inputs."""
    assert trajectory.stored is not None
    assert trajectory.stored.held_out is not None
    return np.asarray(trajectory.stored.held_out)
