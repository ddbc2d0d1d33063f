"""Models of equinox, adapted: the kernel of the library's own call, by the fast path."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.empirical import empirical_ntk
from ntk_air.networks.adapters import from_equinox
from tests.networks.adapters.adapted_kernel import check

pytestmark = pytest.mark.usefixtures("standard_promotion")

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.standard_normal((3, 2, 4, 4))
TOKENS = RANDOM.integers(6, size=(3, 4)).astype(float)


class ResidualNetwork(eqx.Module):
    """Convolutions with BatchNorm, a shortcut, dropout."""

    stem: eqx.nn.Conv2d
    inner: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    head: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.stem = eqx.nn.Conv2d(2, 4, 3, padding=1, key=keys[0])
        self.inner = eqx.nn.Conv2d(4, 4, 3, padding=1, use_bias=False, key=keys[1])
        self.norm = eqx.nn.BatchNorm(4, axis_name="batch", mode="ema")
        self.dropout = eqx.nn.Dropout(0.5)
        self.head = eqx.nn.Linear(4, 3, key=keys[2])

    def __call__(self, x, state):
        h = self.stem(x)
        normed, state = self.norm(h, state)
        h = self.dropout(h + self.inner(jax.nn.gelu(normed)))
        return self.head(h.mean(axis=(1, 2))), state


class Transformer(eqx.Module):
    """Embedding, self-attention and a two-layer network, each behind a LayerNorm."""

    embed: eqx.nn.Embedding
    norms: list[eqx.nn.LayerNorm]
    attention: eqx.nn.MultiheadAttention
    feed_forward: eqx.nn.MLP
    head: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 4)
        self.embed = eqx.nn.Embedding(6, 4, key=keys[0])
        self.norms = [eqx.nn.LayerNorm(4), eqx.nn.LayerNorm(4)]
        self.attention = eqx.nn.MultiheadAttention(2, 4, key=keys[1])
        self.feed_forward = eqx.nn.MLP(4, 4, 5, 1, activation=jax.nn.gelu, key=keys[2])
        self.head = eqx.nn.Linear(4, 3, key=keys[3])

    def __call__(self, tokens):
        h = jax.vmap(self.embed)(tokens.astype(int))
        normed = jax.vmap(self.norms[0])(h)
        h = h + self.attention(normed, normed, normed)
        h = h + jax.vmap(self.feed_forward)(jax.vmap(self.norms[1])(h))
        return self.head(h.mean(axis=0))


def test_a_residual_network_with_frozen_averages():
    model, state = eqx.nn.make_with_state(ResidualNetwork)(jax.random.key(0))
    state = state.set(
        model.norm.ema_state_index, (jnp.full(4, 0.2, float), jnp.full(4, 1.5, float))
    )
    evaluated = eqx.nn.inference_mode(model)

    def call(params, x):
        combined = eqx.combine(params, evaluated)
        return jax.vmap(lambda example: combined(example, state)[0])(x)

    check(from_equinox(model, state), call, IMAGES)


def test_a_transformer():
    model = Transformer(jax.random.key(0))

    def call(params, x):
        return jax.vmap(eqx.combine(params, model))(x)

    check(from_equinox(model), call, TOKENS)


class Batched(eqx.Module):
    """Takes a batch, and lets its mean in where it is told to."""

    layer: eqx.nn.Linear

    def __call__(self, x, *, centred=False):
        return jax.vmap(self.layer)(x - x.mean(axis=0) if centred else x)


def test_a_model_that_takes_batches():
    model = Batched(eqx.nn.Linear(5, 3, key=jax.random.key(0)))
    x = RANDOM.standard_normal((3, 5))
    kernel = empirical_ntk(*from_equinox(model, batched=True), x)
    np.testing.assert_allclose(kernel, x @ x.T + 1)
    with pytest.raises(ValueError, match="apply_fn must treat each example alone"):
        empirical_ntk(*from_equinox(model, batched=True, centred=True), x)


def test_what_is_no_module_is_refused():
    with pytest.raises(ValueError, match=r"model must be an equinox\.Module that can be called"):
        from_equinox(jnp.tanh)
    with pytest.raises(ValueError, match=r"can be called; got a _NotCallable"):
        from_equinox(_NotCallable())


class _NotCallable(eqx.Module):
    pass
