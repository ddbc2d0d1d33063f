"""Self-distillation in rounds: exactly, one matrix product a round, to convergence.

Between two renewals of a teacher that changes once an epoch the target stands still, so an epoch
of any length is a filter of the kernel (theory.md sections 1 and 6): c ← r_E(λ)c + (g_E(λ)/λ)·Vᵀ(
target − f_0) in the eigenbasis. The last round may be followed by a finish: a new student, trained
to convergence on the labels that the last one gives.
"""

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ntk_air._base.checks import check_at_least
from ntk_air._base.typing import Targets
from ntk_air.dynamics.closed_form.filters import GradientDescent, Response
from ntk_air.dynamics.run import metrics
from ntk_air.dynamics.run.inputs import RunInputs, check_supervision
from ntk_air.dynamics.run.learning_rate import DEFAULT_RATE, LearningRate, absolute_rate
from ntk_air.dynamics.run.losses import SquareLoss
from ntk_air.dynamics.run.metrics import HeldOutMetrics, TrainMetrics
from ntk_air.dynamics.run.trajectory import FinalState, Trajectory
from ntk_air.dynamics.supervision import (
    Constant,
    LastEpoch,
    Pretrained,
    Restart,
    Supervision,
)
from ntk_air.dynamics.supervision.label_functions import LabelFunctionLike, check_label_function
from ntk_air.dynamics.supervision.supervision import trace_floats
from ntk_air.problem import HeldOut
from ntk_air.spectrum.result import Spectrum

Modes = Float[Array, "n_mode n_out"]


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
    setup = RunInputs(
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
    if rounds.finish is not None:
        times = np.append(times, np.inf)
    basis = None
    if setup.held_out is not None:
        basis = _held_out_basis(jnp.asarray(setup.held_out.cross_kernel), frame)
    student, records = None, []
    for student in _students(frame, spectrum, supervision, rounds, setup):
        records.append(_measure(student, setup, basis))
    assert student is not None
    curves = jax.tree.map(lambda *values: jnp.stack(values), *records)
    dual = frame.eigenvectors @ student.dual
    held = None if setup.held_out is None else setup.held_out.predictions(dual)
    return Trajectory(
        times=times,
        train=curves[0],
        held_out=curves[1],
        final=FinalState(predictions=student.outputs, dual=dual, held_out_predictions=held),
        learning_rate=rate,
        rule=_describe(rounds),
        notes=setup.notes + _notes(spectrum, rounds),
    )


def _students(
    frame: Frame, spectrum: Spectrum, supervision: Supervision, rounds: Rounds, setup: RunInputs
) -> Iterator[Student]:
    """The student after the warm-up, each round and the finish.

    One program for a round, whatever their number: a scan would compile for each.
    """
    student = _begin(frame, setup)
    yield student
    for epoch in range(rounds.n_rounds):
        student = _advance(frame, supervision, setup, student, jnp.asarray(epoch))
        yield student
    if rounds.finish is not None:
        labels = rounds.finish(student.outputs)
        yield converged(frame, jnp.asarray(spectrum.resolved), labels, setup.initial)


def last_outputs(
    frame: Frame, supervision: Supervision, noisy: Targets, n_rounds: int
) -> Float[Array, "n_train n_out"]:
    """The outputs after the last round, from f_0 = 0; ``supervision`` is ``by_epoch``."""

    def one_round(student: Student, epoch: Array) -> tuple[Student, None]:
        return _next_student(frame, supervision, noisy, initial, student, epoch), None

    initial = jnp.zeros_like(noisy)
    first = _first_student(frame, noisy, initial)
    return jax.lax.scan(one_round, first, jnp.arange(n_rounds))[0].outputs


@eqx.filter_jit
def outputs_by_round(
    frame: Frame, supervision: Supervision, noisy: Targets, n_rounds: int
) -> Float[Array, "n_round n_train n_out"]:
    """The outputs after the warm-up and each round, from f_0 = 0; ``supervision`` by epoch."""

    def one_round(student: Student, epoch: Array) -> tuple[Student, Array]:
        student = _next_student(frame, supervision, noisy, initial, student, epoch)
        return student, student.outputs

    initial = jnp.zeros_like(noisy)
    first = _first_student(frame, noisy, initial)
    _, outputs = jax.lax.scan(one_round, first, jnp.arange(n_rounds))
    return jnp.concatenate([first.outputs[None], outputs])


def by_epoch(supervision: Supervision) -> Supervision:
    """The supervision whose step k is the epoch k of the given one, its numbers traced.

    Lengths of epoch and warm-up are left to the filters, so that other lengths compile nothing.
    """
    kind = Restart if supervision.teacher.restarts_student() else LastEpoch
    return trace_floats(Supervision(supervision.label_function, supervision.schedule, kind(1)))


def _first_student(frame: Frame, noisy: Targets, initial: Targets) -> Student:
    """The student at the end of the warm-up."""
    with jax.default_matmul_precision("highest"):
        dual = frame.warm_up.dual[:, None] * frame.project(jnp.asarray(noisy) - initial)
        return frame.student(initial, dual)


def _next_student(
    frame: Frame,
    supervision: Supervision,
    noisy: Targets,
    initial: Targets,
    student: Student,
    epoch: Array,
) -> Student:
    """The student at the end of an epoch whose teacher is the given one."""
    with jax.default_matmul_precision("highest"):
        target = supervision.target(student.outputs, noisy, epoch).target
        kept = 0.0 if supervision.teacher.restarts_student() else frame.epoch.residual[:, None]
        dual = kept * student.dual + frame.epoch.dual[:, None] * frame.project(target - initial)
        return frame.student(initial, dual)


@eqx.filter_jit
def _begin(frame: Frame, setup: RunInputs) -> Student:
    return _first_student(frame, setup.labels.noisy, setup.initial)


@eqx.filter_jit
def _advance(
    frame: Frame, supervision: Supervision, setup: RunInputs, student: Student, epoch: Array
) -> Student:
    return _next_student(frame, supervision, setup.labels.noisy, setup.initial, student, epoch)


@jax.jit
def _held_out_basis(
    kernel: Float[Array, "n_test n_train"], frame: Frame
) -> Float[Array, "n_test n_mode"]:
    """Θ(x, X)·V: from modes of c to held-out predictions."""
    return jnp.matmul(kernel, frame.eigenvectors, precision="highest")


@eqx.filter_jit
def _measure(
    student: Student, setup: RunInputs, basis: Float[Array, "n_test n_mode"] | None
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
