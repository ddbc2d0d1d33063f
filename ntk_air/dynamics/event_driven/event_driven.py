"""Simulation in jumps: exactly the steps of ``simulate``, taken many at once in the eigenbasis."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import Targets, TestTargets
from ntk_air.dynamics.event_driven.events import CLOSE_CALL, EventFinder
from ntk_air.dynamics.event_driven.modes import (
    Frame,
    ModeState,
    advance_epochs,
    fixed_point,
    make_frame,
    run_status,
    start,
    update_teacher,
    weight_of,
)
from ntk_air.dynamics.run.inputs import RunInputs, Steps, check_supervision, check_times
from ntk_air.dynamics.run.learning_rate import DEFAULT_RATE, LearningRate, absolute_rate
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
    Supervision,
)
from ntk_air.dynamics.supervision.label_functions import trace_floats
from ntk_air.problem import HeldOut
from ntk_air.spectrum.result import Spectrum

IsFinal = Callable[[int, Targets], bool]


def simulate_by_jumps(
    spectrum: Spectrum,
    noisy: Targets,
    supervision: Supervision,
    *,
    times: Steps,
    learning_rate: LearningRate = DEFAULT_RATE,
    momentum: float | int = 0.0,
    initial: Targets | None = None,
    clean: Targets | None = None,
    held_out: HeldOut | None = None,
    store_at: Steps = (),
    allow_divergence: bool = False,
    is_final: IsFinal | None = None,
    progress: Progress = no_progress,
) -> Trajectory:
    """Simulate on the square loss in jumps from one change of the taught labels to the next.

    Between two changes a run is linear (theory.md section 6). They are known for ``LastEpoch``,
    ``Restart`` and ``Pretrained``, with any label function; for ``CurrentStep`` the label function
    must be ``Hard``, whose changes are found and none missed. Not for an exponential moving
    average, nor for a label function of the current step that moves with it.

    Args:
        spectrum: of Θ. Modes that a truncated spectrum lacks are held still; a note says so.
        noisy: as the others, see ``simulate``.
        supervision: what each step is trained on.
        times: steps to record at, ascending; the last may be infinite where the labels are final.
        learning_rate: η, or ``RelativeRate`` as a fraction of 1/λ₁.
        momentum: β of heavy ball, in [0, 1).
        initial: f_0, (n_train, n_out); ``None`` is 0.
        clean: y, (n_train, n_out), that metrics are against; ``None`` measures against ỹ.
        held_out: held-out inputs to predict and measure on.
        store_at: those of ``times`` at which outputs are kept.
        allow_divergence: accept a rate at or above the bound of stability.
        is_final: ``is_final(step, outputs)`` says that it is proved that the hard labels of these
            outputs never change again: they are then watched no more. Asked at doubling steps.
        progress: called after each jump.

    Returns:
        The trajectory that ``simulate`` gives, to rounding; ``final.resume`` lets ``simulate`` go
        on from it. ``notes`` say where a label was decided by less than rounding, where plain
        steps may decide otherwise.

    Raises:
        ValueError: as ``simulate``; for a supervision that cannot jump; for an infinite time
            before the labels are final or with a weight whose limit is not known.
    """
    recorded, stored = check_times(times, store_at, may_be_infinite=True)
    setup = RunInputs(
        spectrum.n_train,
        spectrum.eigenvectors.dtype,
        noisy=noisy,
        clean=clean,
        initial=initial,
        held_out=held_out,
    )
    last = max((step for step in recorded if np.isfinite(step)), default=0.0)
    check_supervision(supervision, setup.labels.noisy, SquareLoss(), int(last))
    _check_can_jump(supervision)
    rate = absolute_rate(
        learning_rate,
        largest_eigenvalue=spectrum.lambda_max,
        momentum=momentum,
        allow_divergence=allow_divergence,
    )
    frame = make_frame(
        spectrum.eigenvalues,
        spectrum.eigenvectors,
        initial=setup.initial,
        noisy=setup.labels.noisy,
        supervision=trace_floats(supervision),
        learning_rate=rate,
        momentum=momentum,
    )
    run = _Run(frame, supervision, spectrum, is_final)
    recorder = Recorder(SquareLoss(), setup.labels, store_at=stored)
    held_basis = _held_basis(frame, setup.held_out)
    for step in recorded:
        if not run.move_to(step):
            break
        recorder.record(step, _view(frame, setup.held_out, held_basis, run.state))
        progress("jumping", int(min(step, last)), int(last))
    seen = _view(frame, setup.held_out, held_basis, run.state)
    return recorder.trajectory(
        _final_state(frame, run.state, seen.held_out),
        learning_rate=rate,
        rule=f"{describe(supervision, SquareLoss(), momentum)} in {run.jumps} jumps",
        notes=setup.notes + run.all_notes(),
    )


def _check_can_jump(supervision: Supervision) -> None:
    teacher, label_function = supervision.teacher, supervision.label_function
    if not _teaches(supervision) or teacher.steps_per_epoch() is not None:
        return
    if isinstance(teacher, Pretrained):
        return
    if not isinstance(teacher, CurrentStep):
        raise ValueError(
            "supervision cannot jump with this teacher, which changes at every step: expected "
            f"CurrentStep, LastEpoch, Restart or Pretrained; got {type(teacher).__name__}"
        )
    if not isinstance(label_function, Hard):
        raise ValueError(
            "supervision by the current step can jump with the label function Hard alone, others "
            f"move with the outputs; got {label_function}"
        )
    if supervision.schedule.depends_on() == "outputs":
        raise ValueError(
            "supervision by the current step cannot jump with a schedule that depends on the "
            f"outputs; got {type(supervision.schedule).__name__}"
        )


def _teaches(supervision: Supervision) -> bool:
    schedule = supervision.schedule
    return not (isinstance(schedule, Constant) and schedule.weight == 1)


class _Run:
    """A run on its way from record to record; where it rests, the teacher has not looked yet."""

    def __init__(
        self, frame: Frame, supervision: Supervision, spectrum: Spectrum, is_final: IsFinal | None
    ):
        self.state = start(frame)
        self.jumps = 0
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
        self.jumps += int(advanced.events)
        return int(advanced.status)

    def _advance_to_event(self, target: int) -> int:
        taught = update_teacher(self._frame, self.state)
        moved = self._finder.next_change(taught, target - int(taught.step))
        status = int(run_status(self._frame, taught, moved))
        if status == RUNNING:
            self.state = moved
            self.jumps += 1
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
        notes = self.notes
        if not self._spectrum.complete:
            notes += (
                f"only {self._spectrum.n_mode} of {self._spectrum.n_train} modes are held: "
                "the others stand still",
            )
        if self._finder.closest < CLOSE_CALL:
            notes += (
                f"a label was decided by {self._finder.closest:.1e} of the largest output, "
                "which is within rounding: plain steps may decide otherwise",
            )
        return notes


def _final_state(frame: Frame, state: ModeState, held_out: TestTargets | None) -> FinalState:
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
def _held_basis(frame: Frame, held_out: HeldOut | None) -> Float[Array, "n_test n_mode"] | None:
    """Θ(x, X)·V, from the modes of c to held-out predictions."""
    if held_out is None:
        return None
    return jnp.asarray(held_out.cross_kernel) @ frame.eigenvectors


@eqx.filter_jit
def _view(
    frame: Frame,
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
