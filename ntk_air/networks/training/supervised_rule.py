"""Supervision of theory.md section 6 as a training rule, on full batches and on minibatches."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ntk_air._base.typing import Parameters, Targets
from ntk_air.dynamics.run.losses import Loss
from ntk_air.dynamics.supervision import Pretrained, Supervision
from ntk_air.networks.training.training_rules import Batch, BatchNetwork, TrainingRule


class StoredTeacher(eqx.Module):
    """What is remembered of each training example.

    Attributes:
        outputs: the teacher's outputs on it, (n_train, n_out).
        seen: whether there are any yet, (n_train,).
    """

    outputs: Targets
    seen: Bool[Array, " n_train"]


class SupervisedRule(TrainingRule):
    """target_t = α_t ỹ + (1 − α_t) h(f_τ(t)), with the square loss or cross-entropy.

    On full batches this is plain stepping of the kernel regime. On minibatches
    the teacher's outputs are stored for each example. A teacher with epochs reads the network on
    all training inputs at the start of each, one pass more; a moving average moves where an
    example is visited; the weight ``Agreement`` is that of the batch. Steps are the optimiser's.

    Args:
        supervision: label function × schedule × teacher.
        loss_function: ``SquareLoss()`` or ``CrossEntropy()``.
    """

    supervision: Supervision
    loss_function: Loss

    def __init__(self, supervision: Supervision, loss_function: Loss):
        self.supervision = loss_function.supervise(supervision)
        self.loss_function = loss_function

    def first_params(self, params: Parameters) -> Parameters:
        """The network's own."""
        return params

    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> StoredTeacher:
        """Nothing seen yet."""
        return StoredTeacher(jnp.zeros((n_train, n_out), dtype), jnp.zeros(n_train, bool))

    def prepare(
        self, state: StoredTeacher, outputs_of_all: Callable[[], Targets], batch: Batch
    ) -> StoredTeacher:
        """A teacher with epochs, renewed at the start of each."""
        length = self.supervision.teacher.steps_per_epoch()
        if length is None:
            return state
        clock = batch.step - self.supervision.warm_up
        renews = (batch.step == 0) | ((clock >= 0) & (clock % length == 0))

        def renewed() -> StoredTeacher:
            taught = self.supervision.observe(state.outputs, outputs_of_all(), batch.step)
            return StoredTeacher(taught, jnp.ones_like(state.seen))

        return jax.lax.cond(renews, renewed, lambda: state)

    def loss(
        self, network: BatchNetwork, params: Parameters, state: StoredTeacher, batch: Batch
    ) -> tuple[Float[Array, ""], StoredTeacher]:
        """The loss on the batch's targets; a weight outside [0, 1] is NaN, which stops training."""
        outputs = network(params, batch)
        taught, state = self._teach(state, jax.lax.stop_gradient(outputs), batch)
        target = self.supervision.target(taught, batch.noisy, batch.step)
        fine = (target.weight >= 0) & (target.weight <= 1)
        loss = self.loss_function.value(outputs, target.target) / outputs.shape[0]
        return jnp.where(fine, loss, jnp.nan), state

    def restarts_at(self, step: Int[Array, ""]) -> Bool[Array, ""]:
        """Where the teacher restarts its student."""
        return self.supervision.restarts_at(step)

    def measured(self, params: Parameters) -> Parameters:
        """All parameters: there is one network."""
        return params

    def _teach(
        self, state: StoredTeacher, outputs: Float[Array, "rows n_out"], batch: Batch
    ) -> tuple[Float[Array, "rows n_out"], StoredTeacher]:
        """The teacher's outputs on the batch, and the memory with them in it."""
        teacher = self.supervision.teacher
        if isinstance(teacher, Pretrained):
            return jnp.asarray(teacher.outputs, outputs.dtype)[batch.rows], state
        if teacher.steps_per_epoch() is not None:
            return state.outputs[batch.rows], state
        # An example's first visit finds no memory: its average begins with its own outputs.
        before = jnp.where(state.seen[batch.rows, None], state.outputs[batch.rows], outputs)
        taught = self.supervision.observe(before, outputs, batch.step)
        remembered = jnp.asarray(state.outputs).at[batch.rows].set(taught)
        return taught, StoredTeacher(remembered, state.seen.at[batch.rows].set(True))
