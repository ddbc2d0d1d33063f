"""Rounds of self-distillation with a finite network: the schedule of the kernel regime, trained.

A schedule is stated in steps of full-batch descent at η = 1/λ₁, that is in time of the flow. Here
each stretch of it, warm-up, round or finish, is walked by minibatches with momentum, in as much
time: steps of the batch mean, times n, at mean rate η move the network on average as far as
1/(1 − β) plain steps do.
"""

import dataclasses
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ntk_air._base.checks import check_positive, check_whole_number
from ntk_air._base.progress import Progress, no_progress
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.supervision import Constant, Pretrained, Restart, Rounds, Supervision
from ntk_air.dynamics.supervision.label_functions import LabelFunctionLike
from ntk_air.networks.training.minibatches import Minibatches
from ntk_air.networks.training.network_problem import NetworkProblem
from ntk_air.networks.training.train import train


class LinearDecay(eqx.Module):
    """A learning rate that falls from ``start`` to 0 after ``over`` steps."""

    start: float
    over: float

    def __call__(self, count: Array) -> Float[Array, ""]:
        """The rate after ``count`` steps."""
        left = 1.0 - jnp.asarray(count, jnp.float32) / self.over
        return self.start * jnp.maximum(left, 0.0)


class FlowTimeSchedule(eqx.Module):
    """How minibatches walk a stretch of time of the flow.

    The rate falls linearly to 0 within each stretch, so that the noise of the batches averages
    out before a student is asked for its outputs.

    Args:
        batch_size: number of examples in a step; ``None`` is all.
        momentum: momentum β, in [0, 1).
        least_passes: fewest passes through the training set in a stretch, at least 1; a stretch
            whose mean rate would lie above 1/λ₁ takes more. Such rates suit a network in the
            regime of its kernel. Where λ₁ stands far above the other eigenvalues a narrow network
            can leave it (CIFAR-10, width 128: test accuracy .09 after 4 passes, .32 after 40);
            more passes make smaller steps.
        finish_epochs: length of the finish, in epochs of the rounds: no network trains forever.

    Raises:
        ValueError: for numbers out of range.

    >>> import ntk_air as na
    >>> na.networks.FlowTimeSchedule(50, momentum=0.9).n_steps(1000.0, n_train=200)
    100
    """

    batch_size: int | None = 100
    momentum: float = 0.9
    least_passes: int = 4
    finish_epochs: float = 4.0

    def __check_init__(self):
        check_whole_number("least_passes", self.least_passes, minimum=1)
        if self.batch_size is not None:
            check_whole_number("batch_size", self.batch_size, minimum=1)
        check_positive("finish_epochs", self.finish_epochs)
        Descent(1.0, momentum=self.momentum)

    def n_steps(self, time: float, n_train: int) -> int:
        """Minibatch steps for ``time`` full-batch steps at η = 1/λ₁."""
        batch_size = self.batch_size or n_train
        fewest = self.least_passes * max(n_train // batch_size, 1)
        return max(math.ceil(time * (1.0 - self.momentum)), fewest)

    def optimiser(self, time: float, n_train: int, largest_eigenvalue: float) -> Descent:
        """Descent whose rates, times 1/(1 − β), add up to ``time``/λ₁ over the stretch."""
        check_positive("largest_eigenvalue", largest_eigenvalue)
        steps = self.n_steps(time, n_train)
        mean = time * (1.0 - self.momentum) / (steps * largest_eigenvalue)
        # Σ_{i<k} (1 − i/k) = (k + 1)/2.
        decay = LinearDecay(mean * 2.0 * steps / (steps + 1.0), float(steps))
        return Descent(decay, momentum=self.momentum)


class RoundsRun(eqx.Module):
    """A network trained in rounds.

    Attributes:
        trajectory: metrics at the end of the warm-up, of each round and of the last ten passes of
            the finish; times in full-batch steps at 1/λ₁.
        passes: passes through the training set until then, (n_time,).
    """

    trajectory: Trajectory
    passes: Float[np.ndarray, " n_time"]


FINISH_RECORDS = 10
"""Passes at the end of the finish that are recorded."""

BY_DEFAULT = FlowTimeSchedule()


class _Stretch(NamedTuple):
    """Training on targets that stand still, for a time of the flow."""

    time: float
    label_function: LabelFunctionLike
    weight: float
    n_records: int = 1

    def supervision(self, taught: Float[Array, "n_train n_out"]) -> Supervision:
        """Targets that stand still, given the outputs of the student before."""
        return Supervision(self.label_function, Constant(self.weight), Pretrained(taught))


def train_rounds(
    problem: NetworkProblem,
    rounds: Rounds,
    schedule: FlowTimeSchedule = BY_DEFAULT,
    *,
    largest_eigenvalue: float,
    key: PRNGKeyArray,
    progress: Progress = no_progress,
) -> RoundsRun:
    """Train a network under ``rounds``, each student from the same θ_0, on the square loss.

    The finite counterpart of rounds in the kernel regime (theory.md section 6): outputs are
    f − f_0, as f_0 = 0 there, whether the problem says so or not.

    Args:
        problem: network at its start, inputs and labels.
        rounds: rounds with restarted students, such as a default schedule's.
        schedule: how minibatches walk each stretch of the rounds.
        largest_eigenvalue: λ₁ of the kernel that the rounds were made for, on these inputs.
        key: PRNG key that orders the minibatches.
        progress: callback after each round.

    Returns:
        The trajectory in steps of the kernel regime, and the passes that it took.

    Raises:
        ValueError: for students that go on instead of restarting, numbers out of range, a run that
            diverged, and what cannot be trained on.

    >>> import jax
    >>> import numpy as np
    >>> import ntk_air as na
    >>> x, labels = np.eye(2), na.Labels(np.array([[1.0], [-1.0]]))
    >>> problem = na.networks.NetworkProblem(lambda params, x: x @ params, x[:, :1], x, labels)
    >>> taught = na.Supervision(na.label_functions.Hard(), na.weights.Constant(0.5),
    ...                         na.teachers.Restart(20), warm_up=10)
    >>> whole = na.networks.FlowTimeSchedule(batch_size=None)
    >>> run = na.networks.train_rounds(problem, na.Rounds(taught, 2), whole,
    ...                                largest_eigenvalue=1.0, key=jax.random.key(0))
    >>> run.trajectory.times.tolist()
    [10.0, 30.0, 50.0]
    """
    stretches = _stretches(rounds, schedule)
    problem = dataclasses.replace(problem, subtract_initial=True)
    per_pass = Minibatches(schedule.batch_size).steps_per_pass(problem.n_train)
    runs, passes, times = [], [0.0], [0.0]
    taught = jnp.zeros_like(problem.labels.noisy)
    for index, stretch in enumerate(stretches):
        steps = schedule.n_steps(stretch.time, problem.n_train)
        records = _records(steps, per_pass, stretch.n_records)
        rate = schedule.optimiser(stretch.time, problem.n_train, largest_eigenvalue)
        batches = Minibatches(schedule.batch_size, jax.random.fold_in(key, index))
        run = train(problem, stretch.supervision(taught), records, rate, method=batches)
        _check_ended(run, records, f"stretch {index} of {len(stretches)}")
        passes += [passes[-1] + step / per_pass for step in records]
        times += [times[-1] + stretch.time * step / steps for step in records]
        taught = jnp.asarray(run.final.predictions)
        runs.append(run)
        progress("rounds", index + 1, len(stretches))
    return RoundsRun(_joined(runs, np.array(times[1:]), rounds, schedule), np.array(passes[1:]))


def _check_ended(run: Trajectory, records: list[int], where: str) -> None:
    if len(run.times) < len(records) or run.times[-1] < records[-1]:
        raise ValueError(f"training in rounds ended in {where}: " + "; ".join(run.notes))


def _stretches(rounds: Rounds, schedule: FlowTimeSchedule) -> list[_Stretch]:
    """Warm-up, rounds and finish."""
    supervision, length = rounds.supervision, rounds.epoch_length
    if not isinstance(supervision.teacher, Restart):
        raise ValueError(
            "rounds must restart their students; got the teacher "
            f"{type(supervision.teacher).__name__}"
        )
    taught, warm_up = supervision.label_function, supervision.warm_up
    weights = supervision.weights(warm_up + length * np.arange(rounds.n_rounds + 1))
    plan = [_Stretch(float(warm_up), taught, 1.0)]
    plan += [_Stretch(float(length), taught, float(weights[k])) for k in range(rounds.n_rounds)]
    if rounds.finish is not None:
        time = schedule.finish_epochs * length
        plan.append(_Stretch(time, rounds.finish, 0.0, FINISH_RECORDS))
    return plan


def _records(steps: int, per_pass: int, count: int) -> list[int]:
    """The ends of the last ``count`` passes of a stretch, or of as many as it has."""
    ends = steps - per_pass * np.arange(count)[::-1]
    return ends[ends > 0].tolist()


def _joined(
    runs: list[Trajectory], times: np.ndarray, rounds: Rounds, schedule: FlowTimeSchedule
) -> Trajectory:
    """One trajectory of many."""
    train_curves, held_out_curves = (
        jax.tree.map(lambda *parts: np.concatenate([np.asarray(p) for p in parts]), *curves)
        for curves in ([run.train for run in runs], [run.held_out for run in runs])
    )
    batches = Minibatches(schedule.batch_size).words
    return Trajectory(
        times=times,
        train=train_curves,
        held_out=held_out_curves,
        final=runs[-1].final,
        learning_rate=runs[-1].learning_rate,
        rule=f"{rounds.n_rounds} rounds of a network trained on {batches}, square loss, "
        f"momentum {schedule.momentum:g}, each from the same start",
        notes=runs[-1].notes,
    )
