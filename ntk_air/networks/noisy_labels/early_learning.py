"""Early-learning regularisation (ELR): predictions are held to their own past."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_at_least, check_fraction
from ntk_air._base.typing import Parameters
from ntk_air.networks.noisy_labels.class_probabilities import (
    class_logits,
    cross_entropies,
    label_probabilities,
    n_classes_of,
)
from ntk_air.networks.training.rules import Batch, BatchNetwork, BatchRule

_LEAST_PROBABILITY = 1e-4


class EarlyLearningRegularisation(BatchRule):
    """Loss CE(p, ỹ) + λ log(1 − ⟨p, t⟩), t ← βt + (1 − β)p (Liu et al. 2020, arXiv 2007.00151).

    Equations 6 and 8 there. t, one row a training example, starts at 0 and takes in the current p
    before the loss is read; no gradient goes through it. As in the authors' code p is kept within
    [1e-4, 1 − 1e-4] where it meets t, which bounds the logarithm.

    Args:
        strength: λ, at least 0; 3 in the paper on CIFAR-10.
        decay: β, in [0, 1]; 0.7 there.

    Raises:
        ValueError: for numbers out of range.
    """

    strength: float = eqx.field(default=3.0, converter=float)
    decay: float = eqx.field(default=0.7, converter=float)

    def __check_init__(self):
        check_at_least("strength", self.strength, 0.0)
        check_fraction("decay", self.decay)

    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> Float[Array, "n_train n_classes"]:
        """t = 0."""
        return jnp.zeros((n_train, n_classes_of(n_out)), dtype)

    def loss(
        self,
        network: BatchNetwork,
        params: Parameters,
        state: Float[Array, "n_train n_classes"],
        batch: Batch,
    ) -> tuple[Float[Array, ""], Float[Array, "n_train n_classes"]]:
        """The mean over the batch, in nats, and t with the batch's rows moved on."""
        logits = class_logits(network(params, batch))
        predicted = jnp.clip(
            jax.nn.softmax(logits, axis=1), _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY
        )
        fixed = jax.lax.stop_gradient(predicted)
        fixed = fixed / jnp.sum(fixed, axis=1, keepdims=True)
        target = self.decay * state[batch.rows] + (1.0 - self.decay) * fixed
        agreement = jnp.sum(predicted * target, axis=1)
        losses = cross_entropies(logits, label_probabilities(batch.noisy))
        losses = losses + self.strength * jnp.log1p(-agreement)
        return jnp.mean(losses), state.at[batch.rows].set(target)
