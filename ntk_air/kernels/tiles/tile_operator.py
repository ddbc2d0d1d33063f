"""Operators that see one tile of the kernel at a time: what they share."""

import abc
import functools
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntk_air._base.memory import require_memory
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.kernels.tiles.grid import TileGrid, TilePair

Tiles: TypeAlias = Generator[tuple[TilePair, np.ndarray], None, None]
"""Tiles with their places; a tile is valid until the next is asked for."""

Where: TypeAlias = Literal["host", "device"]

PRODUCT_COPIES = 3
"""Tiles of the products' precision held at once: the tile, its conversion, its transpose."""


class KernelByTiles(KernelOperator):
    """A kernel whose tiles on and above the diagonal pass by in a fixed order.

    Each is used twice, for its own rows and for their mirror image. Sums over tiles run in the
    order of ``TileGrid.pairs`` in the precision of the vectors, so that the same product comes out
    the same in every bit on the same machine. JAX cannot trace such products: an algorithm calls
    them from the host.

    Attributes:
        precision: the precision of products; the tiles may be held in less.
        max_memory_bytes: a bound in bytes on what a call holds, beside vectors and their images.
    """

    precision: eqx.AbstractVar[np.dtype]
    max_memory_bytes: eqx.AbstractVar[int | None]

    @property
    @abc.abstractmethod
    def grid(self) -> TileGrid:
        """How the matrix is cut."""

    @abc.abstractmethod
    def tiles(self, pairs: Iterable[TilePair]) -> Tiles:
        """Those tiles, in that order."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.grid.n, self.grid.n

    @property
    def dtype(self) -> jnp.dtype:
        """The precision of vectors and products."""
        return self.precision

    def matvec(self, vectors: Float[AnyArray, "n k"]) -> Float[Array, "n k"]:
        """The product Θ·vectors for a block of k vectors: one pass over the tiles.

        Raises:
            ValueError: vectors of another length or precision.
        """
        block = as_block(vectors, self)
        where = "host" if jax.default_backend() == "cpu" else "device"
        with closing(self.tiles(self.grid.pairs)) as tiles:
            return symmetric_product(tiles, self.grid, block, where=where)

    def to_dense(self) -> Float[Array, "n n"]:
        """The whole matrix.

        Raises:
            MemoryBudgetError: it is larger than the operator's bound on memory.
        """
        n = self.grid.n
        require_memory(
            what=f"the whole kernel of {n} inputs",
            needed_bytes=n * n * self.precision.itemsize,
            max_bytes=self.max_memory_bytes,
            way_out="work with products, which need no whole matrix",
        )
        matrix = np.empty(self.shape, self.precision)
        with closing(self.tiles(self.grid.pairs)) as tiles:
            for pair, tile in tiles:
                rows, columns = self.grid.slices(pair)
                matrix[rows, columns] = tile
                if not pair.on_diagonal:
                    matrix[columns, rows] = tile.T
        return jnp.asarray(matrix)

    def diagonal(self) -> Float[Array, " n"]:
        """The diagonal."""
        diagonal = np.empty(self.grid.n, self.precision)
        with closing(self.tiles(self.grid.diagonal_pairs)) as tiles:
            for pair, tile in tiles:
                diagonal[self.grid.slices(pair)[0]] = np.diagonal(tile)
        return jnp.asarray(diagonal)


def as_block(vectors: AnyArray, operator: KernelOperator) -> np.ndarray:
    """The vectors on the host, of the operator's length and precision."""
    if vectors.ndim != 2 or vectors.shape[0] != operator.shape[0]:
        raise ValueError(
            f"vectors must have shape ({operator.shape[0]}, k); got shape {vectors.shape}"
        )
    if jax.dtypes.canonicalize_dtype(vectors.dtype) != operator.dtype:
        raise ValueError(
            f"vectors must have the precision of the kernel, {operator.dtype}; got {vectors.dtype}"
        )
    return np.ascontiguousarray(vectors, operator.dtype)


def symmetric_product(
    tiles: Tiles, grid: TileGrid, vectors: Float[np.ndarray, "n k"], *, where: Where
) -> Float[Array, "n k"]:
    """The product of the symmetric matrix with the block, from tiles of its upper half.

    Args:
        tiles: tiles on and above the diagonal.
        grid: the cuts of the matrix.
        vectors: the block, in the precision to compute in.
        where: ``"host"`` multiplies by NumPy: on a CPU, XLA's product of a tile transposed takes
            several times as long. ``"device"`` sends each tile to the accelerator.
    """
    add: Callable[..., Any] = _add_on_host if where == "host" else _add_on_device
    result, block = np.zeros_like(vectors), vectors
    if where == "device":
        result, block = jnp.asarray(result), jnp.asarray(block)
    for pair, tile in tiles:
        result = add(result, tile, block, grid.slices(pair), on_diagonal=pair.on_diagonal)
    return jnp.asarray(result)


def _add_on_host(
    result: np.ndarray,
    tile: np.ndarray,
    vectors: np.ndarray,
    slices: tuple[slice, slice],
    *,
    on_diagonal: bool,
) -> np.ndarray:
    rows, columns = slices
    tile = tile.astype(vectors.dtype, copy=False)
    result[rows] += tile @ vectors[columns]
    if not on_diagonal:
        result[columns] += tile.T @ vectors[rows]
    return result


def _add_on_device(
    result: Array,
    tile: np.ndarray,
    vectors: Array,
    slices: tuple[slice, slice],
    *,
    on_diagonal: bool,
) -> Array:
    starts = np.asarray([each.start for each in slices], np.int32)
    result = add_products(result, tile, vectors, starts, on_diagonal=on_diagonal)
    # The tile's memory is used again for the next one.
    return result.block_until_ready()


@functools.partial(jax.jit, static_argnames="on_diagonal", donate_argnums=0)
def add_products(
    result: Float[AnyArray, "n k"],
    tile: Float[AnyArray, "rows columns"],
    vectors: Float[AnyArray, "n k"],
    starts: Int[AnyArray, "2"],
    *,
    on_diagonal: bool,
) -> Float[Array, "n k"]:
    """Add what one tile and its mirror image contribute to a product.

    Args:
        result: the sum so far.
        tile: the tile, in its own precision.
        vectors: the block that is multiplied.
        starts: the first row and the first column of the tile.
        on_diagonal: whether the tile is its own mirror image.
    """
    tile = jnp.asarray(tile, vectors.dtype)

    def add(result: Array, matrix: Array, to: Array, of: Array) -> Array:
        seen = jax.lax.dynamic_slice_in_dim(vectors, of, matrix.shape[1])
        image = jnp.matmul(matrix, seen, precision=jax.lax.Precision.HIGHEST)
        before = jax.lax.dynamic_slice_in_dim(result, to, matrix.shape[0])
        return jax.lax.dynamic_update_slice_in_dim(result, before + image, to, axis=0)

    result = add(jnp.asarray(result), tile, starts[0], starts[1])
    return result if on_diagonal else add(result, tile.T, starts[1], starts[0])
