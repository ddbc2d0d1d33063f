"""Outputs as logits and labels as probabilities, one column a class, out of the target coding."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air.dynamics.supervision.label_functions import Rows


def class_logits(outputs: Rows) -> Float[Array, "rows n_classes"]:
    """The logits of each class: the outputs themselves; (0, f) of a single column f.

    Args:
        outputs: (rows, n_out).

    Returns:
        (rows, C); a single column is class 1 against class 0, as its target +1 is class 1.
    """
    outputs = jnp.asarray(outputs)
    if outputs.shape[1] > 1:
        return outputs
    return jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=1)


def label_probabilities(labels: Rows) -> Float[Array, "rows n_classes"]:
    """The probabilities of each class: target + 1/C; (1 ∓ target)/2 of a single column.

    Args:
        labels: in the target coding, (rows, n_out).

    Returns:
        (rows, C).
    """
    labels = jnp.asarray(labels)
    if labels.shape[1] > 1:
        return labels + 1.0 / labels.shape[1]
    return jnp.concatenate([1.0 - labels, 1.0 + labels], axis=1) / 2.0


def cross_entropies(
    logits: Float[Array, "rows n_classes"], probabilities: Float[Array, "rows n_classes"]
) -> Float[Array, " rows"]:
    """−Σ_c q_c log softmax(logits)_c of each row, in nats."""
    return -jnp.sum(probabilities * jax.nn.log_softmax(logits, axis=1), axis=1)


def n_classes_of(n_out: int) -> int:
    """C: two classes have one output."""
    return max(n_out, 2)
