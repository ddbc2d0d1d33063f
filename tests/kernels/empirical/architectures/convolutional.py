"""Convolutional networks: strides, padding, dilation, groups, layouts, pooling, normalisation."""

import jax
import jax.numpy as jnp

from tests.kernels.empirical.architectures.table import architecture

IMAGE = (6, 6, 2)
FILTERS = {"w": (3, 3, 2, 4), "b": (4,), "head": (4, 3)}
NHWC, NCHW = ("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW")


def convolve(x, w, *, strides=(1, 1), padding="SAME", layout=NHWC, **options):
    return jax.lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=layout, **options)


def pooled(h, head, axes=(1, 2)):
    """Global average pooling and a dense layer."""
    return jnp.tanh(h).mean(axis=axes) @ head


@architecture(IMAGE, **FILTERS)
def convolution_same(p, x):
    return pooled(convolve(x, p["w"]) + p["b"], p["head"])


@architecture(IMAGE, **FILTERS, second=(3, 3, 4, 4))
def convolutions_valid_and_strided(p, x):
    h = jax.nn.relu(convolve(x, p["w"], padding="VALID") + p["b"])
    return pooled(convolve(h, p["second"], strides=(2, 1)), p["head"])


@architecture(IMAGE, **FILTERS)
def convolution_with_explicit_padding(p, x):
    return pooled(convolve(x, p["w"], padding=((2, 0), (1, 3))) + p["b"], p["head"])


@architecture(IMAGE, **FILTERS)
def dilated_convolution(p, x):
    return pooled(convolve(x, p["w"], rhs_dilation=(2, 1)) + p["b"], p["head"])


@architecture((3, 3, 2), **FILTERS)
def transposed_convolution(p, x):
    h = convolve(x, p["w"], padding=((1, 2), (2, 0)), lhs_dilation=(2, 2))
    return pooled(h + p["b"], p["head"])


@architecture(IMAGE, w=(3, 3, 1, 4), head=(4, 3))
def depthwise_convolution(p, x):
    return pooled(convolve(x, p["w"], feature_group_count=2), p["head"])


@architecture((5, 5, 4), w=(3, 3, 2, 6), head=(6, 3))
def grouped_convolution(p, x):
    return pooled(convolve(x, p["w"], feature_group_count=2), p["head"])


@architecture(IMAGE, w=(2, 4), head=(4, 3))
def pointwise_convolution_as_product(p, x):
    return pooled(x @ p["w"], p["head"])


@architecture((8, 2), w=(3, 2, 4), head=(4, 3))
def convolution_in_one_dimension(p, x):
    h = jax.lax.conv_general_dilated(
        x, p["w"], (2,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
    )
    return pooled(h, p["head"], axes=1)


@architecture((2, 6, 6), w=(4, 2, 3, 3), b=(4,), head=(4, 3))
def channels_first(p, x):
    h = convolve(x, p["w"], layout=NCHW) + p["b"][:, None, None]
    return pooled(h, p["head"], axes=(2, 3))


@architecture(IMAGE, **FILTERS)
def average_pooling(p, x):
    h = convolve(x, p["w"]) + p["b"]
    h = jax.lax.reduce_window(h, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
    return pooled(h, p["head"])


@architecture(IMAGE, w=(3, 3, 2, 4), head=(36, 3))
def max_pooling_and_flatten(p, x):
    h = jax.nn.relu(convolve(x, p["w"]))
    window = ((1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, *window)
    return h.reshape(len(x), -1) @ p["head"]


@architecture((4, 4, 2), shift=(4, 4, 1), w=(3, 3, 2, 4), head=(4, 3))
def image_shift(p, x):
    return pooled(convolve(jnp.tanh(x + p["shift"]), p["w"]), p["head"])


def layer_norm(h, scale, shift):
    centred = h - h.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return scale * centred * jax.lax.rsqrt(variance + 1e-3) + shift


@architecture(
    (4, 4, 2),
    stem=(1, 1, 2, 4),
    w1=(3, 3, 4, 4),
    w2=(3, 3, 4, 4),
    scale=(4,),
    shift=(4,),
    head=(4, 3),
)
def residual_block_with_layer_norm(p, x):
    h = convolve(x, p["stem"])
    inner = jax.nn.relu(layer_norm(convolve(h, p["w1"]), p["scale"], p["shift"]))
    return pooled(h + convolve(inner, p["w2"]), p["head"])


@architecture((4, 4, 2), w=(3, 3, 2, 4), scale=(4,), shift=(4,), head=(4, 3))
def frozen_batch_norm(p, x):
    mean = jnp.linspace(-0.5, 0.5, 4, dtype=x.dtype)
    deviation = jnp.linspace(0.5, 2.0, 4, dtype=x.dtype)
    h = (convolve(x, p["w"]) - mean) / deviation * p["scale"] + p["shift"]
    return pooled(jax.nn.relu(h), p["head"])


@architecture((4, 4, 2), v=(3, 3, 2, 4), head=(4, 3))
def standardised_filters(p, x):
    centred = p["v"] - p["v"].mean(axis=(0, 1, 2))
    w = centred / jnp.sqrt((centred**2).mean(axis=(0, 1, 2)))
    return pooled(convolve(x, w), p["head"])


CONVOLUTIONAL = (
    convolution_same,
    convolutions_valid_and_strided,
    convolution_with_explicit_padding,
    dilated_convolution,
    transposed_convolution,
    depthwise_convolution,
    grouped_convolution,
    pointwise_convolution_as_product,
    convolution_in_one_dimension,
    channels_first,
    average_pooling,
    max_pooling_and_flatten,
    image_shift,
    residual_block_with_layer_norm,
    frozen_batch_norm,
    standardised_filters,
)
