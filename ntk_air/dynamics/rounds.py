"""Self-distillation in rounds: exactly, one matrix product a round, to convergence.

Between two renewals of a teacher that changes once an epoch the target stands still, so an epoch
of any length is a filter of the kernel (theory.md sections 1 and 6): c ← r_E(λ)c + (g_E(λ)/λ)·Vᵀ(
target − f_0) in the eigenbasis. The last round may be followed by a finish: a new student, trained
to convergence on the labels that the last one gives.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ntk_air.checks import check_at_least
from ntk_air.dynamics import metrics
from ntk_air.dynamics.filters import GradientDescent, Response
from ntk_air.dynamics.held_out import HeldOut
from ntk_air.dynamics.learning_rate import DEFAULT_RATE, LearningRate, absolute_rate
from ntk_air.dynamics.losses import SquareLoss
from ntk_air.dynamics.metrics import HeldOutMetrics, TrainMetrics
from ntk_air.dynamics.setup import Setup, check_supervision
from ntk_air.dynamics.supervision import (
    Constant,
    LastEpoch,
    Pretrained,
    Restart,
    Supervision,
)
from ntk_air.dynamics.supervision.label_functions import LabelFunctionLike, check_label_function
from ntk_air.dynamics.supervision.supervision import trace_floats
from ntk_air.dynamics.trajectory import FinalState, Trajectory
from ntk_air.spectrum.result import Spectrum
from ntk_air.typing import Targets

Modes = Float[Array, "n_mode n_out"]
Watch = Callable[["Student"], Any]


class Rounds(eqx.Module):
    """A whole run: rounds of self-distillation, then a student trained to convergence.

    Free of kernels and networks: train under ``supervision`` for ``n_steps`` steps, then start
    again from f_0 and train under ``finishing_supervision`` of the outputs reached.

    Args:
        supervision: with a teacher that changes once an epoch, ``Restart`` or ``LastEpoch``, and
            a weight that stands still within an epoch.
        n_rounds: epochs after the warm-up, at least 0.
        finish: label function of the last teacher, whose labels alone the final student learns;
            ``None`` ends with the last round.

    Raises:
        ValueError: for a supervision that changes within an epoch, or a negative ``n_rounds``.
    """

    supervision: Supervision
    n_rounds: int
    finish: LabelFunctionLike | None = None

    def __check_init__(self):
        check_at_least("n_rounds", self.n_rounds, 0)
        teacher, schedule = self.supervision.teacher, self.supervision.schedule
        if not isinstance(teacher, Restart | LastEpoch):
            raise ValueError(
                "supervision must have a teacher that changes once an epoch, Restart or "
                f"LastEpoch; got {type(teacher).__name__}"
            )
        if self.supervision.weight_by == "step" and not isinstance(schedule, Constant):
            raise ValueError(
                "supervision must have a weight that stands still within an epoch, "
                f"weight_by='epoch'; got {type(schedule).__name__} by step"
            )

    @property
    def epoch_length(self) -> int:
        """E, steps in an epoch."""
        length = self.supervision.teacher.steps_per_epoch()
        return 1 if length is None else length

    @property
    def n_steps(self) -> int:
        """Steps before the finish."""
        return self.supervision.warm_up + self.n_rounds * self.epoch_length

    def finishing_supervision(self, outputs: Targets) -> Supervision:
        """What the final student learns, given the outputs (n_train, n_out) of the last round.

        Raises:
            ValueError: where there is no finish.
        """
        if self.finish is None:
            raise ValueError("finish must be a label function for a final student; got None")
        return Supervision(self.finish, Constant(0.0), Pretrained(outputs))


class Frame(eqx.Module):
    """What stays fixed during a run, in the eigenbasis."""

    eigenvalues: Float[Array, " n_mode"]
    eigenvectors: Float[Array, "n_train n_mode"]
    warm_up: Response
    epoch: Response

    def student(self, initial: Targets, dual: Modes) -> "Student":
        """The student at f_0 + V·λ·Vᵀc."""
        moved = jnp.maximum(self.eigenvalues, 0)[:, None] * dual
        outputs = jnp.asarray(initial) + self.eigenvectors @ moved
        return Student(dual=dual, moved=moved, outputs=outputs)

    def project(self, labels: Targets) -> Modes:
        """Vᵀ·labels."""
        return self.eigenvectors.T @ labels


class Student(eqx.Module):
    """Where a student stands: Vᵀc, Vᵀ(f − f_0) = λVᵀc, and its outputs f."""

    dual: Modes
    moved: Modes
    outputs: Float[Array, "n_train n_out"]


def make_frame(spectrum: Spectrum, supervision: Supervision, learning_rate: float) -> Frame:
    """Warm-up and epoch as filters of the spectrum."""
    rule = GradientDescent(learning_rate)
    length = supervision.teacher.steps_per_epoch()
    warm_up, epoch = (
        _response(rule, spectrum.eigenvalues, jnp.asarray(float(steps or 0)))
        for steps in (supervision.warm_up, length)
    )
    return Frame(
        eigenvalues=spectrum.eigenvalues,
        eigenvectors=spectrum.eigenvectors,
        warm_up=warm_up,
        epoch=epoch,
    )


def follow_rounds(
    spectrum: Spectrum,
    noisy: Targets,
    rounds: Rounds,
    *,
    learning_rate: LearningRate = DEFAULT_RATE,
    initial: Targets | None = None,
    clean: Targets | None = None,
    held_out: HeldOut | None = None,
    allow_divergence: bool = False,
) -> Trajectory:
    """Follow gradient descent under ``rounds`` exactly, from epoch to epoch.

    Args:
        spectrum: of Θ. Modes that a truncated spectrum lacks are held still; a note says so.
        noisy: ỹ, (n_train, n_out), in the target coding.
        rounds: what the students learn.
        learning_rate: η, or ``RelativeRate`` as a fraction of 1/λ₁.
        initial: f_0, (n_train, n_out); ``None`` is 0.
        clean: y, (n_train, n_out), that metrics are against; ``None`` measures against ỹ.
        held_out: held-out inputs to predict and measure on.
        allow_divergence: accept a rate at or above the bound of stability.

    Returns:
        The trajectory that ``simulate`` gives at the end of the warm-up and of each epoch, before
        a student restarts; at the finish, whose time is infinite, its limit.

    Raises:
        ValueError: as ``simulate``.
    """
    setup = Setup(
        spectrum.n_train,
        spectrum.eigenvectors.dtype,
        noisy=noisy,
        clean=clean,
        initial=initial,
        held_out=held_out,
    )
    supervision = by_epoch(rounds.supervision)
    check_supervision(supervision, setup.labels.noisy, SquareLoss(), rounds.n_rounds)
    if rounds.finish is not None:
        check_label_function(rounds.finish, noisy.shape[1], np.dtype(setup.initial.dtype))
    rate = absolute_rate(
        learning_rate, largest_eigenvalue=spectrum.lambda_max, allow_divergence=allow_divergence
    )
    frame = make_frame(spectrum, rounds.supervision, rate)
    times = rounds.supervision.warm_up + rounds.epoch_length * np.arange(rounds.n_rounds + 1.0)
    last, curves = _followed(frame, supervision, rounds.n_rounds, setup)
    if rounds.finish is not None:
        labels = rounds.finish(last.outputs)
        last = converged(frame, jnp.asarray(spectrum.resolved), labels, setup.initial)
        curves = jax.tree.map(jnp.append, curves, _measured(frame, last, setup))
        times = np.append(times, np.inf)
    dual = frame.eigenvectors @ last.dual
    held = None if setup.held_out is None else setup.held_out.predictions(dual)
    return Trajectory(
        times=times,
        train=curves[0],
        held_out=curves[1],
        final=FinalState(predictions=last.outputs, dual=dual, held_out_predictions=held),
        learning_rate=rate,
        rule=_describe(rounds),
        notes=setup.notes + _notes(spectrum, rounds),
    )


def last_outputs(
    frame: Frame, supervision: Supervision, noisy: Targets, n_rounds: int
) -> Float[Array, "n_train n_out"]:
    """The outputs after the last round, from f_0 = 0; ``supervision`` is ``by_epoch``."""
    last, _ = _scan(frame, supervision, noisy, jnp.zeros_like(noisy), n_rounds, lambda _: None)
    return last.outputs


@eqx.filter_jit
def outputs_by_round(
    frame: Frame, supervision: Supervision, noisy: Targets, n_rounds: int
) -> Float[Array, "n_round n_train n_out"]:
    """The outputs after the warm-up and each round, from f_0 = 0; ``supervision`` by epoch."""
    initial = jnp.zeros_like(noisy)
    return _scan(frame, supervision, noisy, initial, n_rounds, lambda s: s.outputs)[1]


def by_epoch(supervision: Supervision) -> Supervision:
    """The supervision whose step k is the epoch k of the given one, its numbers traced.

    Lengths of epoch and warm-up are left to the filters, so that other lengths compile nothing.
    """
    kind = Restart if supervision.teacher.restarts_student() else LastEpoch
    return trace_floats(Supervision(supervision.label_function, supervision.schedule, kind(1)))


def _scan(
    frame: Frame,
    supervision: Supervision,
    noisy: Targets,
    initial: Targets,
    n_rounds: int,
    watch: Watch,
) -> tuple[Student, Any]:
    """The last student, and what ``watch`` saw of the first and of each round's."""

    def one_round(student: Student, epoch: Array) -> tuple[Student, Any]:
        target = supervision.target(student.outputs, noisy, epoch).target
        kept = 0.0 if supervision.teacher.restarts_student() else frame.epoch.residual[:, None]
        dual = kept * student.dual + frame.epoch.dual[:, None] * frame.project(target - initial)
        student = frame.student(initial, dual)
        return student, watch(student)

    with jax.default_matmul_precision("highest"):
        dual = frame.warm_up.dual[:, None] * frame.project(jnp.asarray(noisy) - initial)
        first = frame.student(initial, dual)
        last, seen = jax.lax.scan(one_round, first, jnp.arange(n_rounds))
        return last, jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), watch(first), seen)


@eqx.filter_jit
def _followed(
    frame: Frame, supervision: Supervision, n_rounds: int, setup: Setup
) -> tuple[Student, tuple[TrainMetrics, HeldOutMetrics | None]]:
    basis = _held_out_basis(frame, setup)
    return _scan(
        frame,
        supervision,
        setup.labels.noisy,
        setup.initial,
        n_rounds,
        lambda student: _measure(student, setup, basis),
    )


@eqx.filter_jit
def _measured(
    frame: Frame, student: Student, setup: Setup
) -> tuple[TrainMetrics, HeldOutMetrics | None]:
    return _measure(student, setup, _held_out_basis(frame, setup))


def _held_out_basis(frame: Frame, setup: Setup) -> Float[Array, "n_test n_mode"] | None:
    """Θ(x, X)·V: from modes of c to held-out predictions."""
    if setup.held_out is None:
        return None
    kernel = jnp.asarray(setup.held_out.cross_kernel)
    return jnp.matmul(kernel, frame.eigenvectors, precision="highest")


def _measure(
    student: Student, setup: Setup, basis: Float[Array, "n_test n_mode"] | None
) -> tuple[TrainMetrics, HeldOutMetrics | None]:
    labels = setup.labels
    train = metrics.train_metrics(
        student.outputs,
        labels.clean,
        labels.noisy,
        parameter_distance=metrics.parameter_distance(student.moved, student.dual),
    )
    if basis is None or setup.held_out is None:
        return train, None
    predictions = jnp.asarray(setup.held_out.initial) + jnp.matmul(
        basis, student.dual, precision="highest"
    )
    return train, metrics.held_out_metrics(predictions, setup.held_out.targets)


@eqx.filter_jit
def converged(
    frame: Frame, resolved: Bool[Array, " n_mode"], labels: Targets, initial: Targets
) -> Student:
    """The limit of a new student: resolved modes arrive at the labels, others stay at f_0."""
    with jax.default_matmul_precision("highest"):
        moves = resolved & (frame.eigenvalues > 0)
        values = jnp.where(moves, frame.eigenvalues, 1)
        modes = frame.project(jnp.asarray(labels) - initial)
        dual = jnp.where(moves[:, None], modes / values[:, None], 0)
        return frame.student(initial, dual)


@eqx.filter_jit
def _response(rule: GradientDescent, eigenvalues: Float[Array, " n_mode"], steps: Any) -> Response:
    return rule.response(eigenvalues, steps)


def _describe(rounds: Rounds) -> str:
    finish = "" if rounds.finish is None else f", then {_name(rounds.finish)} labels to convergence"
    supervision = rounds.supervision
    parts = (supervision.label_function, supervision.schedule, supervision.teacher)
    return (
        f"gradient descent, {supervision.warm_up} plain steps, {rounds.n_rounds} rounds of "
        f"{rounds.epoch_length} with {' × '.join(map(_name, parts))}{finish}, exact"
    )


def _name(part: object) -> str:
    return getattr(part, "__name__", type(part).__name__)


def _notes(spectrum: Spectrum, rounds: Rounds) -> tuple[str, ...]:
    notes = ()
    if not spectrum.complete:
        notes += (
            f"only {spectrum.n_mode} of {spectrum.n_train} modes are held: the others stand still",
        )
    if rounds.finish is not None and spectrum.n_below_precision:
        notes += (f"{spectrum.n_below_precision} modes below precision stand still in the finish",)
    return notes
