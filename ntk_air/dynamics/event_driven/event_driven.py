"""Event-driven simulation: exactly the plain steps, taken many at once in the eigenbasis."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_callable
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import Targets, TestTargets
from ntk_air.dynamics.event_driven.events import CLOSE_CALL, EventFinder
from ntk_air.dynamics.event_driven.modes import (
    ModeFrame,
    ModeState,
    advance_epochs,
    fixed_point,
    make_frame,
    run_status,
    start,
    update_teacher,
    weight_of,
)
from ntk_air.dynamics.method import Method, Request, Rule, supervision_of, times_of
from ntk_air.dynamics.run.inputs import RunInputs, check_supervision, check_times, spectrum_notes
from ntk_air.dynamics.run.losses import SquareLoss
from ntk_air.dynamics.run.recording import Recorder, View
from ntk_air.dynamics.run.trajectory import FinalState, Trajectory
from ntk_air.dynamics.stepwise.simulate import describe
from ntk_air.dynamics.stepwise.stepping import REASONS, RUNNING, SimulationState
from ntk_air.dynamics.supervision import (
    Constant,
    CurrentStep,
    Hard,
    Pretrained,
    Rounds,
    Supervision,
)
from ntk_air.dynamics.supervision.label_functions import trace_floats
from ntk_air.problem import HeldOut, Problem
from ntk_air.spectrum.result import Spectrum

IsFinal = Callable[[int, Targets], bool]


class EventDriven(Method):
    """Exactly the steps of ``Stepwise``, many at once: from one change of the taught labels on.

    Between two changes a run on the square loss is linear (theory.md section 6). They are known
    for ``LastEpoch``, ``Restart`` and ``Pretrained``, with any label function; for
    ``CurrentStep`` the label function must be ``Hard``, whose changes are found and none missed.
    Not for an exponential moving average, nor for a label function of the current step that
    moves with it. Follows ``Descent``, such ``Supervision``, and ``Rounds`` without a finish.
    Needs the problem's spectrum; modes that a truncated spectrum lacks are held still, and a
    note says so. The last of the times may be infinite where the labels are final.

    ``notes`` of the trajectory say where a label was decided by less than rounding, where plain
    steps may decide otherwise; ``final.resume`` lets ``Stepwise`` go on from it.

    Args:
        is_final: ``is_final(step, outputs)`` says that it is proved that the hard labels of these
            outputs (n_train, n_out) never change again: they are then watched no more. Asked at
            doubling steps; ``None`` proves nothing.
        progress: callback after each interval.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> theta, noisy = np.diag([2.0, 1.0]), np.array([[1.0], [-1.0]])
    >>> problem = na.Problem(na.Labels(noisy), theta, na.decompose(theta))
    >>> taught = na.Supervision(na.label_functions.Hard(), na.weights.Power(1.5), warm_up=5)
    >>> run = na.solve(problem, taught, [0, 10, 10**6], method=na.EventDriven())
    >>> float(run.last().train.rms_distance) < 1e-9
    True
    """

    is_final: IsFinal | None = eqx.field(default=None, static=True)
    progress: Progress = eqx.field(default=no_progress, static=True)

    def __check_init__(self):
        if self.is_final is not None:
            check_callable("is_final", self.is_final)
        check_callable("progress", self.progress)

    def obstacle(self, problem: Problem, rule: Rule, request: Request) -> str:
        """What keeps a rule from being followed event by event; empty if nothing."""
        supervision = supervision_of(rule)
        if supervision is None:
            return "events are changes of taught labels, of Descent, Supervision and Rounds"
        if isinstance(rule, Rounds) and rule.finish is not None:
            return "a finish to convergence is no event"
        if not problem.has_spectrum:
            return "the problem holds no spectrum"
        return _without_events(supervision)

    def follow(self, problem: Problem, rule: Rule, request: Request) -> Trajectory:
        """The trajectory of a rule; arguments and errors are those of ``solve``."""
        supervision, descent, spectrum = supervision_of(rule), request.descent, problem.spectrum
        assert supervision is not None  # by obstacle
        recorded, stored = check_times(
            times_of(rule, request.times), request.store_at, may_be_infinite=True
        )
        inputs = RunInputs(problem, spectrum.eigenvectors.dtype)
        last = max((step for step in recorded if np.isfinite(step)), default=0.0)
        check_supervision(supervision, inputs.labels.noisy, SquareLoss(), int(last))
        rate = descent.absolute_rate(largest_eigenvalue=spectrum.lambda_max)
        frame = make_frame(
            spectrum,
            initial=inputs.initial,
            noisy=inputs.labels.noisy,
            supervision=trace_floats(supervision),
            learning_rate=rate,
            momentum=descent.momentum,
        )
        run = _Run(frame, supervision, spectrum, self.is_final)
        recorder = Recorder(SquareLoss(), inputs.labels, store_at=stored)
        held_basis = _held_basis(frame, inputs.held_out)
        for step in recorded:
            if not run.move_to(step):
                break
            recorder.record(step, _view(frame, inputs.held_out, held_basis, run.state))
            self.progress("event by event", int(min(step, last)), int(last))
        seen = _view(frame, inputs.held_out, held_basis, run.state)
        described = describe(supervision, SquareLoss(), descent.momentum)
        return recorder.trajectory(
            _final_state(frame, run.state, seen.held_out),
            learning_rate=rate,
            rule=f"{described} in {run.n_intervals} intervals",
            notes=inputs.notes + run.all_notes(),
        )


def _without_events(supervision: Supervision) -> str:
    """Why the changes of what a supervision teaches cannot be known; empty if they can."""
    teacher, label_function = supervision.teacher, supervision.label_function
    if not _teaches(supervision) or teacher.steps_per_epoch() is not None:
        return ""
    if isinstance(teacher, Pretrained):
        return ""
    if not isinstance(teacher, CurrentStep):
        return (
            "its teacher changes at every step: expected CurrentStep, LastEpoch, Restart or "
            f"Pretrained, got {type(teacher).__name__}"
        )
    if not isinstance(label_function, Hard):
        return (
            "of the current step only Hard labels stand still, others move with the outputs: "
            f"got {label_function}"
        )
    if supervision.schedule.depends_on() == "outputs":
        return (
            "with the current step as teacher its weight moves with the outputs: got "
            f"{type(supervision.schedule).__name__}"
        )
    return ""


def _teaches(supervision: Supervision) -> bool:
    schedule = supervision.schedule
    return not (isinstance(schedule, Constant) and schedule.weight == 1)


class _Run:
    """A run on its way from record to record; where it rests, the teacher has not looked yet."""

    def __init__(
        self,
        frame: ModeFrame,
        supervision: Supervision,
        spectrum: Spectrum,
        is_final: IsFinal | None,
    ):
        self.state = start(frame)
        self.n_intervals = 0
        self.notes: tuple[str, ...] = ()
        self._frame = frame
        self._supervision = supervision
        self._spectrum = spectrum
        self._is_final = is_final
        self._finder = EventFinder(frame)
        current = isinstance(supervision.teacher, CurrentStep) and _teaches(supervision)
        self._final = not current
        self._ask_at = 1

    def move_to(self, target: float | int) -> bool:
        """Go to a step; whether it was reached. ``notes`` say why not."""
        warm_up = self._supervision.warm_up
        if not np.isfinite(target):
            return self.move_to(warm_up) and self._move_to_infinity()
        status = RUNNING
        while status == RUNNING and (step := int(self.state.step)) < target:
            if step < warm_up and not self._final:
                status = self._advance_epochs_to(min(int(target), warm_up))
            elif self._proved_final(step):
                status = self._advance_epochs_to(int(target))
            else:
                status = self._advance_to_event(int(target))
        if status != RUNNING:
            self.notes += (f"stopped at step {int(self.state.step)}: {REASONS[status]}",)
        return status == RUNNING

    def _advance_epochs_to(self, target: int) -> int:
        advanced = advance_epochs(self._frame, self.state, jnp.asarray(target, jnp.int32))
        self.state = advanced.state
        self.n_intervals += int(advanced.events)
        return int(advanced.status)

    def _advance_to_event(self, target: int) -> int:
        taught = update_teacher(self._frame, self.state)
        moved = self._finder.next_change(taught, target - int(taught.step))
        status = int(run_status(self._frame, taught, moved))
        if status == RUNNING:
            self.state = moved
            self.n_intervals += 1
        return status

    def _proved_final(self, step: int) -> bool:
        if not self._final and self._is_final is not None and step >= self._ask_at:
            self._final = bool(self._is_final(step, self.state.outputs))
            self._ask_at = 2 * step
        return self._final

    def _move_to_infinity(self) -> bool:
        step, schedule = int(self.state.step), self._supervision.schedule
        self._ask_at = step
        if self._supervision.teacher.steps_per_epoch() is not None:
            why = "its teacher never stops changing"
        elif not self._proved_final(step):
            why = f"the labels are not proved final at step {step}"
        elif (weight := self._last_weight()) is None:
            why = f"the limit of {type(schedule).__name__} is not known"
        else:
            taught = update_teacher(self._frame, self.state)
            self.state = fixed_point(
                self._frame, taught, jnp.asarray(weight), jnp.asarray(self._spectrum.resolved)
            )
            return True
        self.notes += (f"stopped at step {step}, before infinity: {why}",)
        return False

    def _last_weight(self) -> float | None:
        if self._supervision.schedule.depends_on() == "pattern":
            return float(weight_of(self._frame, update_teacher(self._frame, self.state)))
        return self._supervision.schedule.limit()

    def all_notes(self) -> tuple[str, ...]:
        """What fell short, in full."""
        notes = self.notes + spectrum_notes(self._spectrum)
        if self._finder.closest < CLOSE_CALL:
            notes += (
                f"a label was decided by {self._finder.closest:.1e} of the largest output, "
                "which is within rounding: plain steps may decide otherwise",
            )
        return notes


def _final_state(frame: ModeFrame, state: ModeState, held_out: TestTargets | None) -> FinalState:
    dual, velocity = (
        jnp.asarray(frame.eigenvectors) @ modes for modes in (state.dual, state.velocity)
    )
    resume = SimulationState(
        step=state.step,
        outputs=state.outputs,
        dual=dual,
        velocity=velocity,
        remembered=state.remembered,
        status=jnp.full((), RUNNING, jnp.int32),
    )
    return FinalState(
        predictions=state.outputs, dual=dual, held_out_predictions=held_out, resume=resume
    )


@eqx.filter_jit
def _held_basis(frame: ModeFrame, held_out: HeldOut | None) -> Float[Array, "n_test n_mode"] | None:
    """Θ(x, X)·V, from the modes of c to held-out predictions."""
    if held_out is None:
        return None
    return jnp.asarray(held_out.cross_kernel) @ frame.eigenvectors


@eqx.filter_jit
def _view(
    frame: ModeFrame,
    held_out: HeldOut | None,
    held_basis: Float[Array, "n_test n_mode"] | None,
    state: ModeState,
) -> View:
    moved = jnp.asarray(frame.eigenvalues)[:, None] * state.dual**2
    predictions = None
    if held_out is not None and held_basis is not None:
        predictions = jnp.asarray(held_out.initial) + held_basis @ state.dual
    return View(
        outputs=state.outputs,
        parameter_distance=jnp.sqrt(jnp.sum(moved)),
        held_out=predictions,
    )
