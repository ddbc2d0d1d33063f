"""Step-by-step simulation under any supervision, from products Θ·v alone."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.checks import check_callable, check_positive, check_whole_number
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import Targets, TestTargets
from ntk_air.dynamics.method import Method, Request, Rule, supervision_of, times_of
from ntk_air.dynamics.run.inputs import RunInputs, check_supervision, check_times, stop_steps
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
from ntk_air.dynamics.supervision import Rounds, Supervision
from ntk_air.dynamics.supervision.label_functions import trace_floats
from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.problem import HeldOut, Problem


class Stepwise(Method):
    """f_t = f_0 + Θc_t, c_{t+1} = c_t − η(f_t − target_t) (theory.md sections 0 and 6), each step.

    Follows ``Descent``, every ``Supervision``, and ``Rounds`` without a finish. One product
    Θ·(n × C) a step, in the kernel's precision, on the device from one record to the next. An
    operator whose products JAX cannot trace runs the same steps from the host.

    Args:
        loss: loss that is descended on, ``SquareLoss()`` or ``CrossEntropy()``.
        converged_below: bound: the run stops once ‖∇L‖_F ≤ this · ‖target‖_F, and a note says if
            that never came; ``None`` never stops it.
        resume: trajectory of this very run, to go on from where it ended.
        checkpoint: callback that is given the trajectory so far after each stretch; ``None`` keeps
            nothing.
        checkpoint_every: most steps in a stretch; ``None`` is from record to record.
        progress: callback after each stretch.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> problem = na.Problem(na.Labels(np.array([[1.0], [-1.0]])), np.diag([2.0, 1.0]))
    >>> run = na.solve(problem, na.Descent(), [0, 10], method=na.Stepwise(converged_below=1e-9))
    >>> run.notes[-1]
    'not converged: the gradient is above converged_below at step 10'
    """

    loss: Loss = SquareLoss()
    converged_below: float | None = None
    resume: Trajectory | None = None
    checkpoint: Callable[[Trajectory], None] | None = eqx.field(default=None, static=True)
    checkpoint_every: int | None = eqx.field(default=None, static=True)
    progress: Progress = eqx.field(default=no_progress, static=True)

    def __check_init__(self):
        if self.checkpoint_every is not None:
            check_whole_number("checkpoint_every", self.checkpoint_every, minimum=1)
        if self.converged_below is not None:
            check_positive("converged_below", self.converged_below)
        if self.checkpoint is not None:
            check_callable("checkpoint", self.checkpoint)
        check_callable("progress", self.progress)

    def obstacle(self, problem: Problem, rule: Rule, request: Request) -> str:
        """What keeps a rule from being followed step by step; empty if nothing."""
        if supervision_of(rule) is None:
            return "steps are those of Descent, Supervision and Rounds"
        if isinstance(rule, Rounds) and rule.finish is not None:
            return "a finish to convergence takes more steps than there are"
        return "" if problem.has_operator else "the problem holds a spectrum and no operator"

    def follow(self, problem: Problem, rule: Rule, request: Request) -> Trajectory:
        """The trajectory of a rule; arguments and errors are those of ``solve``."""
        supervision, descent, operator = supervision_of(rule), request.descent, problem.operator
        assert supervision is not None  # by obstacle
        recorded, stored = check_times(times_of(rule, request.times), request.store_at)
        steps = tuple(int(step) for step in recorded)
        inputs = RunInputs(problem, operator.dtype)
        check_supervision(supervision, inputs.labels.noisy, self.loss, steps[-1])
        rate = descent.absolute_rate(
            largest_eigenvalue=problem.largest_eigenvalue,
            curvature=self.loss.curvature(problem.n_out),
        )
        below = -1.0 if self.converged_below is None else self.converged_below
        data = StepData(
            operator=operator,
            initial=inputs.initial,
            noisy=inputs.labels.noisy,
            supervision=trace_floats(self.loss.supervise(supervision)),
            loss=self.loss,
            learning_rate=jnp.asarray(rate, operator.dtype),
            momentum=jnp.asarray(descent.momentum, operator.dtype),
            converged_below=jnp.asarray(below, operator.dtype),
        )
        recorder = Recorder(self.loss, inputs.labels, store_at=stored, resume=self.resume)
        described = describe(supervision, self.loss, descent.momentum)
        run = _Run(data, inputs, recorder=recorder, rule=described, method=self)
        resume = self.resume
        return run.follow(start(data) if resume is None else _resumed(resume, inputs, steps), steps)


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
        self,
        data: StepData,
        inputs: RunInputs,
        *,
        recorder: Recorder,
        rule: str,
        method: Stepwise,
    ):
        self._data = data
        self._inputs = inputs
        self._recorder = recorder
        self._rule = rule
        self._method = method
        self._compiled = _traceable(data.operator, inputs.initial)
        self._notes = inputs.notes
        if not isinstance(data.loss, SquareLoss):
            self._notes += ("metrics are of the outputs' probabilities in the target coding",)
        if not self._compiled:
            self._notes += ("stepped from the host: JAX cannot trace the kernel's products",)

    def follow(self, state: SimulationState, steps: tuple[int, ...]) -> Trajectory:
        """Step through ``steps``, recording each."""
        recorded, method = frozenset(steps), self._method
        for stop in stop_steps(int(state.step), steps, method.checkpoint_every):
            state = advance(self._data, state, stop, compiled=self._compiled)
            if int(state.status) != RUNNING:
                break
            if stop in recorded and stop > self._recorder.last_step:
                self._recorder.record(stop, self._view(state))
            if method.checkpoint is not None:
                method.checkpoint(self._trajectory(state))
            method.progress("simulating", stop, steps[-1])
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
        distance, held_out = _see(self._data.initial, self._inputs.held_out, state)
        return View(outputs=state.outputs, parameter_distance=distance, held_out=held_out)

    def _trajectory(self, state: SimulationState, *notes: str) -> Trajectory:
        held_out = self._inputs.held_out
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


def _resumed(trajectory: Trajectory, inputs: RunInputs, steps: tuple[int, ...]) -> SimulationState:
    state = trajectory.final.resume
    if not isinstance(state, SimulationState):
        raise ValueError(
            "resume must be a trajectory of Stepwise or EventDriven: it holds no state"
        )
    if int(state.status) not in (RUNNING, CONVERGED):
        raise ValueError(
            f"resume must be a run that can go on; it ended at step {int(state.step)}: "
            + "; ".join(trajectory.notes)
        )
    if state.outputs.shape != inputs.initial.shape or state.outputs.dtype != inputs.initial.dtype:
        raise ValueError(
            f"resume must be a run of shape {inputs.initial.shape} {inputs.initial.dtype}; got "
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
