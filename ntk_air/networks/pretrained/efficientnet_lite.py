"""EfficientNet-Lite0 with running statistics: pure functions of its parameters.

Tan, Le 2019 (arXiv 1905.11946) as its authors changed it for small devices: ReLU6, and no squeeze
and excitation. A batch is normalised by the statistics of training, so that no image influences
another. Sizes are multiples of 32: then zeros are padded as in the torch original, which pads for
224 pixels whatever it is given.
"""

import itertools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.typing import AnyArray

N_FEATURES = 1280
"""Channels of the last feature map."""

STRIDE = 32
"""Pixels of the image beside each other for one of the last feature map."""

_EPSILON = 1e-3

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""The stride of each block's depthwise convolution; all else of a block is told by its filters."""

Layer: TypeAlias = dict[str, AnyArray]
"""Of a convolution and its normalisation: ``filters`` (HWIO), ``scale`` and ``bias`` (channels,),
or, among the statistics, ``mean`` and ``variance`` (channels,)."""

Depthwise: TypeAlias = Callable[[AnyArray, AnyArray, int], Array]
"""``depthwise(images, filters, stride)``: a convolution of each channel by itself."""

Layers: TypeAlias = dict[str, Any]
"""``stem``, ``blocks`` of ``expand``, ``depthwise`` and ``project``, ``head``."""


def pooled(
    params: Layers,
    statistics: Layers,
    images: Float[AnyArray, "n height width channels"],
    *,
    size: int,
    depthwise: Depthwise | None = None,
) -> Float[Array, "n features"]:
    """The mean of the last feature map, of images in [0, 1]; see ``feature_map``."""
    made = feature_map(params, statistics, prepared(images, size), depthwise=depthwise)
    return made.mean(axis=(1, 2))


def feature_map(
    params: Layers,
    statistics: Layers,
    images: Float[AnyArray, "n height width 3"],
    *,
    depthwise: Depthwise | None = None,
) -> Float[Array, "n h w channels"]:
    """The last feature map of images as ``prepared``, a pixel for each 32 × 32 of theirs.

    Args:
        params: parameters that were trained.
        statistics: mean and variance of each convolution's outputs in training.
        images: images with sides that are multiples of 32.
        depthwise: convolution of each channel by itself; ``None`` is ``by_taps``.
    """
    hidden = after_blocks(params, statistics, images, depthwise=depthwise)
    return _rectified(_layer(params["head"], statistics["head"], hidden))


def after_blocks(
    params: Layers,
    statistics: Layers,
    images: Float[AnyArray, "n height width 3"],
    *,
    depthwise: Depthwise | None = None,
) -> Float[Array, "n h w channels"]:
    """What the blocks make of images, of as many as ``params`` has."""
    hidden = _rectified(_layer(params["stem"], statistics["stem"], images, stride=2))
    for block, known, stride in zip(params["blocks"], statistics["blocks"], STRIDES, strict=False):
        hidden = _block(block, known, hidden, stride=stride, depthwise=depthwise or by_taps)
    return hidden


def prepared(
    images: Float[AnyArray, "n height width channels"], size: int
) -> Float[Array, "n {size} {size} 3"]:
    """Images in [0, 1] at the network's size and scale, grey ones in three equal channels.

    Bicubic interpolation as Pillow's (Keys' kernel with a = −1/2, widened where an image shrinks),
    along rows and then along columns, each clipped to [0, 1] as Pillow clips 8-bit pixels; but not
    rounded to 8 bits. torch's own interpolation is another, with a = −3/4.
    """
    n, height, _, channels = images.shape
    across = jnp.clip(jax.image.resize(images, (n, height, size, channels), "cubic"), 0, 1)
    resized = jnp.clip(jax.image.resize(across, (n, size, size, channels), "cubic"), 0, 1)
    return jnp.broadcast_to((resized * 255 - 127) / 128, (n, size, size, 3))


def _block(
    params: dict[str, Layer],
    statistics: dict[str, Layer],
    images: AnyArray,
    *,
    stride: int,
    depthwise: Depthwise,
) -> Array:
    """An inverted residual block."""
    hidden = images
    if "expand" in params:
        hidden = _rectified(_layer(params["expand"], statistics["expand"], hidden))
    filtered = depthwise(hidden, params["depthwise"]["filters"], stride)
    hidden = _rectified(_normalised(params["depthwise"], statistics["depthwise"], filtered))
    hidden = _layer(params["project"], statistics["project"], hidden)
    return hidden + images if hidden.shape == images.shape else jnp.asarray(hidden)


def _layer(layer: Layer, known: Layer, images: AnyArray, *, stride: int = 1) -> Array:
    """A convolution padded to keep the size, and its normalisation."""
    return _normalised(layer, known, _convolution(images, layer["filters"], stride))


def _normalised(layer: Layer, known: Layer, made: AnyArray) -> Array:
    """By the running statistics of training."""
    scale = layer["scale"] * jax.lax.rsqrt(jnp.asarray(known["variance"] + _EPSILON))
    return jnp.asarray((made - known["mean"]) * scale + layer["bias"])


def _convolution(images: AnyArray, filters: AnyArray, stride: int, *, groups: int = 1) -> Array:
    return jax.lax.conv_general_dilated(
        jnp.asarray(images),
        jnp.asarray(filters),
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=jax.lax.Precision.HIGHEST,
    )


def by_groups(images: AnyArray, filters: AnyArray, stride: int) -> Array:
    """XLA's own convolution of each channel by itself: one product, which kernels make use of."""
    return _convolution(images, filters, stride, groups=images.shape[3])


def by_taps(images: AnyArray, filters: AnyArray, stride: int) -> Array:
    """The same as a sum of shifted images: on CPUs, XLA's own takes five times as long."""
    side = filters.shape[0]
    spans = [(-(-length // stride) - 1) * stride for length in images.shape[1:3]]
    pads = [
        max(span + side - length, 0) for span, length in zip(spans, images.shape[1:3], strict=True)
    ]
    padding = [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)]
    padded, made = jnp.pad(images, padding), 0.0
    for row, column in itertools.product(range(side), repeat=2):
        rows = slice(row, row + spans[0] + 1, stride)
        columns = slice(column, column + spans[1] + 1, stride)
        made += padded[:, rows, columns] * filters[row, column, 0]
    return jnp.asarray(made)


def _rectified(images: Array) -> Array:
    return jnp.clip(images, 0, 6)
