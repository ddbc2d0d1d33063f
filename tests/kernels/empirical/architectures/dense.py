"""Fully connected networks, and the ways a weight can be written into one."""

import math

import jax
import jax.numpy as jnp

from tests.kernels.empirical.architectures.table import architecture

TWO_LAYERS = {"w1": (5, 6), "b1": (6,), "w2": (6, 3), "b2": (3,)}
THREE_LAYERS = {"w1": (5, 6), "b1": (6,), "w2": (6, 4), "b2": (4,), "w3": (4, 3), "b3": (3,)}


@architecture((5,), **THREE_LAYERS)
def relu_in_ntk_parametrisation(p, x):
    h = jax.nn.relu(math.sqrt(2 / 5) * (x @ p["w1"]) + 0.1 * p["b1"])
    h = jax.nn.relu(math.sqrt(2 / 6) * (h @ p["w2"]) + 0.1 * p["b2"])
    return math.sqrt(1 / 4) * (h @ p["w3"]) + 0.1 * p["b3"]


@architecture((5,), **THREE_LAYERS)
def erf_in_standard_parametrisation(p, x):
    h = jax.lax.erf(x @ p["w1"] + p["b1"])
    return jax.lax.erf(h @ p["w2"] + p["b2"]) @ p["w3"] + p["b3"]


@architecture((5,), **TWO_LAYERS)
def gelu_with_flattened_images(p, x):
    h = x.reshape(-1, 1, 5).transpose(0, 2, 1).reshape(-1, 5)
    return jax.nn.gelu(h @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]


@architecture(
    (5,),
    first=(5, 4),
    **{f"w{i}": (4, 4) for i in range(6)},
    **{f"b{i}": (4,) for i in range(6)},
    last=(4, 3),
)
def depth_eight(p, x):
    h = jnp.tanh(x @ p["first"])
    for i in range(6):
        h = jnp.tanh(1.5 * h @ p[f"w{i}"] + p[f"b{i}"])
    return h @ p["last"]


@architecture((5,), **TWO_LAYERS)
def written_as_einsum(p, x):
    h = jnp.tanh(jnp.einsum("ni,io->no", x, p["w1"]) + p["b1"])
    return jnp.einsum("ho,nh->no", p["w2"], h) + p["b2"]


@architecture((5,), w1=(6, 5), w2=(3, 6))
def transposed_weights(p, x):
    return jnp.tanh(x @ p["w1"].T) @ p["w2"].T


@architecture((5,), w1=(6, 5), w2=(3, 6))
def weights_on_the_left(p, x):
    return (p["w2"] @ jnp.tanh(p["w1"] @ x.T)).T


@architecture((5,), w1=(30,), w2=(3, 2, 3))
def reshaped_weights(p, x):
    return jnp.tanh(x @ p["w1"].reshape(5, 6)) @ p["w2"].reshape(6, 3)


@architecture((5,), theta=(57,))
def one_flat_vector(p, x):
    w1, b1, rest = jnp.split(p["theta"], [30, 36])
    return jnp.tanh(x @ w1.reshape(5, 6) + b1) @ rest[:18].reshape(6, 3) + rest[18:]


@architecture((5,), w=(2, 5, 5), head=(5, 3))
def slices_of_a_stack(p, x):
    return jnp.tanh(jnp.tanh(x @ p["w"][0]) @ p["w"][1]) @ p["head"]


@architecture((5,), left=(5, 4), right=(5, 2), head=(6, 3))
def concatenated_weights(p, x):
    return jnp.tanh(x @ jnp.concatenate([p["left"], p["right"]], axis=1)) @ p["head"]


@architecture((5,), w=(5, 5), head=(5, 3))
def weight_tied_across_layers(p, x):
    return jnp.tanh(jnp.tanh(x @ p["w"]) @ p["w"]) @ p["head"]


@architecture((5,), w=(5, 6), head=(5, 3))
def tied_autoencoder(p, x):
    return jnp.tanh(jnp.tanh(x @ p["w"]) @ p["w"].T) @ p["head"]


@architecture((5,), v=(5, 6), g=(6,), head=(6, 3))
def weight_normalisation(p, x):
    w = p["g"] * p["v"] / jnp.linalg.norm(p["v"], axis=0)
    return jnp.tanh(x @ w) @ p["head"]


@architecture((5,), w=(5, 6), down=(5, 2), up=(2, 6), head=(6, 3))
def low_rank_update(p, x):
    return jnp.tanh(x @ (p["w"] + 0.5 * p["down"] @ p["up"])) @ p["head"]


@architecture((5,), w=(5, 3), gain=())
def scalar_gain(p, x):
    return p["gain"] * jnp.tanh(x @ p["w"])


@architecture((5,), w=(5, 3), gain=(1,), shift=(1, 1))
def gain_and_shift_that_broadcast(p, x):
    return jnp.exp(p["gain"]) * jnp.tanh(x @ p["w"]) + p["shift"]


@architecture((5,), w=(5, 3), never=(4, 4))
def unused_parameter(p, x):
    return jnp.tanh(x @ p["w"])


@architecture((5,), w=(5, 5), head=(5, 3))
def gated_unit(p, x):
    return (x * jax.nn.sigmoid(x @ p["w"])) @ p["head"]


@architecture((5,), w=(5, 6), mix=(2, 5, 3), head=(6, 3))
def bilinear_form(p, x):
    pairs = jnp.einsum("ni,kio,nk->no", x, p["mix"], x[:, :2])
    return pairs + jnp.tanh(x @ p["w"]) @ p["head"]


# --- transformations inside the network -------------------------------------------------------


@jax.custom_jvp
def _softsign(h):
    return h / (1 + jnp.abs(h))


@_softsign.defjvp
def _(primals, tangents):
    (h,), (tangent,) = primals, tangents
    return _softsign(h), tangent / (1 + jnp.abs(h)) ** 2


@jax.custom_vjp
def _straight_through(h):
    return jnp.sign(h)


_straight_through.defvjp(
    lambda h: (jnp.sign(h), h), lambda h, cotangent: (jnp.where(jnp.abs(h) < 1, cotangent, 0.0),)
)


@architecture((5,), **TWO_LAYERS)
def own_custom_jvp(p, x):
    return _softsign(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]


@architecture((5,), **TWO_LAYERS)
def own_custom_vjp(p, x):
    return _straight_through(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]


@architecture((5,), **THREE_LAYERS)
def rematerialised(p, x):
    @jax.checkpoint
    def block(p, x):
        return jnp.tanh(jnp.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])

    return block(p, x) @ p["w3"] + p["b3"]


@architecture((5,), **TWO_LAYERS)
def inside_jit(p, x):
    layer = jax.jit(lambda w, b, x: x @ w + b)
    return layer(p["w2"], p["b2"], jax.nn.silu(layer(p["w1"], p["b1"], x)))


@architecture((5,), **TWO_LAYERS)
def vmapped_over_examples(p, x):
    def one(x):
        return p["w2"].T @ jnp.tanh(p["w1"].T @ x + p["b1"]) + p["b2"]

    return jax.vmap(one)(x)


@architecture((5,), experts=(2, 5, 6), heads=(2, 6, 3))
def vmapped_over_experts(p, x):
    def expert(w, head):
        return jnp.tanh(x @ w) @ head

    return jax.vmap(expert)(p["experts"], p["heads"]).mean(axis=0)


@architecture((5,), w=(3, 5, 5), b=(3, 5), head=(5, 3))
def scan_over_layers(p, x):
    def layer(h, wb):
        return jnp.tanh(h @ wb[0] + wb[1]), None

    h, _ = jax.lax.scan(layer, x, (p["w"], p["b"]))
    return h @ p["head"]


@architecture((5,), w=(5, 5), head=(5, 3))
def weight_in_a_fori_loop(p, x):
    # A known number of steps: a loop of unknown length has no reverse derivative.
    h = jax.lax.fori_loop(0, 3, lambda _, h: jnp.tanh(0.5 * h @ p["w"] + x), x)
    return h @ p["head"]


@architecture((5,), w=(5, 6), one=(6, 3), other=(6, 3))
def conditional(p, x):
    h = jnp.tanh(x @ p["w"])

    def branch(example, h):
        return jax.lax.cond(
            example[0] > 0, lambda h: h @ p["one"], lambda h: jnp.tanh(h @ p["other"]), h
        )

    return jax.vmap(branch)(x, h)


@architecture((5,), w=(5, 6), one=(6, 3), other=(6, 3))
def branch_for_all_examples(p, x):
    h = jnp.tanh(x @ p["w"])
    return jax.lax.cond(
        p["w"][0, 0] > 0, lambda h: h @ p["one"], lambda h: jnp.tanh(h @ p["other"]), h
    )


DENSE = (
    relu_in_ntk_parametrisation,
    erf_in_standard_parametrisation,
    gelu_with_flattened_images,
    depth_eight,
    written_as_einsum,
    transposed_weights,
    weights_on_the_left,
    reshaped_weights,
    one_flat_vector,
    slices_of_a_stack,
    concatenated_weights,
    weight_tied_across_layers,
    tied_autoencoder,
    weight_normalisation,
    low_rank_update,
    scalar_gain,
    gain_and_shift_that_broadcast,
    unused_parameter,
    gated_unit,
    bilinear_form,
    own_custom_jvp,
    own_custom_vjp,
    rematerialised,
    inside_jit,
    vmapped_over_examples,
    vmapped_over_experts,
    scan_over_layers,
    weight_in_a_fori_loop,
    conditional,
    branch_for_all_examples,
)
