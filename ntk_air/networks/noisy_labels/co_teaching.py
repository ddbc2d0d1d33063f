"""Co-teaching: two networks, each taught by the examples that the other finds easy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ntk_air._base.checks import check_at_least, check_fraction
from ntk_air._base.typing import Parameters
from ntk_air.networks.noisy_labels.class_probabilities import (
    class_logits,
    cross_entropies,
    label_probabilities,
)
from ntk_air.networks.training.rules import Batch, BatchNetwork, BatchRule, RuleState


class CoTeaching(BatchRule):
    """Each network learns the R(T) share of a batch that its peer has the smallest losses on.

    Han et al. 2018 (arXiv 1804.06872), algorithm 1: R(T) = 1 − min(T·τ/T_k, τ), T the epochs
    completed, so that both networks see all of the first epoch. The parameters of training are a
    pair, one for each network, from different initialisations; the first network is measured.

    Args:
        forget_rate: τ, in [0, 1): the noise rate, known or estimated.
        gradual_epochs: T_k, at least 1; 10 in the paper.

    Raises:
        ValueError: for numbers out of range.
    """

    forget_rate: float = eqx.field(converter=float)
    gradual_epochs: float = eqx.field(default=10.0, converter=float)

    def __check_init__(self):
        check_fraction("forget_rate", self.forget_rate)
        if self.forget_rate == 1:
            raise ValueError("forget_rate must lie below 1: at 1 nothing is left to learn from")
        check_at_least("gradual_epochs", self.gradual_epochs, 1)

    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> RuleState:
        """Nothing to remember."""
        return None

    def remembered_share(self, epoch: Int[Array, "..."]) -> Float[Array, "..."]:
        """R(T) after ``epoch`` completed epochs."""
        ramp = jnp.minimum(epoch.astype(float) / self.gradual_epochs, 1.0)
        return 1.0 - self.forget_rate * ramp

    def loss(
        self, network: BatchNetwork, params: Parameters, state: RuleState, batch: Batch
    ) -> tuple[Float[Array, ""], RuleState]:
        """The sum of both networks' mean losses on what their peers selected, in nats."""
        labels = label_probabilities(batch.noisy)
        first, second = (
            cross_entropies(class_logits(network(one, batch)), labels) for one in params
        )
        share = self.remembered_share(batch.epoch)
        kept = jnp.maximum(jnp.floor(share * len(batch.rows) + 1e-4), 1.0).astype(int)
        chosen_by_first, chosen_by_second = (smallest(losses, kept) for losses in (first, second))
        return _mean_where(first, chosen_by_second) + _mean_where(second, chosen_by_first), state

    def measured(self, params: Parameters) -> Parameters:
        """The first network's."""
        return params[0]


def smallest(losses: Float[Array, " rows"], count: Int[Array, ""]) -> Bool[Array, " rows"]:
    """Which rows have the ``count`` smallest losses; ties go to the earlier row."""
    ranks = jnp.argsort(jnp.argsort(jax.lax.stop_gradient(losses)))
    return ranks < count


def _mean_where(values: Float[Array, " rows"], chosen: Bool[Array, " rows"]) -> Float[Array, ""]:
    return jnp.mean(values, where=chosen)
