"""What the networks of the benchmark are made of, in JAX: this project's and the peer's."""

from typing import Any

import jax
import jax.numpy as jnp

relu = jax.nn.relu
softmax = jax.nn.softmax
einsum = jnp.einsum


def images(x: Any) -> Any:
    """Images as (n, height, width, channels)."""
    return x


def add(x: Any, bias: Any) -> Any:
    """A bias for each channel."""
    return x + bias


def convolve(x: Any, filters: Any, stride: int) -> Any:
    """A convolution that keeps the size of the images, or halves it."""
    padding = [((size - 1) // 2, (size - 1) // 2) for size in filters.shape[:2]]
    return jax.lax.conv_general_dilated(
        x, filters, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def average_pool(x: Any) -> Any:
    """Means over squares of 2 × 2 pixels."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def global_mean(x: Any) -> Any:
    """The mean over all pixels, (n, channels)."""
    return x.mean((1, 2))


def layer_norm(x: Any, scale: Any, bias: Any) -> Any:
    """LayerNorm over the last axis: channels, or features of a token."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale + bias


layer_norm_of_tokens = layer_norm
