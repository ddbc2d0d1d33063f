"""Step-by-step simulation under any supervision, from products Θ·v alone."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.checks import check_at_least, check_positive
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import KernelMatrix, Targets, TestTargets
from ntk_air.dynamics.run.inputs import RunInputs, Steps, check_supervision, check_times, stop_steps
from ntk_air.dynamics.run.learning_rate import DEFAULT_RATE, LearningRate, absolute_rate
from ntk_air.dynamics.run.losses import Loss, SquareLoss
from ntk_air.dynamics.run.metrics import parameter_distance
from ntk_air.dynamics.run.recording import Recorder, View
from ntk_air.dynamics.run.trajectory import FinalState, Trajectory
from ntk_air.dynamics.stepwise.stepping import (
    CONVERGED,
    REASONS,
    RUNNING,
    SimulationState,
    StepData,
    advance,
    start,
)
from ntk_air.dynamics.supervision import Supervision
from ntk_air.dynamics.supervision.label_functions import trace_floats
from ntk_air.kernels.operators.operator import KernelOperator, as_operator
from ntk_air.problem import HeldOut
from ntk_air.spectrum.decomposition import decompose


def simulate(
    kernel: KernelOperator | KernelMatrix,
    noisy: Targets,
    supervision: Supervision,
    *,
    times: Steps,
    learning_rate: LearningRate = DEFAULT_RATE,
    momentum: float | int = 0.0,
    loss: Loss | None = None,
    initial: Targets | None = None,
    clean: Targets | None = None,
    held_out: HeldOut | None = None,
    store_at: Steps = (),
    largest_eigenvalue: float | None = None,
    allow_divergence: bool = False,
    converged_below: float | None = None,
    resume: Trajectory | None = None,
    checkpoint: Callable[[Trajectory], None] | None = None,
    checkpoint_every: int | None = None,
    progress: Progress = no_progress,
) -> Trajectory:
    """Simulate f_t = f_0 + Θc_t, c_{t+1} = c_t − η(f_t − target_t) (theory.md sections 0 and 6).

    One product Θ·(n × C) a step, in the kernel's precision, on the device from one record to the
    next. An operator whose products JAX cannot trace runs the same steps from the host.

    Args:
        kernel: an operator, or the (n_train, n_train) matrix itself.
        noisy: the given labels ỹ, (n_train, n_out), in the target coding.
        supervision: what each step is trained on; ``plain_descent()`` for ỹ alone.
        times: steps to record at, ascending whole numbers; the run ends at the last.
        learning_rate: η, or ``RelativeRate`` as a fraction of 1/λ₁.
        momentum: β of heavy ball, in [0, 1).
        loss: ``SquareLoss()``, the default, or ``CrossEntropy()``.
        initial: f_0, (n_train, n_out); ``None`` is 0.
        clean: y, (n_train, n_out), that metrics are against; ``None`` measures against ỹ.
        held_out: held-out inputs to predict and measure on.
        store_at: those of ``times`` at which outputs are kept.
        largest_eigenvalue: λ₁ where it is known; else found by Lanczos.
        allow_divergence: accept a rate at or above the bound of stability.
        converged_below: stop once ‖∇L‖_F ≤ this · ‖target‖_F; a note says if that never came.
        resume: a trajectory of this very run, to go on from where it ended.
        checkpoint: called with the trajectory so far after each stretch.
        checkpoint_every: the most steps in a stretch; ``None`` is from record to record.
        progress: called after each stretch.

    Returns:
        The trajectory. ``notes`` says why a run ended before the last of ``times``: it is then
        recorded at its last good step. ``final.resume`` is the state that it goes on from.

    Raises:
        ValueError: for arguments of the wrong shape, kind or range, a rate that diverges, and a
            schedule that leaves [0, 1].
    """
    operator = as_operator(kernel)
    loss = SquareLoss() if loss is None else loss
    recorded, stored = check_times(times, store_at)
    steps = tuple(int(step) for step in recorded)
    setup = RunInputs(
        operator.shape[0],
        operator.dtype,
        noisy=noisy,
        clean=clean,
        initial=initial,
        held_out=held_out,
    )
    check_supervision(supervision, setup.labels.noisy, loss, steps[-1])
    if checkpoint_every is not None:
        check_at_least("checkpoint_every", checkpoint_every, 1)
    if converged_below is not None:
        check_positive("converged_below", converged_below)
    rate = absolute_rate(
        learning_rate,
        largest_eigenvalue=largest_eigenvalue or find_largest_eigenvalue(operator),
        momentum=momentum,
        curvature=loss.curvature(noisy.shape[1]),
        allow_divergence=allow_divergence,
    )
    data = StepData(
        operator=operator,
        initial=setup.initial,
        noisy=setup.labels.noisy,
        supervision=trace_floats(loss.supervise(supervision)),
        loss=loss,
        learning_rate=jnp.asarray(rate, operator.dtype),
        momentum=jnp.asarray(momentum, operator.dtype),
        converged_below=jnp.asarray(
            -1.0 if converged_below is None else converged_below, operator.dtype
        ),
    )
    run = _Run(
        data,
        setup,
        recorder=Recorder(loss, setup.labels, store_at=stored, resume=resume),
        rule=describe(supervision, loss, momentum),
        compiled=_traceable(operator, setup.initial),
    )
    state = start(data) if resume is None else _resumed(resume, setup, steps)
    return run.follow(
        state, steps, checkpoint=checkpoint, checkpoint_every=checkpoint_every, progress=progress
    )


def find_largest_eigenvalue(operator: KernelOperator) -> float:
    """λ₁ by Lanczos, from products alone."""
    precision = "float64" if operator.dtype == jnp.float64 else "float32"
    method = "iterative" if operator.shape[0] > 1 else "dense"
    return decompose(operator, top_k=1, precision=precision, method=method).lambda_max


def describe(supervision: Supervision, loss: Loss, momentum: float | int) -> str:
    """The rule in words, as trajectories carry it."""
    parts = (supervision.label_function, supervision.schedule, supervision.teacher)
    names = [getattr(part, "__name__", type(part).__name__) for part in parts]
    method = "gradient descent" if momentum == 0 else f"heavy ball ({momentum:g})"
    warm_up = f", after {supervision.warm_up} plain steps" if supervision.warm_up else ""
    return f"{type(loss).__name__}, {method}, {' × '.join(names)}{warm_up}, simulated"


class _Run:
    """A simulation on its way from record to record."""

    def __init__(
        self, data: StepData, setup: RunInputs, *, recorder: Recorder, rule: str, compiled: bool
    ):
        self._data = data
        self._setup = setup
        self._recorder = recorder
        self._rule = rule
        self._compiled = compiled
        self._notes = setup.notes
        if not isinstance(data.loss, SquareLoss):
            self._notes += ("metrics are of the outputs' probabilities in the target coding",)
        if not compiled:
            self._notes += ("stepped from the host: JAX cannot trace the kernel's products",)

    def follow(
        self,
        state: SimulationState,
        steps: tuple[int, ...],
        *,
        checkpoint: Callable[[Trajectory], None] | None,
        checkpoint_every: int | None,
        progress: Progress,
    ) -> Trajectory:
        """Step through ``steps``, recording each."""
        recorded = frozenset(steps)
        for stop in stop_steps(int(state.step), steps, checkpoint_every):
            state = advance(self._data, state, stop, compiled=self._compiled)
            if int(state.status) != RUNNING:
                break
            if stop in recorded and stop > self._recorder.last_step:
                self._recorder.record(stop, self._view(state))
            if checkpoint is not None:
                checkpoint(self._trajectory(state))
            progress("simulating", stop, steps[-1])
        if int(state.status) == RUNNING:
            return self._trajectory(state, *self._not_converged(state))
        if self._recorder.last_step < int(state.step):
            self._recorder.record(int(state.step), self._view(state))
        return self._trajectory(state, _reason(state, steps[-1]))

    def _not_converged(self, state: SimulationState) -> tuple[str, ...]:
        asked = float(self._data.converged_below)
        if asked < 0:
            return ()
        return (f"not converged: the gradient is above converged_below at step {int(state.step)}",)

    def _view(self, state: SimulationState) -> View:
        distance, held_out = _see(self._data.initial, self._setup.held_out, state)
        return View(outputs=state.outputs, parameter_distance=distance, held_out=held_out)

    def _trajectory(self, state: SimulationState, *notes: str) -> Trajectory:
        held_out = self._setup.held_out
        final = FinalState(
            predictions=state.outputs,
            dual=state.dual,
            held_out_predictions=None if held_out is None else held_out.predictions(state.dual),
            resume=state,
        )
        return self._recorder.trajectory(
            final,
            learning_rate=float(self._data.learning_rate),
            rule=self._rule,
            notes=self._notes + notes,
        )


@eqx.filter_jit
def _see(
    initial: Targets, held_out: HeldOut | None, state: SimulationState
) -> tuple[Float[Array, ""], TestTargets | None]:
    distance = parameter_distance(state.outputs - initial, state.dual)
    return distance, None if held_out is None else held_out.predictions(state.dual)


def _resumed(trajectory: Trajectory, setup: RunInputs, steps: tuple[int, ...]) -> SimulationState:
    state = trajectory.final.resume
    if not isinstance(state, SimulationState):
        raise ValueError("resume must be a trajectory that simulate returned: it holds no state")
    if int(state.status) not in (RUNNING, CONVERGED):
        raise ValueError(
            f"resume must be a run that can go on; it ended at step {int(state.step)}: "
            + "; ".join(trajectory.notes)
        )
    if state.outputs.shape != setup.initial.shape or state.outputs.dtype != setup.initial.dtype:
        raise ValueError(
            f"resume must be a run of shape {setup.initial.shape} {setup.initial.dtype}; got "
            f"{state.outputs.shape} {state.outputs.dtype}"
        )
    if steps[-1] < int(state.step):
        raise ValueError(
            f"times must reach step {int(state.step)}, where the run to resume stands; "
            f"the last is {steps[-1]}"
        )
    return eqx.tree_at(lambda s: s.status, state, jnp.full_like(state.status, RUNNING))


def _reason(state: SimulationState, last: int) -> str:
    return f"stopped at step {int(state.step)} of {last}: {REASONS[int(state.status)]}"


def _traceable(operator: KernelOperator, vectors: Targets) -> bool:
    """Whether JAX can trace the operator's products: those of one on disk it cannot."""
    try:
        jax.eval_shape(operator.matvec, vectors)
    except jax.errors.JAXTypeError:
        return False
    return True
