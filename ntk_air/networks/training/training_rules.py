"""Training rules: the loss of a batch, and what a rule remembers of each training example.

The one extension point of training. A rule of your own subclasses ``BatchRule`` and has two
methods: ``init`` and ``loss``. One that looks at all examples between steps, puts the parameters
back, or trains several networks subclasses ``TrainingRule``.
"""

import abc
from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ntk_air._base.typing import AnyArray, Parameters, Targets

RuleState: TypeAlias = Any
"""A pytree of arrays whose shapes and types never change, such as one (n_train, n_out)."""


class Batch(eqx.Module):
    """The examples of one step, and where training stands.

    Attributes:
        inputs: (rows, *features).
        noisy: the given labels ỹ, (rows, n_out).
        rows: which training examples these are, (rows,): index a rule's memory with it.
        initial: f_0 to subtract from the network's outputs, (rows, n_out), where it is asked for.
        step: optimiser steps taken before this one.
        epoch: passes through the training set completed before this one.
        starts_epoch: whether this is the first batch of its pass.
        key: PRNG key of the rule's own randomness; another one at each step.
    """

    inputs: Float[AnyArray, "rows *features"]
    noisy: Float[AnyArray, "rows n_out"]
    rows: Int[AnyArray, " rows"]
    initial: Float[AnyArray, "rows n_out"] | None
    step: Int[Array, ""]
    epoch: Int[Array, ""]
    starts_epoch: Bool[Array, ""]
    key: PRNGKeyArray


BatchNetwork: TypeAlias = Callable[[Parameters, Batch], Array]
"""``network(params, batch)``: outputs on the batch, (rows, n_out), f_0 subtracted if asked for."""


class TrainingRule(eqx.Module):
    """What each step is trained on. Fields are arrays, floats (traced) or static."""

    @abc.abstractmethod
    def first_params(self, params: Parameters) -> Parameters:
        """The parameters that training starts from, given those of the problem's network."""

    @abc.abstractmethod
    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> RuleState:
        """The state before the first step."""

    @abc.abstractmethod
    def prepare(
        self, state: RuleState, outputs_of_all: Callable[[], Targets], batch: Batch
    ) -> RuleState:
        """The state as this step's loss reads it, from the parameters before the step.

        Args:
            state: state as the last step left it.
            outputs_of_all: function that evaluates the network on all training inputs,
                (n_train, n_out): call it under ``jax.lax.cond``, for it costs a whole pass.
            batch: examples of this step.
        """

    @abc.abstractmethod
    def loss(
        self, network: BatchNetwork, params: Parameters, state: RuleState, batch: Batch
    ) -> tuple[Float[Array, ""], RuleState]:
        """The loss, a mean over the batch's rows, and the state that the next step finds.

        Only the loss is differentiated by ``params``; what a rule takes from the network's
        outputs as a label goes through ``jax.lax.stop_gradient``.

        Args:
            network: function ``network(params, batch)`` to the batch's outputs.
            params: parameters that are trained.
            state: state as ``prepare`` made it.
            batch: examples of this step.
        """

    @abc.abstractmethod
    def restarts_at(self, step: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether parameters and optimiser go back to their start before this step."""

    @abc.abstractmethod
    def measured(self, params: Parameters) -> Parameters:
        """The parameters of the one network that is measured."""


class BatchRule(TrainingRule):
    """A rule of the batch and its own memory alone: subclasses have ``init`` and ``loss``.

    >>> import jax.numpy as jnp
    >>> import ntk_air as na
    >>> class AbsoluteLoss(na.networks.BatchRule):
    ...     def init(self, n_train, n_out, dtype):
    ...         return None
    ...
    ...     def loss(self, network, params, state, batch):
    ...         return jnp.mean(jnp.abs(network(params, batch) - batch.noisy)), state
    >>> AbsoluteLoss().measured("the only network's")
    "the only network's"
    """

    def first_params(self, params: Parameters) -> Parameters:
        """The network's own."""
        return params

    def prepare(
        self, state: RuleState, outputs_of_all: Callable[[], Targets], batch: Batch
    ) -> RuleState:
        """Nothing to prepare."""
        return state

    def restarts_at(self, step: Int[Array, ""]) -> Bool[Array, ""]:
        """Never."""
        return jnp.zeros((), bool)

    def measured(self, params: Parameters) -> Parameters:
        """All parameters: there is one network."""
        return params
