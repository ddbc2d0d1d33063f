"""Training of any network with optax, under supervision or a rule of one's own."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray, Shaped

from ntk_air._base.checks import check_at_least, check_choice, check_finite, check_inputs
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import (
    AnyArray,
    ApplyFn,
    Inputs,
    Parameters,
    Targets,
    TestInputs,
    TestTargets,
)
from ntk_air.dynamics.run.inputs import Steps, check_supervision, check_times, stop_steps
from ntk_air.dynamics.run.losses import Loss, SquareLoss
from ntk_air.dynamics.run.recording import Recorder, ReferenceLabels, View
from ntk_air.dynamics.run.trajectory import FinalState, Trajectory
from ntk_air.dynamics.supervision import Supervision
from ntk_air.dynamics.supervision.label_functions import trace_floats
from ntk_air.networks.training.checkpoints import Checkpoints, identity_of
from ntk_air.networks.training.optimisers import Optimiser
from ntk_air.networks.training.rules import TrainingRule
from ntk_air.networks.training.stepping import (
    REASONS,
    RUNNING,
    Reduction,
    TrainingProblem,
    TrainingState,
    advance,
    distance_moved,
    evaluate,
    outputs_of,
    start,
)
from ntk_air.networks.training.supervised import SupervisedRule


class HeldOutInputs(eqx.Module):
    """Held-out inputs and their clean labels, for networks.

    Attributes:
        inputs: (n_test, *features).
        targets: clean labels in the target coding, (n_test, n_out).
    """

    inputs: TestInputs
    targets: TestTargets


def train(
    apply_fn: ApplyFn,
    params: Parameters,
    inputs: Inputs,
    noisy: Targets,
    rule: TrainingRule | Supervision,
    optimiser: Optimiser,
    *,
    times: Steps,
    loss: Loss | None = None,
    batch_size: int | None = None,
    reduction: Reduction = "sum",
    subtract_initial: bool = False,
    key: PRNGKeyArray | Shaped[AnyArray, "2"] | None = None,
    clean: Targets | None = None,
    held_out: HeldOutInputs | None = None,
    store_at: Steps = (),
    evaluation_rows: int = 1024,
    resume: Trajectory | None = None,
    checkpoints: Checkpoints | None = None,
    progress: Progress = no_progress,
) -> Trajectory:
    """Train a network: θ follows the optimiser on the rule's loss (theory.md sections 6 and 7).

    With ``Descent(η)``, full batches and the square loss the network's outputs follow
    ``simulate`` with the same η and supervision as its empirical NTK stays what it was.

    Args:
        apply_fn: ``apply_fn(params, x)``, (n, n_out) from (n, *features); each example's outputs
            depend on it alone.
        params: θ_0, a pytree of floating-point arrays; outputs set the precision of the run.
        inputs: (n_train, *features).
        noisy: the given labels ỹ, (n_train, n_out), in the target coding.
        rule: a ``Supervision``, trained on with ``loss``; or any ``TrainingRule``.
        optimiser: ``Descent``, ``Adam`` or ``OptaxOptimiser``.
        times: optimiser steps to record at, ascending whole numbers; the run ends at the last.
        loss: what the outputs mean: ``SquareLoss()``, the default, or ``CrossEntropy()``, whose
            outputs are logits and are measured as probabilities.
        batch_size: examples in a step, drawn without return, in another order in each pass;
            ``None`` is all of them. What does not fill a batch is left out of a pass.
        reduction: ``"sum"`` over the training examples as in theory.md (a batch stands for all
            of them, × n_train/batch_size), or ``"mean"``.
        subtract_initial: train and measure f − f_0, which starts at 0 as in the theory.
        key: of the batches and of the rule's own randomness; full batches under supervision
            need none.
        clean: y, (n_train, n_out), that metrics are against; ``None`` measures against ỹ.
        held_out: held-out inputs to predict and measure on.
        store_at: those of ``times`` at which outputs are kept.
        evaluation_rows: the most examples that are evaluated at once for a record.
        resume: a trajectory of this very run, to go on from where it ended.
        checkpoints: where the run keeps its state; it goes on from what it finds there. Not
            together with ``resume``.
        progress: called after each stretch.

    Returns:
        The trajectory: ``parameter_distance`` is of the parameters themselves, and
        ``final.resume`` the ``TrainingState`` that it goes on from, with the parameters.
        ``notes`` says why a run ended before the last of ``times``.

    Raises:
        ValueError: for arguments of the wrong shape, kind or range.
    """
    loss = SquareLoss() if loss is None else loss
    recorded, stored = check_times(times, store_at)
    steps = tuple(int(step) for step in recorded)
    if isinstance(rule, Supervision):
        check_supervision(rule, noisy, loss, steps[-1])
        rule = SupervisedRule(rule, loss)
        needs_key = batch_size is not None
    else:
        needs_key = True
    _check_options(inputs, batch_size, reduction, evaluation_rows)
    if resume is not None and checkpoints is not None:
        raise ValueError("resume must be left out where checkpoints say what to go on from")
    if needs_key and key is None:
        raise ValueError("key must be given for minibatches and for rules: they draw from it")
    run = _Run(
        apply_fn,
        rule,
        loss,
        params=params,
        inputs=inputs,
        noisy=noisy,
        clean=clean,
        held_out=held_out,
        subtract_initial=subtract_initial,
        optimiser=optimiser,
        key=jax.random.key(0) if key is None else key,
        sizes=(batch_size, reduction, evaluation_rows),
        store_at=stored,
        resume=resume,
    )
    if checkpoints is not None:
        return run.follow(run.restore(checkpoints, steps), steps, progress=progress)
    state = run.start() if resume is None else _resumed(resume, steps)
    return run.follow(state, steps, progress=progress)


class _Run:
    """Training on its way from record to record."""

    def __init__(
        self,
        apply_fn: ApplyFn,
        rule: TrainingRule,
        loss: Loss,
        *,
        params: Parameters,
        inputs: Inputs,
        noisy: Targets,
        clean: Targets | None,
        held_out: HeldOutInputs | None,
        subtract_initial: bool,
        optimiser: Optimiser,
        key: PRNGKeyArray | Shaped[AnyArray, "2"],
        sizes: tuple[int | None, Reduction, int],
        store_at: frozenset[float],
        resume: Trajectory | None,
    ):
        batch_size, reduction, self._rows = sizes
        measured = rule.measured(params)
        dtype = _output_dtype(apply_fn, measured, inputs, noisy)
        _check_labels(inputs, noisy, clean, held_out)
        labels = ReferenceLabels(
            clean=jnp.asarray(noisy if clean is None else clean, dtype),
            noisy=jnp.asarray(noisy, dtype),
            held_out=None if held_out is None else jnp.asarray(held_out.targets, dtype),
        )
        inputs = jnp.asarray(inputs, dtype)
        self._test_inputs = None if held_out is None else jnp.asarray(held_out.inputs, dtype)
        self._test_initial = None
        initial = None
        if subtract_initial:
            initial = evaluate(apply_fn, measured, inputs, self._rows)
            if self._test_inputs is not None:
                self._test_initial = evaluate(apply_fn, measured, self._test_inputs, self._rows)
        self._problem = TrainingProblem(
            apply_fn=apply_fn,
            params=jax.tree.map(jnp.asarray, params),
            inputs=inputs,
            noisy=labels.noisy,
            initial=initial,
            rule=trace_floats(rule),
            optimiser=trace_floats(optimiser),
            key=jnp.asarray(key),
            batch_size=batch_size,
            reduction=reduction,
            evaluation_rows=self._rows,
        )
        self._labels = labels
        self._recorder = Recorder(loss, labels, store_at=store_at, resume=resume)
        self._record_on = lambda kept: Recorder(loss, labels, store_at=store_at, resume=kept)
        self._store_at = store_at
        self._keep: Callable[[Trajectory], None] | None = None
        self._every: int | None = None
        self._rate = optimiser.rate_at_start()
        self._rule = _describe(rule, loss, optimiser, batch_size)
        self._notes = ("no clean labels given: measured against the noisy ones",) * (clean is None)

    def start(self) -> TrainingState:
        """The state at step 0."""
        return start(self._problem)

    def restore(self, checkpoints: Checkpoints, steps: tuple[int, ...]) -> TrainingState:
        """The state that is kept, or that at step 0; from here on states are kept."""
        identity = identity_of(self._problem, self._rule, steps, self._store_at, self._labels)
        self._keep = lambda trajectory: checkpoints.save(trajectory, identity)
        self._every = checkpoints.every
        start = self.start()
        kept = checkpoints.restore(start, identity)
        if kept is None:
            return start
        self._recorder = self._record_on(kept)
        return kept.final.resume

    def follow(
        self, state: TrainingState, steps: tuple[int, ...], *, progress: Progress
    ) -> Trajectory:
        """Train through ``steps``, recording each."""
        recorded = frozenset(steps)
        for stop in stop_steps(int(state.step), steps, self._every):
            state = advance(self._problem, state, jnp.asarray(stop, jnp.int32))
            if int(state.status) != RUNNING:
                break
            if stop in recorded and stop > self._recorder.last_step:
                self._recorder.record(stop, self._view(state))
            if self._keep is not None:
                self._keep(self._trajectory(state))
            progress("training", stop, steps[-1])
        if int(state.status) == RUNNING:
            return self._trajectory(state)
        if self._recorder.last_step < int(state.step):
            self._recorder.record(int(state.step), self._view(state))
        reason = REASONS[int(state.status)]
        return self._trajectory(
            state, f"stopped at step {int(state.step)} of {steps[-1]}: {reason}"
        )

    def _view(self, state: TrainingState) -> View:
        return View(
            outputs=outputs_of(self._problem, state.params),
            parameter_distance=distance_moved(self._problem, state.params),
            held_out=self._held_out(state),
        )

    def _held_out(self, state: TrainingState) -> Float[AnyArray, "n_test n_out"] | None:
        if self._test_inputs is None:
            return None
        measured = self._problem.rule.measured(state.params)
        outputs = evaluate(self._problem.apply_fn, measured, self._test_inputs, self._rows)
        return outputs if self._test_initial is None else outputs - self._test_initial

    def _trajectory(self, state: TrainingState, *notes: str) -> Trajectory:
        final = FinalState(
            predictions=outputs_of(self._problem, state.params),
            held_out_predictions=self._held_out(state),
            resume=state,
        )
        return self._recorder.trajectory(
            final, learning_rate=self._rate, rule=self._rule, notes=self._notes + notes
        )


def _describe(rule: TrainingRule, loss: Loss, optimiser: Optimiser, batch_size: int | None) -> str:
    """The rule in words, as trajectories carry it."""
    method = f"{type(loss).__name__}, {optimiser.describe()}"
    if isinstance(rule, SupervisedRule):
        supervision = rule.supervision
        parts = (supervision.label_function, supervision.schedule, supervision.teacher)
        names = " × ".join(getattr(part, "__name__", type(part).__name__) for part in parts)
        warm_up = f", after {supervision.warm_up} plain steps" if supervision.warm_up else ""
        what = names + warm_up
    else:
        what = type(rule).__name__
    batches = "full batches" if batch_size is None else f"batches of {batch_size}"
    return f"{method}, {what}, network trained on {batches}"


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


def _check_options(
    inputs: Inputs,
    batch_size: int | None,
    reduction: str,
    evaluation_rows: int,
) -> None:
    check_inputs("inputs", inputs)
    check_choice("reduction", reduction, ("sum", "mean"))
    check_at_least("evaluation_rows", evaluation_rows, 1)
    if batch_size is not None and not 1 <= batch_size <= len(inputs):
        raise ValueError(
            f"batch_size must lie in 1 … {len(inputs)}, the training inputs; got {batch_size}"
        )


def _check_labels(
    inputs: Inputs, noisy: Targets, clean: Targets | None, held_out: HeldOutInputs | None
) -> None:
    for name, array in (("noisy", noisy), ("clean", clean)):
        if array is None:
            continue
        if array.shape != (len(inputs), noisy.shape[1]):
            raise ValueError(
                f"{name} must have shape {(len(inputs), noisy.shape[1])}, one row for each input; "
                f"got {array.shape}"
            )
        check_finite(name, array)
    if held_out is None:
        return
    check_inputs("held_out inputs", held_out.inputs)
    check_finite("held_out targets", held_out.targets)
    wanted = (len(held_out.inputs), noisy.shape[1])
    if held_out.targets.shape != wanted or held_out.inputs.shape[1:] != inputs.shape[1:]:
        raise ValueError(
            f"held_out must have inputs (n_test, *{inputs.shape[1:]}) and targets {wanted}; got "
            f"{held_out.inputs.shape} and {held_out.targets.shape}"
        )


def _output_dtype(
    apply_fn: ApplyFn, params: Parameters, inputs: Inputs, noisy: Targets
) -> np.dtype:
    """The precision of the outputs, once their shape is found to be that of the labels."""
    leaves = jax.tree.leaves(params)
    unknown = [leaf for leaf in leaves if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating)]
    if unknown or not leaves:
        raise ValueError(
            "params must be a pytree of floating-point arrays; got "
            + (f"{len(unknown)} other leaves" if leaves else "none")
        )
    dtype = jnp.result_type(*leaves)
    wanted = jax.ShapeDtypeStruct(inputs.shape, dtype)
    outputs = jax.eval_shape(apply_fn, params, wanted)
    if outputs.shape != noisy.shape:
        raise ValueError(
            f"apply_fn must map the inputs to outputs of noisy's shape {noisy.shape}; "
            f"got {outputs.shape}"
        )
    return np.dtype(outputs.dtype)
