"""Rounds of self-distillation with a finite network: the schedule of the kernel regime, trained.

A schedule is stated in steps of full-batch descent at η = 1/λ₁, that is in time of the flow. Here
each stretch of it, warm-up, round or finish, is walked by minibatches with momentum, in as much
time: steps of the batch mean, times n, at mean rate η move the network on average as far as
1/(1 − β) plain steps do.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ntk_air._base.checks import check_at_least, check_positive
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import ApplyFn, Inputs, Parameters, Targets
from ntk_air.dynamics.rounds import Rounds
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.supervision import Constant, Pretrained, Restart, Supervision
from ntk_air.dynamics.supervision.label_functions import LabelFunctionLike
from ntk_air.networks.training.optimisers import Descent
from ntk_air.networks.training.train import HeldOutInputs, train


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
        batch_size: examples in a step; ``None`` is all.
        momentum: β, in [0, 1).
        least_passes: the fewest passes through the training set in a stretch, at least 1; a
            stretch whose mean rate would lie above 1/λ₁ takes more. Such rates suit a network in
            the regime of its kernel. Where λ₁ stands far above the other eigenvalues a narrow
            network can leave it (CIFAR-10, width 128: test accuracy .09 after 4 passes, .32 after
            40); more passes make smaller steps.

    Raises:
        ValueError: for numbers out of range.
    """

    batch_size: int | None = 100
    momentum: float = 0.9
    least_passes: int = 4

    def __check_init__(self):
        check_at_least("least_passes", self.least_passes, 1)
        Descent(1.0, momentum=self.momentum)

    def n_steps(self, time: float, n_train: int) -> int:
        """Minibatch steps for ``time`` full-batch steps at η = 1/λ₁."""
        batch_size = self.batch_size or n_train
        fewest = self.least_passes * max(n_train // batch_size, 1)
        return max(math.ceil(time * (1.0 - self.momentum)), fewest)

    def optimiser(self, time: float, n_train: int, *, largest_eigenvalue: float) -> Descent:
        """Descent whose rates, times 1/(1 − β), add up to ``time``/λ₁ over the stretch."""
        steps = self.n_steps(time, n_train)
        mean = time * (1.0 - self.momentum) / (steps * largest_eigenvalue)
        # Σ_{i<k} (1 − i/k) = (k + 1)/2.
        decay = LinearDecay(mean * 2.0 * steps / (steps + 1.0), float(steps))
        return Descent(decay, momentum=self.momentum)


class RoundsRun(eqx.Module):
    """A network trained in rounds.

    Attributes:
        trajectory: at the end of the warm-up, of each round and of the last ten passes of the
            finish; times in full-batch steps at 1/λ₁.
        passes: through the training set until then, (n_time,).
    """

    trajectory: Trajectory
    passes: Float[np.ndarray, " n_time"]


FINISH_RECORDS = 10
"""Passes at the end of the finish that are recorded."""


def train_rounds(
    apply_fn: ApplyFn,
    params: Parameters,
    inputs: Inputs,
    noisy: Targets,
    rounds: Rounds,
    *,
    largest_eigenvalue: float,
    key: PRNGKeyArray,
    schedule: FlowTimeSchedule | None = None,
    finish_epochs: float = 4.0,
    clean: Targets | None = None,
    held_out: HeldOutInputs | None = None,
    progress: Progress = no_progress,
) -> RoundsRun:
    """Train a network under ``rounds``, each student from the same θ_0, on the square loss.

    The finite counterpart of ``solve`` under the same rounds (theory.md section 6): outputs are
    f − f_0, as f_0 = 0 there.

    Args:
        apply_fn: ``apply_fn(params, x)``, (n, n_out).
        params: θ_0.
        inputs: (n_train, *features).
        noisy: ỹ, (n_train, n_out), in the target coding.
        rounds: with restarted students, such as a ``DefaultSchedule``'s.
        largest_eigenvalue: λ₁ of the kernel that the schedule was made for, on these inputs.
        key: of the batches.
        schedule: how stretches are walked; ``None`` is ``FlowTimeSchedule()``.
        finish_epochs: length of the finish, in epochs of the rounds: no network trains forever.
        clean: y, (n_train, n_out), that metrics are against.
        held_out: held-out inputs and labels.
        progress: called after each round.

    Raises:
        ValueError: students that go on instead of restarting, numbers out of range, a run that
            diverged, and what ``train`` refuses.
    """
    check_positive("largest_eigenvalue", largest_eigenvalue)
    check_positive("finish_epochs", finish_epochs)
    supervision = rounds.supervision
    if not isinstance(supervision.teacher, Restart):
        raise ValueError(
            "rounds must restart their students; got the teacher "
            f"{type(supervision.teacher).__name__}"
        )
    schedule = FlowTimeSchedule() if schedule is None else schedule
    n_train, n_rounds = len(inputs), rounds.n_rounds
    length = rounds.epoch_length
    per_pass = max(n_train // (schedule.batch_size or n_train), 1)
    plan: list[tuple[float, LabelFunctionLike, float]] = [
        (float(supervision.warm_up), supervision.label_function, 1.0)
    ]
    weights = supervision.weights(supervision.warm_up + length * np.arange(n_rounds + 1))
    plan += [
        (float(length), supervision.label_function, float(weights[k])) for k in range(n_rounds)
    ]
    if rounds.finish is not None:
        plan.append((finish_epochs * length, rounds.finish, 0.0))
    runs, passes, times = [], [], []
    taught, walked, clock = jnp.zeros(noisy.shape, jnp.asarray(noisy).dtype), 0.0, 0.0
    for index, (time, label_function, weight) in enumerate(plan):
        steps = schedule.n_steps(time, n_train)
        records = _records(steps, per_pass, FINISH_RECORDS if index > n_rounds else 1)
        run = train(
            apply_fn,
            params,
            inputs,
            noisy,
            Supervision(label_function, Constant(weight), Pretrained(taught)),
            schedule.optimiser(time, n_train, largest_eigenvalue=largest_eigenvalue),
            times=records,
            batch_size=schedule.batch_size,
            subtract_initial=True,
            key=jax.random.fold_in(key, index),
            clean=clean,
            held_out=held_out,
        )
        if len(run.times) < len(records) or run.times[-1] < steps:
            raise ValueError(
                f"training in rounds ended in stretch {index} of {len(plan)}: "
                + "; ".join(run.notes)
            )
        passes += [walked + step / per_pass for step in records]
        times += [clock + time * step / steps for step in records]
        walked, clock = passes[-1], times[-1]
        taught = jnp.asarray(run.final.predictions)
        runs.append(run)
        progress("rounds", index + 1, len(plan))
    return RoundsRun(_joined(runs, np.array(times), rounds, schedule), np.array(passes))


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
    batches = "full batches" if schedule.batch_size is None else f"batches of {schedule.batch_size}"
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
