"""One step of training a network, and many of them without a host in between."""

from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ntk_air._base.typing import AnyArray, ApplyFn, Inputs, Parameters, Targets
from ntk_air.dynamics.closed_form.chunks import chunk_length, in_chunks
from ntk_air.networks.training.optimisers import Optimiser
from ntk_air.networks.training.training_rules import Batch, RuleState, TrainingRule

RUNNING, NOT_FINITE = range(2)

REASONS = {
    NOT_FINITE: "the loss or its gradient is not finite: the run diverged, lower the learning "
    "rate, or a schedule gave a weight outside [0, 1]"
}
"""Why a run stopped, by the code in its state."""

Reduction: TypeAlias = Literal["sum", "mean"]


class TrainingState(eqx.Module):
    """All that training needs to go on from where it is, bit for bit.

    Attributes:
        step: optimiser steps taken.
        params: θ_t.
        optimiser: the optimiser's state.
        rule: the rule's state.
        order: the order of the examples in the current pass, (n_train,).
        status: ``RUNNING``, or the code of why it stopped.
    """

    step: Int[Array, ""]
    params: Parameters
    optimiser: Any
    rule: RuleState
    order: Int[Array, " n_train"]
    status: Int[Array, ""]


class TrainingSetup(eqx.Module):
    """What stays fixed during training.

    Attributes:
        apply_fn: the network's function.
        params: parameters θ_0 that the rule starts from.
        inputs: training inputs, (n_train, *features).
        noisy: given labels ỹ, (n_train, n_out).
        initial: outputs f_0 on the training inputs where they are subtracted.
        rule: the training rule, its floats traced.
        optimiser: the optimiser, its floats traced.
        key: PRNG key of the order of the examples and of the rule.
        batch_size: rows in a batch; ``None`` is all of them, in their order.
        reduction: whether the loss is the sum over training examples or their mean.
        evaluation_rows: the most rows that are evaluated at once outside a step.
    """

    apply_fn: ApplyFn
    params: Parameters
    inputs: Inputs
    noisy: Targets
    initial: Targets | None
    rule: TrainingRule
    optimiser: Optimiser
    key: PRNGKeyArray
    batch_size: int | None = eqx.field(static=True)
    reduction: Reduction = eqx.field(static=True)
    evaluation_rows: int = eqx.field(static=True)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in a pass; what does not fill a batch is left out of it, other examples each."""
        return 1 if self.batch_size is None else self.inputs.shape[0] // self.batch_size


@eqx.filter_jit
def start(setup: TrainingSetup) -> TrainingState:
    """The state at step 0."""
    n_train, n_out = setup.noisy.shape
    return TrainingState(
        step=jnp.zeros((), jnp.int32),
        params=setup.params,
        optimiser=setup.optimiser.transformation().init(setup.params),
        rule=setup.rule.init(n_train, n_out, setup.noisy.dtype),
        order=jnp.arange(n_train),
        status=jnp.full((), RUNNING, jnp.int32),
    )


@eqx.filter_jit
def advance(setup: TrainingSetup, state: TrainingState, until: Int[Array, ""]) -> TrainingState:
    """Take steps up to ``until``, or to the last good one."""

    def unfinished(state: TrainingState) -> Array:
        return (state.step < until) & (state.status == RUNNING)

    return jax.lax.while_loop(unfinished, lambda state: take_step(setup, state), state)


@eqx.filter_jit
def evaluate(
    apply_fn: ApplyFn, params: Parameters, inputs: Float[AnyArray, "n *features"], rows: int
) -> Float[Array, "n n_out"]:
    """Outputs on many inputs, at most ``rows`` of them at once."""
    if len(inputs) <= rows:
        return apply_fn(params, inputs)
    chunks = in_chunks(inputs, chunk_length(len(inputs), rows))
    outputs = jax.lax.map(lambda chunk: apply_fn(params, chunk), chunks)
    return outputs.reshape(-1, *outputs.shape[2:])[: len(inputs)]


@eqx.filter_jit
def outputs_of(setup: TrainingSetup, params: Parameters) -> Targets:
    """f on the training inputs, by the network that is measured; f_0 subtracted if asked for."""
    measured = setup.rule.measured(params)
    outputs = evaluate(setup.apply_fn, measured, setup.inputs, setup.evaluation_rows)
    return outputs if setup.initial is None else outputs - setup.initial


@eqx.filter_jit
def distance_moved(setup: TrainingSetup, params: Parameters) -> Float[Array, ""]:
    """‖θ_t − θ_0‖ of the network that is measured."""
    now, before = (setup.rule.measured(tree) for tree in (params, setup.params))
    return optax.tree.norm(jax.tree.map(jnp.subtract, now, before))


def take_step(setup: TrainingSetup, state: TrainingState) -> TrainingState:
    """The next state, or the last good one with the reason why there is no next."""
    batch, order = _next_batch(setup, state)
    optimiser = setup.optimiser.transformation()
    remembered = setup.rule.prepare(state.rule, lambda: outputs_of(setup, state.params), batch)
    restart = setup.rule.restarts_at(state.step)
    params, momenta = jax.tree.map(
        lambda fresh, now: jnp.where(restart, fresh, now),
        (setup.params, optimiser.init(setup.params)),
        (state.params, state.optimiser),
    )

    def network(params: Parameters, batch: Batch) -> Array:
        outputs = setup.apply_fn(params, batch.inputs)
        return outputs if batch.initial is None else outputs - batch.initial

    def objective(params: Parameters) -> tuple[Array, RuleState]:
        loss, kept = setup.rule.loss(network, params, remembered, batch)
        return loss * (setup.inputs.shape[0] if setup.reduction == "sum" else 1), kept

    (loss, remembered), gradient = jax.value_and_grad(objective, has_aux=True)(params)
    updates, momenta = optimiser.update(gradient, momenta, params)
    finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(gradient))
    landed = TrainingState(
        step=state.step + 1,
        params=optax.apply_updates(params, updates),
        optimiser=momenta,
        rule=remembered,
        order=order,
        status=jnp.full((), RUNNING, jnp.int32),
    )
    stayed = eqx.tree_at(lambda s: s.status, state, jnp.full((), NOT_FINITE, jnp.int32))
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), landed, stayed)


def _next_batch(setup: TrainingSetup, state: TrainingState) -> tuple[Batch, Int[Array, " n_train"]]:
    """The examples of this step, and the order of this pass: a new one each, without return."""
    per_epoch, n_train = setup.steps_per_epoch, setup.inputs.shape[0]
    epoch, position = state.step // per_epoch, state.step % per_epoch
    key_of_order, key_of_rule = jax.random.split(setup.key)
    order, rows = state.order, jnp.arange(n_train)
    inputs, noisy, initial = setup.inputs, setup.noisy, setup.initial
    if setup.batch_size is not None:
        order = jax.lax.cond(
            position == 0,
            lambda: jax.random.permutation(jax.random.fold_in(key_of_order, epoch), n_train),
            lambda: state.order,
        )
        rows = jax.lax.dynamic_slice(order, (position * setup.batch_size,), (setup.batch_size,))
        inputs, noisy, initial = jax.tree.map(
            lambda array: jnp.asarray(array)[rows], (inputs, noisy, initial)
        )
    batch = Batch(
        inputs=inputs,
        noisy=noisy,
        rows=rows,
        initial=initial,
        step=state.step,
        epoch=epoch,
        starts_epoch=position == 0,
        key=jax.random.fold_in(key_of_rule, state.step),
    )
    return batch, order
