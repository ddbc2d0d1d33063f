"""Kernel matrices of images, a few pairs at a time, so that these stay in fast memory."""

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntk_air.kernels.infinite.pixel_covariances import (
    BlockMoments,
    Recipe,
    image_moments,
    kernel_of_pairs,
)

_FAST_BYTES = 2**21
"""What one array of numbers at all pairs of positions should take: a share of the cache."""

_MOST_PAIRS = 64

_Tree = TypeVar("_Tree")
_Prepared = tuple[Float[Array, "blocks h w c size"], list[BlockMoments]]


def pairs_at_once(images: tuple[int, ...], itemsize: int) -> int:
    """How many pairs of images of shape (n, height, width, channels) are computed together."""
    pair_bytes = (images[1] * images[2]) ** 2 * itemsize
    return min(max(1, _FAST_BYTES // pair_bytes), _MOST_PAIRS, max(1, images[0]))


def cross_matrix(
    recipe: Recipe,
    variances: Float[Array, " two"],
    x1: Float[Array, "n1 h w c"],
    x2: Float[Array, "n2 h w c"],
    *,
    upper: bool = False,
) -> tuple[Float[Array, "n1 n2"], tuple[Float[Array, " n1"], Float[Array, " n2"]]]:
    """The kernel of all pairs, and the least variances in layers of either set's images.

    With ``upper``, what lies above the diagonal, and more at will.
    """
    size = pairs_at_once(x2.shape, x2.dtype.itemsize)
    columns = _prepared(recipe, variances, x2, size)
    rows = columns if upper else _prepared(recipe, variances, x1, size)
    singles = jax.tree.map(_singly, rows)
    row, column = _block_indices(len(x1), math.ceil(len(x2) / size), size, upper=upper)

    def values(indices: tuple[Array, Array]) -> Array:
        first, second = indices
        return kernel_of_pairs(recipe, variances, _at(singles, first), _at(columns, second))

    found = jax.lax.map(values, (row, column))
    blocks = jnp.zeros((len(x1), math.ceil(len(x2) / size), size), x2.dtype)
    matrix = blocks.at[row, column].set(found).reshape(len(x1), -1)[:, : len(x2)]
    least = [
        jax.vmap(lambda moments: _least_variance(recipe, variances, moments))(moments).reshape(-1)
        for _, moments in (rows, columns)
    ]
    return matrix, (least[0][: len(x1)], least[1][: len(x2)])


def self_kernels(
    recipe: Recipe, variances: Float[Array, " two"], x: Float[Array, "n h w c"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """The kernel of each image with itself, and the least variance in its layers."""

    def values(images: Array) -> tuple[Array, Array]:
        prepared = images, image_moments(recipe, variances, images)
        kernel = kernel_of_pairs(recipe, variances, prepared, prepared)
        return kernel, _least_variance(recipe, variances, prepared[1])

    return of_images(values, x)


def of_images(function: Callable[[Array], _Tree], x: Float[Array, "n h w c"]) -> _Tree:
    """A function of images last, of all images, as many at once as of pairs."""
    size = pairs_at_once(x.shape, x.dtype.itemsize)
    found = jax.lax.map(function, _in_blocks(x, size))
    return jax.tree.map(lambda leaf: leaf.reshape(-1)[: len(x)], found)


def _least_variance(recipe: Recipe, variances: Array, moments: list[BlockMoments]) -> Array:
    """Of each image's strongest position; of squares that may underflow a sum is known to its ε."""
    eps = float(jnp.finfo(variances.dtype).eps)
    weight, bias = variances
    inputs, outputs = (jnp.max(x, (0, 1)) for x in (moments[0].before[0], moments[-1].last))
    return jnp.minimum(eps * inputs + bias, weight * outputs + bias)


def _prepared(recipe: Recipe, variances: Array, x: Array, size: int) -> _Prepared:
    blocks = _in_blocks(x, size)
    return blocks, jax.lax.map(lambda images: image_moments(recipe, variances, images), blocks)


def _in_blocks(x: Float[Array, "n h w c"], size: int) -> Float[Array, "blocks h w c size"]:
    """Images last, so many at a time; the last block is filled up with the last image."""
    n_blocks = math.ceil(len(x) / size)
    filled = jnp.pad(x, ((0, n_blocks * size - len(x)), (0, 0), (0, 0), (0, 0)), mode="edge")
    return jnp.moveaxis(filled.reshape(n_blocks, size, *x.shape[1:]), 1, -1)


def _singly(leaf: Float[Array, "blocks *shape size"]) -> Float[Array, "images *shape 1"]:
    images = jnp.moveaxis(leaf, -1, 1)
    return images.reshape(-1, *images.shape[2:], 1)


def _at(tree: _Tree, index: Int[Array, ""]) -> _Tree:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _block_indices(
    n_rows: int, n_blocks: int, size: int, *, upper: bool
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Each row with the blocks of columns it needs; the last row's are none above a diagonal."""
    row, column = np.divmod(np.arange(n_rows * n_blocks, dtype=np.int32), np.int32(n_blocks))
    needed = (column + 1) * size - 1 > row if upper else np.ones(len(row), bool)
    return row[needed], column[needed]
