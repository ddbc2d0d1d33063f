"""Forward correction: the network predicts clean labels, the loss compares noisy ones."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.typing import Parameters
from ntk_air.data.noise import check_transition_matrix
from ntk_air.networks.noisy_labels.class_probabilities import (
    class_logits,
    label_probabilities,
    n_classes_of,
)
from ntk_air.networks.training.rules import Batch, BatchNetwork, BatchRule, RuleState


class ForwardCorrection(BatchRule):
    """Loss −log (Tᵀ softmax(f))_ỹ (Patrini et al. 2017, arXiv 1609.03683, section 3.2).

    Its minimiser on noisy labels is that of cross-entropy on clean ones (theorem 2).

    Args:
        transition_matrix: T[a, b] = P(ỹ = b | y = a), (C, C), known beforehand.

    Raises:
        ValueError: a matrix that is not square, or whose rows are no probabilities; at the start
            of training, one for another number of classes.
    """

    transition_matrix: Float[Array, "n_classes n_classes"]

    def __init__(self, transition_matrix: object):
        given = np.array(transition_matrix, dtype=np.float64)
        self.transition_matrix = jnp.asarray(check_transition_matrix("transition_matrix", given))

    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> RuleState:
        """Nothing to remember."""
        if len(self.transition_matrix) != n_classes_of(n_out):
            raise ValueError(
                f"transition_matrix must have a row for each of {n_classes_of(n_out)} classes; "
                f"got {len(self.transition_matrix)}"
            )
        return None

    def loss(
        self, network: BatchNetwork, params: Parameters, state: RuleState, batch: Batch
    ) -> tuple[Float[Array, ""], RuleState]:
        """The mean over the batch, in nats."""
        log_clean = jax.nn.log_softmax(class_logits(network(params, batch)), axis=1)
        with jax.default_matmul_precision("highest"):
            # P(ỹ | y = a) of each row's own label, so that the sum runs over clean classes a.
            matrix = self.transition_matrix.astype(log_clean.dtype)
            likelihood = label_probabilities(batch.noisy) @ matrix.T
        log_noisy = jax.nn.logsumexp(log_clean, axis=1, b=likelihood)
        return -jnp.mean(log_noisy), state
