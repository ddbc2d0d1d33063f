"""Batches whose network is a table of logits: parameters are the outputs themselves."""

import jax
import jax.numpy as jnp
import numpy as np

from ntk_air.networks.training.training_rules import Batch

N_CLASSES = 4


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def table(params, batch):
    return params


def a_batch(labels, n_classes=N_CLASSES, *, rows=None, epoch=0):
    """A batch with these class labels, in the target coding."""
    one_hot = np.eye(n_classes)[labels]
    noisy = one_hot[:, 1:] * 2 - 1 if n_classes == 2 else one_hot - 1 / n_classes
    return Batch(
        inputs=jnp.zeros((len(labels), 1)),
        noisy=jnp.asarray(noisy),
        rows=jnp.arange(len(labels)) if rows is None else jnp.asarray(rows),
        initial=None,
        step=jnp.asarray(0),
        epoch=jnp.asarray(epoch),
        starts_epoch=jnp.asarray(False),
        key=jax.random.key(0),
    )


def loss_and_gradient(rule, logits, state, batch, *, network=table):
    (loss, state), gradient = jax.value_and_grad(
        lambda params: rule.loss(network, params, state, batch), has_aux=True
    )(jax.tree.map(jnp.asarray, logits))
    return loss, gradient, state
