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

from ntk_air._base.typing import Targets
from ntk_air.dynamics.filters.spectral import GradientDescent, Response
from ntk_air.dynamics.method import Method, Request, Rule
from ntk_air.dynamics.run import metrics
from ntk_air.dynamics.run.inputs import RunInputs, check_supervision, spectrum_notes
from ntk_air.dynamics.run.losses import SquareLoss
from ntk_air.dynamics.run.metrics import HeldOutMetrics, TrainMetrics
from ntk_air.dynamics.run.trajectory import FinalState, Trajectory
from ntk_air.dynamics.supervision import LastEpoch, Restart, Rounds, Supervision
from ntk_air.dynamics.supervision.label_functions import check_label_function, trace_floats
from ntk_air.problem import Problem
from ntk_air.spectrum.result import Spectrum

Modes = Float[Array, "n_mode n_out"]


class RoundsFrame(eqx.Module):
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


def make_frame(spectrum: Spectrum, supervision: Supervision, learning_rate: float) -> RoundsFrame:
    """Warm-up and epoch as filters of the spectrum."""
    rule = GradientDescent(learning_rate)
    length = supervision.teacher.steps_per_epoch()
    warm_up, epoch = (
        _response(rule, spectrum.eigenvalues, jnp.asarray(float(steps or 0)))
        for steps in (supervision.warm_up, length)
    )
    return RoundsFrame(
        eigenvalues=spectrum.eigenvalues,
        eigenvectors=spectrum.eigenvectors,
        warm_up=warm_up,
        epoch=epoch,
    )


class ByRounds(Method):
    """Exact from epoch to epoch, one matrix product a round, to convergence (theory.md section 6).

    Follows ``Rounds``. Needs the problem's spectrum; modes that a truncated spectrum lacks are
    held still, and a note says so. Records the ends of the warm-up and of each round, before a
    student restarts, and the finish, whose time is infinite, by its limit.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> theta, noisy = np.diag([2.0, 1.0]), np.array([[1.0], [-1.0]])
    >>> problem = na.Problem(na.Labels(noisy), theta, na.decompose(theta))
    >>> taught = na.Supervision(na.label_functions.Sharpened(0.3), na.weights.Constant(0.5),
    ...                         na.teachers.Restart(10), warm_up=5)
    >>> na.solve(problem, na.Rounds(taught, 2), method=na.ByRounds()).times.tolist()
    [5.0, 15.0, 25.0]
    """

    def obstacle(self, problem: Problem, rule: Rule, request: Request) -> str:
        """What keeps a rule from being followed by rounds; empty if nothing."""
        if not isinstance(rule, Rounds):
            return "rounds are those of Rounds"
        if not problem.has_spectrum:
            return "the problem holds no spectrum"
        return _other_request(rule, request)

    def follow(self, problem: Problem, rule: Rule, request: Request) -> Trajectory:
        """The trajectory of the rounds; arguments and errors are those of ``solve``."""
        assert isinstance(rule, Rounds)  # by obstacle
        spectrum = problem.spectrum
        inputs = RunInputs(problem, spectrum.eigenvectors.dtype)
        supervision = by_epoch(rule.supervision)
        check_supervision(supervision, inputs.labels.noisy, SquareLoss(), rule.n_rounds)
        if rule.finish is not None:
            check_label_function(rule.finish, problem.n_out, np.dtype(inputs.initial.dtype))
        rate = request.descent.absolute_rate(largest_eigenvalue=spectrum.lambda_max)
        frame = make_frame(spectrum, rule.supervision, rate)
        basis = None
        if inputs.held_out is not None:
            basis = _held_out_basis(jnp.asarray(inputs.held_out.cross_kernel), frame)
        student, records = None, []
        for student in _students(frame, spectrum, supervision, rule, inputs=inputs):
            records.append(_measure(student, inputs, basis))
        assert student is not None
        curves = jax.tree.map(lambda *values: jnp.stack(values), *records)
        dual = frame.eigenvectors @ student.dual
        held = None if inputs.held_out is None else inputs.held_out.predictions(dual)
        return Trajectory(
            times=rule.times(),
            train=curves[0],
            held_out=curves[1],
            final=FinalState(predictions=student.outputs, dual=dual, held_out_predictions=held),
            learning_rate=rate,
            rule=_describe(rule),
            notes=inputs.notes + _notes(spectrum, rule),
        )


def _other_request(rounds: Rounds, request: Request) -> str:
    """What is asked that rounds do not do: other times, outputs kept on the way, momentum."""
    if request.times is not None and not np.array_equal(request.times, rounds.times()):
        return f"times must be left out, or the ends of rounds; got {list(request.times)}"
    if len(request.store_at):
        return f"store_at must be empty: only the last outputs are kept; got {request.store_at}"
    if request.descent.momentum:
        return f"descent must be without momentum; got momentum {request.descent.momentum:g}"
    return ""


def _students(
    frame: RoundsFrame,
    spectrum: Spectrum,
    supervision: Supervision,
    rounds: Rounds,
    *,
    inputs: RunInputs,
) -> Iterator[Student]:
    """The student after the warm-up, each round and the finish.

    One program for a round, whatever their number: a scan would compile for each.
    """
    student = _begin(frame, inputs)
    yield student
    for epoch in range(rounds.n_rounds):
        student = _advance(frame, supervision, inputs, student, epoch=jnp.asarray(epoch))
        yield student
    if rounds.finish is not None:
        labels = rounds.finish(student.outputs)
        yield converged(frame, jnp.asarray(spectrum.resolved), labels, inputs.initial)


def last_outputs(
    frame: RoundsFrame, supervision: Supervision, noisy: Targets, n_rounds: int
) -> Float[Array, "n_train n_out"]:
    """The outputs after the last round, from f_0 = 0; ``supervision`` is ``by_epoch``."""

    def one_round(student: Student, epoch: Array) -> tuple[Student, None]:
        return _next_student(
            frame, supervision, noisy, initial=initial, student=student, epoch=epoch
        ), None

    initial = jnp.zeros_like(noisy)
    first = _first_student(frame, noisy, initial)
    return jax.lax.scan(one_round, first, jnp.arange(n_rounds))[0].outputs


@eqx.filter_jit
def outputs_by_round(
    frame: RoundsFrame, supervision: Supervision, noisy: Targets, n_rounds: int
) -> Float[Array, "n_round n_train n_out"]:
    """The outputs after the warm-up and each round, from f_0 = 0; ``supervision`` by epoch."""

    def one_round(student: Student, epoch: Array) -> tuple[Student, Array]:
        student = _next_student(
            frame, supervision, noisy, initial=initial, student=student, epoch=epoch
        )
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


def _first_student(frame: RoundsFrame, noisy: Targets, initial: Targets) -> Student:
    """The student at the end of the warm-up."""
    with jax.default_matmul_precision("highest"):
        dual = frame.warm_up.dual[:, None] * frame.project(jnp.asarray(noisy) - initial)
        return frame.student(initial, dual)


def _next_student(
    frame: RoundsFrame,
    supervision: Supervision,
    noisy: Targets,
    *,
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
def _begin(frame: RoundsFrame, inputs: RunInputs) -> Student:
    return _first_student(frame, inputs.labels.noisy, inputs.initial)


@eqx.filter_jit
def _advance(
    frame: RoundsFrame,
    supervision: Supervision,
    inputs: RunInputs,
    student: Student,
    *,
    epoch: Array,
) -> Student:
    noisy, initial = inputs.labels.noisy, inputs.initial
    return _next_student(frame, supervision, noisy, initial=initial, student=student, epoch=epoch)


@jax.jit
def _held_out_basis(
    kernel: Float[Array, "n_test n_train"], frame: RoundsFrame
) -> Float[Array, "n_test n_mode"]:
    """Θ(x, X)·V: from modes of c to held-out predictions."""
    return jnp.matmul(kernel, frame.eigenvectors, precision="highest")


@eqx.filter_jit
def _measure(
    student: Student, inputs: RunInputs, basis: Float[Array, "n_test n_mode"] | None
) -> tuple[TrainMetrics, HeldOutMetrics | None]:
    labels = inputs.labels
    train = metrics.train_metrics(
        student.outputs,
        labels.clean,
        labels.noisy,
        parameter_distance=metrics.parameter_distance(student.moved, student.dual),
    )
    if basis is None or inputs.held_out is None:
        return train, None
    predictions = jnp.asarray(inputs.held_out.initial) + jnp.matmul(
        basis, student.dual, precision="highest"
    )
    return train, metrics.held_out_metrics(predictions, inputs.held_out.targets)


@eqx.filter_jit
def converged(
    frame: RoundsFrame, resolved: Bool[Array, " n_mode"], labels: Targets, initial: Targets
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
    notes = spectrum_notes(spectrum)
    if rounds.finish is not None and spectrum.n_below_precision:
        notes += (f"{spectrum.n_below_precision} modes below precision stand still in the finish",)
    return notes
