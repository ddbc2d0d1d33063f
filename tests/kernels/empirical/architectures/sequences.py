"""Networks on sequences: embeddings, recurrence, attention."""

import jax
import jax.numpy as jnp

from tests.kernels.empirical.architectures.convolutional import layer_norm
from tests.kernels.empirical.architectures.table import architecture

N_TOKENS = 7


@architecture((5,), n_tokens=N_TOKENS, table=(N_TOKENS, 4), head=(4, 3))
def embedding_by_gather(p, x):
    return jnp.tanh(p["table"][x.astype(int)]).mean(axis=1) @ p["head"]


@architecture((5,), n_tokens=N_TOKENS, table=(N_TOKENS, 4), head=(4, 3))
def embedding_by_take(p, x):
    return jnp.tanh(jnp.take(p["table"], x.astype(int), axis=0)).mean(axis=1) @ p["head"]


@architecture((5,), n_tokens=N_TOKENS, table=(N_TOKENS, 4), head=(4, 3))
def embedding_by_one_hot(p, x):
    hot = jax.nn.one_hot(x.astype(int), N_TOKENS, dtype=x.dtype)
    return jnp.tanh(hot @ p["table"]).mean(axis=1) @ p["head"]


@architecture((5,), n_tokens=N_TOKENS, table=(N_TOKENS, 4), up=(4, 4), head=(N_TOKENS, 3))
def embedding_tied_to_the_output(p, x):
    h = jnp.tanh(p["table"][x.astype(int)].mean(axis=1) @ p["up"])
    return jax.nn.softmax(h @ p["table"].T) @ p["head"]


@architecture((4, 2), w=(2, 5), u=(5, 5), b=(5,), head=(5, 3))
def recurrent_by_scan(p, x):
    def step(h, x):
        return jnp.tanh(x @ p["w"] + h @ p["u"] + p["b"]), None

    start = jnp.zeros((len(x), 5), x.dtype)
    h, _ = jax.lax.scan(step, start, x.transpose(1, 0, 2))
    return h @ p["head"]


ATTENTION = {
    "scale1": (4,), "shift1": (4,), "qkv": (4, 3, 2, 2), "out": (2, 2, 4),
    "scale2": (4,), "shift2": (4,), "up": (4, 6), "up_bias": (6,), "down": (6, 4),
}  # fmt: skip


def transformer_block(p, h):
    """Self-attention with two heads and a two-layer network, each behind a LayerNorm."""
    normed = layer_norm(h, p["scale1"], p["shift1"])
    q, k, v = jnp.moveaxis(jnp.einsum("ntd,dchk->ntchk", normed, p["qkv"]), 2, 0)
    weights = jax.nn.softmax(jnp.einsum("nqhk,nshk->nhqs", q, k) / 2**0.5)
    h = h + jnp.einsum("nhqs,nshk,hkd->nqd", weights, v, p["out"])
    hidden = jax.nn.gelu(layer_norm(h, p["scale2"], p["shift2"]) @ p["up"] + p["up_bias"])
    return h + hidden @ p["down"]


@architecture(
    (5,), n_tokens=N_TOKENS, table=(N_TOKENS, 4), position=(5, 4), **ATTENTION, head=(4, 3)
)
def transformer(p, x):
    h = p["table"][x.astype(int)] + p["position"]
    return transformer_block(p, h).mean(axis=1) @ p["head"]


@architecture((5, 4), query=(2, 4), w=(4, 4), head=(2, 4, 3))
def attention_with_learned_queries(p, x):
    weights = jax.nn.softmax(jnp.einsum("qd,ntd->nqt", p["query"], x @ p["w"]))
    return jnp.einsum("nqt,ntd,qdo->no", weights, x, p["head"])


SEQUENCES = (
    embedding_by_gather,
    embedding_by_take,
    embedding_by_one_hot,
    embedding_tied_to_the_output,
    recurrent_by_scan,
    transformer,
    attention_with_learned_queries,
)
