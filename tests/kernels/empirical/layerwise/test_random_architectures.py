"""Layer-wise contraction on random networks, against Jacobian contraction in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntk_air.kernels.empirical.jacobian import jacobian_tile
from ntk_air.kernels.empirical.layerwise.tile import LAYERWISE
from ntk_air.kernels.empirical.network import split

SIZE, CHANNELS, N_OUT = 4, 4, 3
NUMBERS = ("NHWC", "HWIO", "NHWC")


class Parameters:
    """Draws parameters when a layer first asks for them, and hands them out afterwards."""

    def __init__(self, values):
        self.values = values
        self._random = np.random.default_rng(0)

    def __call__(self, name, *shape):
        if name not in self.values:
            scale = np.sqrt(max(1, np.prod(shape[:-1])))
            self.values[name] = self._random.standard_normal(shape) / scale
        return self.values[name]


def dense(p, h, name):
    return jnp.tanh(h @ p(name, CHANNELS, CHANNELS))


def transposed_with_bias(p, h, name):
    weight = 0.7 * p(name, 2, 2, CHANNELS).reshape(CHANNELS, CHANNELS).T
    return jax.nn.gelu(h @ weight / 1.3 + p(f"{name}_bias", CHANNELS))


def residual(p, h, name):
    inner = jax.nn.relu(h @ p(f"{name}_up", CHANNELS, 6) - p(f"{name}_bias", 6))
    return h + inner @ p(f"{name}_down", 6, CHANNELS)


def layer_norm(p, h, name):
    centred = h - h.mean(axis=-1, keepdims=True)
    deviation = jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-2)
    return p(f"{name}_scale", CHANNELS) * centred / deviation + p(f"{name}_shift", CHANNELS)


def tied(p, h, name):
    return jnp.sin(h @ p("tied", CHANNELS, CHANNELS))


def tied_backwards(p, h, name):
    return jnp.cos(h @ p("tied", CHANNELS, CHANNELS).T)


def scanned(p, h, name):
    weights, biases = p(name, 2, CHANNELS, CHANNELS), p(f"{name}_bias", 2, CHANNELS)
    return jax.lax.scan(lambda h, wb: (jnp.tanh(h @ wb[0] + wb[1]), None), h, (weights, biases))[0]


def convolved(strides=(1, 1), padding="SAME", groups=1, **options):
    def layer(p, h, name):
        filters = p(name, 2, 2, CHANNELS // groups, CHANNELS)
        return jnp.tanh(
            jax.lax.conv_general_dilated(
                h,
                filters,
                strides,
                padding,
                dimension_numbers=NUMBERS,
                feature_group_count=groups,
                **options,
            )
        )

    return layer


def attention(p, h, name):
    tokens = h.reshape(len(h), -1, CHANNELS)
    query, key, value = (tokens @ each for each in jnp.split(p(name, CHANNELS, 12), 3, axis=1))
    weights = jax.nn.softmax(jnp.einsum("nqc,nkc->nqk", query, key), axis=-1)
    return h + jnp.einsum("nqk,nkc->nqc", weights, value).reshape(h.shape)


LAYERS = {
    "dense": dense,
    "transposed_with_bias": transposed_with_bias,
    "residual": residual,
    "layer_norm": layer_norm,
    "tied": tied,
    "tied_backwards": tied_backwards,
    "scanned": scanned,
    "same": convolved(),
    "strided": convolved(strides=(1, 2)),
    "padded_and_dilated": convolved(padding=((1, 0), (2, 1)), rhs_dilation=(1, 2)),
    "transposed_convolution": convolved(padding=((0, 1), (1, 0)), lhs_dilation=(2, 1)),
    "grouped": convolved(groups=2),
    "attention": attention,
    "rematerialised": lambda p, h, name: jax.checkpoint(jnp.tanh)(h @ p(name, CHANNELS, CHANNELS)),
}


def network(layers):
    """The function and the parameters of these layers on images, pooled into the outputs."""

    def outputs(p, x):
        h = x
        for index, layer in enumerate(layers):
            h = LAYERS[layer](p, h, f"{index}_{layer}")
        return h.mean(axis=(1, 2)) @ p("head", CHANNELS, N_OUT)

    values = {}
    outputs(Parameters(values), np.zeros((1, SIZE, SIZE, CHANNELS)))
    return lambda values, x: outputs(Parameters(values), x), values


@pytest.mark.slow
@settings(derandomize=True, max_examples=12, deadline=None)
@given(layers=st.lists(st.sampled_from(sorted(LAYERS)), min_size=2, max_size=4))
def test_random_networks(layers):
    apply_fn, params = network(layers)
    x = np.random.default_rng(1).standard_normal((3, SIZE, SIZE, CHANNELS))
    options = {"outputs": "full", "n_out": N_OUT}
    kernel = np.asarray(LAYERWISE.tile(split(apply_fn, params), x, None, **options))
    wanted = np.asarray(jacobian_tile(split(apply_fn, params), x, None, **options))
    np.testing.assert_allclose(kernel, wanted, rtol=0, atol=1e-10 * np.abs(wanted).max())
