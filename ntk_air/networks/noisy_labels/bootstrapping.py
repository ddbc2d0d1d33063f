"""Bootstrapping: the label is mixed with what the network says at the moment.

Reed, Lee, Anguelov, Szegedy, Erhan, Rabinovich, "Training deep neural networks on noisy labels
with bootstrapping" (2015, arXiv 1412.6596), section 3.2.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_fraction
from ntk_air._base.typing import Parameters
from ntk_air.dynamics.supervision import Constant, CurrentStep, Hard, Supervision
from ntk_air.networks.noisy_labels.class_probabilities import (
    class_logits,
    cross_entropies,
    label_probabilities,
)
from ntk_air.networks.training.rules import Batch, BatchNetwork, BatchRule, RuleState


def hard_bootstrapping(weight: float = 0.8) -> Supervision:
    """Target β·e_ỹ + (1 − β)·e_argmax q (Reed et al. 2015, equation 7).

    In theory.md's words: hard self-distillation by the current step at constant weight α = β.

    Args:
        weight: β of the given label, in [0, 1]; 0.8 in the paper.

    Returns:
        The supervision, for training with ``CrossEntropy()``.

    Raises:
        ValueError: a weight outside [0, 1].
    """
    check_fraction("weight", weight)
    return Supervision(Hard(), Constant(weight), CurrentStep())


class SoftBootstrapping(BatchRule):
    """Loss −Σ_k [β t_k + (1 − β) q_k] log q_k (Reed et al. 2015, equation 6).

    q is the network's own prediction, and the gradient goes through both of its places: the loss
    is β times cross-entropy plus 1 − β times the entropy of q, as in entropy minimisation.

    Args:
        weight: β of the given label, in [0, 1]; 0.95 in the paper.

    Raises:
        ValueError: a weight outside [0, 1].
    """

    weight: float = eqx.field(default=0.95, converter=float)

    def __check_init__(self):
        check_fraction("weight", self.weight)

    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> RuleState:
        """Nothing to remember."""
        return None

    def loss(
        self, network: BatchNetwork, params: Parameters, state: RuleState, batch: Batch
    ) -> tuple[Float[Array, ""], RuleState]:
        """The mean over the batch, in nats."""
        logits = class_logits(network(params, batch))
        predicted = jax.nn.softmax(logits, axis=1)
        target = self.weight * label_probabilities(batch.noisy) + (1.0 - self.weight) * predicted
        return jnp.mean(cross_entropies(logits, target)), state
