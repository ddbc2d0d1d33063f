"""Training of any network with optax, under supervision or a rule of one's own."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Float

from ntk_air._base.typing import AnyArray
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.inputs import Steps, check_supervision, check_times, stop_steps
from ntk_air.dynamics.run.recording import Recorder, ReferenceLabels, View
from ntk_air.dynamics.run.trajectory import FinalState, Trajectory
from ntk_air.dynamics.supervision import Supervision
from ntk_air.dynamics.supervision.label_functions import trace_floats
from ntk_air.networks.training.minibatches import FULL_BATCHES, Minibatches
from ntk_air.networks.training.network_problem import NetworkProblem
from ntk_air.networks.training.optimisers import Optimiser, as_optimiser
from ntk_air.networks.training.supervised_rule import SupervisedRule
from ntk_air.networks.training.train_checkpoints import Checkpoints, identity_of
from ntk_air.networks.training.train_step import (
    REASONS,
    RUNNING,
    TrainingSetup,
    TrainingState,
    advance,
    distance_moved,
    evaluate,
    outputs_of,
    start,
)
from ntk_air.networks.training.training_rules import TrainingRule


def train(
    problem: NetworkProblem,
    rule: TrainingRule | Supervision,
    times: Steps,
    optimiser: Optimiser | Descent,
    *,
    method: Minibatches = FULL_BATCHES,
    store_at: Steps = (),
) -> Trajectory:
    """Train a network: θ follows the optimiser on the rule's loss (theory.md sections 6 and 7).

    With ``Descent(η)``, full batches and the square loss the network's outputs follow the kernel
    regime's with the same η and supervision as its empirical NTK stays what it was.

    Args:
        problem: network at its start, inputs and labels.
        rule: a ``Supervision``, trained on with the method's loss; or any ``TrainingRule``.
        times: optimiser steps to record at, ascending whole numbers; the run ends at the last.
        optimiser: ``Descent`` at an absolute rate or a schedule of it, ``Adam`` or
            ``OptaxOptimiser``.
        method: batches, loss, and where the run goes on from.
        store_at: those of ``times`` at which outputs are kept.

    Returns:
        The trajectory: ``parameter_distance`` is of the parameters themselves, and
        ``final.resume`` the ``TrainingState`` that it goes on from, with the parameters.
        ``notes`` says why a run ended before the last of ``times``.

    Raises:
        ValueError: for times, a supervision or a rate that cannot be followed, more examples in a
            batch than there are, and batches or a rule without a key to draw from.

    >>> import jax
    >>> import numpy as np
    >>> import ntk_air as na
    >>> network = na.networks.DenseNetwork((32,))
    >>> inputs, noisy = np.eye(4, dtype="float32"), np.array([[1], [1], [-1], [-1]], "float32")
    >>> problem = na.networks.NetworkProblem(
    ...     network.apply, network.init(jax.random.key(0), 4), inputs, na.Labels(noisy)
    ... )
    >>> plain = na.Supervision(na.label_functions.Identity(), na.weights.Constant(1.0))
    >>> run = na.networks.train(problem, plain, [0, 100], na.Descent(0.5))
    >>> run.train.zero_one_error.tolist()[-1]
    0.0
    """
    optimiser = as_optimiser(optimiser)
    recorded, stored = check_times(times, store_at)
    steps = tuple(int(step) for step in recorded)
    needs_key = method.size is not None or not isinstance(rule, Supervision)
    if isinstance(rule, Supervision):
        noisy = jnp.asarray(problem.labels.noisy, problem.dtype)
        check_supervision(rule, noisy, method.loss, steps[-1])
        rule = SupervisedRule(rule, method.loss)
    method.steps_per_pass(problem.n_train)  # refuses batches larger than the training set
    if needs_key and method.key is None:
        raise ValueError("key must be given for minibatches and for rules: they draw from it")
    run = _Run(problem, rule, optimiser, method, store_at=stored)
    return run.follow(steps)


class _Run:
    """Training on its way from record to record."""

    def __init__(
        self,
        problem: NetworkProblem,
        rule: TrainingRule,
        optimiser: Optimiser,
        method: Minibatches,
        *,
        store_at: frozenset[float],
    ):
        given, held_out, dtype = problem.labels, problem.held_out, problem.dtype
        self._labels = ReferenceLabels(
            clean=jnp.asarray(given.noisy if given.clean is None else given.clean, dtype),
            noisy=jnp.asarray(given.noisy, dtype),
            held_out=None if held_out is None else jnp.asarray(held_out.targets, dtype),
        )
        self._method, self._store_at = method, store_at
        inputs = jnp.asarray(problem.inputs, dtype)
        self._test_inputs = None if held_out is None else jnp.asarray(held_out.inputs, dtype)
        self._test_initial, initial = None, None
        if problem.subtract_initial:
            rows = method.evaluation_rows
            initial = evaluate(problem.apply_fn, problem.params, inputs, rows)
            if self._test_inputs is not None:
                self._test_initial = evaluate(
                    problem.apply_fn, problem.params, self._test_inputs, rows
                )
        self._setup = TrainingSetup(
            apply_fn=problem.apply_fn,
            params=jax.tree.map(jnp.asarray, rule.first_params(problem.params)),
            inputs=inputs,
            noisy=self._labels.noisy,
            initial=initial,
            rule=trace_floats(rule),
            optimiser=trace_floats(optimiser),
            key=jax.random.key(0) if method.key is None else jnp.asarray(method.key),
            batch_size=method.size,
            reduction=method.reduction,
            evaluation_rows=method.evaluation_rows,
        )
        self._recorder = self._record_on(method.resume)
        self._keep: Callable[[Trajectory], None] | None = None
        self._rate = optimiser.rate_at_start()
        self._rule = _describe(rule, optimiser, method)
        no_clean = "no clean labels given: measured against the noisy ones"
        self._notes = (no_clean,) * (given.clean is None)

    def follow(self, steps: tuple[int, ...]) -> Trajectory:
        """Train through ``steps`` from the start or from what is kept, recording each."""
        state = self._first_state(steps)
        checkpoints = self._method.checkpoints
        every = None if checkpoints is None else checkpoints.every
        recorded = frozenset(steps)
        for stop in stop_steps(int(state.step), steps, every):
            state = advance(self._setup, state, jnp.asarray(stop, jnp.int32))
            if int(state.status) != RUNNING:
                break
            if stop in recorded and stop > self._recorder.last_step:
                self._recorder.record(stop, self._view(state))
            if self._keep is not None:
                self._keep(self._trajectory(state))
            self._method.progress("training", stop, steps[-1])
        if int(state.status) == RUNNING:
            return self._trajectory(state)
        if self._recorder.last_step < int(state.step):
            self._recorder.record(int(state.step), self._view(state))
        reason = REASONS[int(state.status)]
        return self._trajectory(
            state, f"stopped at step {int(state.step)} of {steps[-1]}: {reason}"
        )

    def _first_state(self, steps: tuple[int, ...]) -> TrainingState:
        """The state at step 0, or that which the run goes on from."""
        if self._method.resume is not None:
            return _resumed(self._method.resume, steps)
        first = start(self._setup)
        if self._method.checkpoints is None:
            return first
        return self._restored(self._method.checkpoints, first, steps)

    def _restored(
        self, checkpoints: Checkpoints, first: TrainingState, steps: tuple[int, ...]
    ) -> TrainingState:
        """The state that is kept, or the first; from here on states are kept."""
        identity = identity_of(
            self._setup, self._rule, times=steps, stored=self._store_at, labels=self._labels
        )
        self._keep = lambda trajectory: checkpoints.save(trajectory, identity)
        kept = checkpoints.restore(first, identity)
        if kept is None:
            return first
        self._recorder = self._record_on(kept)
        return kept.final.resume

    def _record_on(self, kept: Trajectory | None) -> Recorder:
        return Recorder(self._method.loss, self._labels, store_at=self._store_at, resume=kept)

    def _view(self, state: TrainingState) -> View:
        return View(
            outputs=outputs_of(self._setup, state.params),
            parameter_distance=distance_moved(self._setup, state.params),
            held_out=self._held_out(state),
        )

    def _held_out(self, state: TrainingState) -> Float[AnyArray, "n_test n_out"] | None:
        if self._test_inputs is None:
            return None
        setup, measured = self._setup, self._setup.rule.measured(state.params)
        outputs = evaluate(setup.apply_fn, measured, self._test_inputs, setup.evaluation_rows)
        return outputs if self._test_initial is None else outputs - self._test_initial

    def _trajectory(self, state: TrainingState, *notes: str) -> Trajectory:
        final = FinalState(
            predictions=outputs_of(self._setup, state.params),
            held_out_predictions=self._held_out(state),
            resume=state,
        )
        return self._recorder.trajectory(
            final, learning_rate=self._rate, rule=self._rule, notes=self._notes + notes
        )


def _describe(rule: TrainingRule, optimiser: Optimiser, method: Minibatches) -> str:
    """The rule in words, as trajectories carry it."""
    if isinstance(rule, SupervisedRule):
        supervision = rule.supervision
        parts = (supervision.label_function, supervision.schedule, supervision.teacher)
        names = " × ".join(getattr(part, "__name__", type(part).__name__) for part in parts)
        warm_up = f", after {supervision.warm_up} plain steps" if supervision.warm_up else ""
        what = names + warm_up
    else:
        what = type(rule).__name__
    loss = type(method.loss).__name__
    return f"{loss}, {optimiser.describe()}, {what}, network trained on {method.words}"


def _resumed(trajectory: Trajectory, steps: tuple[int, ...]) -> TrainingState:
    state = trajectory.final.resume
    if not isinstance(state, TrainingState):
        raise ValueError("resume must be a trajectory that train returned: it holds no state")
    if int(state.status) != RUNNING:
        raise ValueError(
            f"resume must be a run that can go on; it ended at step {int(state.step)}: "
            + "; ".join(trajectory.notes)
        )
    if steps[-1] <= int(state.step):
        raise ValueError(
            f"times must reach beyond step {int(state.step)}, where the run to resume stands; "
            f"the last is {steps[-1]}"
        )
    return state
