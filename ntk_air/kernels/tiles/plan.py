"""What tiles an operator works with, from its inputs and its bound on memory."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ntk_air._base.checks import check_callable, check_inputs, check_whole_number
from ntk_air._base.precision import Precision, as_precision
from ntk_air._base.typing import AnyArray
from ntk_air.kernels._tiling import MatrixNeed, TileLimits, kernel_tile_bytes, plan_tile
from ntk_air.kernels.protocols import Kernel
from ntk_air.kernels.tiles.grid import TileGrid, TileSource
from ntk_air.kernels.tiles.tile_files import HEADER_BYTES
from ntk_air.kernels.tiles.tile_operator import PRODUCT_COPIES


def plan_tiles(
    kernel: Kernel,
    x: Float[AnyArray, "n *features"],
    *,
    precision: Precision | None,
    largest_tile: int,
    max_memory_bytes: int | None,
    tiles_held: int,
) -> tuple[TileSource, np.dtype]:
    """Checked inputs with tiles that fit, and the precision of products.

    Args:
        kernel: ``kernel(x1, x2=None)``, symmetric.
        x: inputs, shape (n, *features).
        precision: the precision of products; ``None`` is that of the inputs.
        largest_tile: the most rows of a tile.
        max_memory_bytes: a bound in bytes on what a product holds; ``None`` is no bound.
        tiles_held: tiles that a product holds beside what it computes from one of them.
    """
    check_callable("kernel", kernel)
    check_inputs("x", x)
    check_whole_number("largest_tile", largest_tile, minimum=1)
    inputs = np.asarray(x)
    dtype = jax.dtypes.canonicalize_dtype(inputs.dtype)
    inputs = inputs.astype(dtype, copy=False)
    product_dtype = np.dtype(dtype)
    if precision is not None:
        product_dtype = as_precision(jnp.zeros(0), precision, what="products").dtype

    def tile_bytes(tile: int) -> int:
        """Bytes held while a tile is computed, or multiplied."""
        held = tiles_held * (HEADER_BYTES + tile**2 * dtype.itemsize)
        product = held + PRODUCT_COPIES * tile**2 * product_dtype.itemsize
        return max(product, held + kernel_tile_bytes(kernel, tile, (inputs, inputs), dtype))

    need = MatrixNeed("the kernel by tiles", (len(inputs), len(inputs)), 0, tile_bytes)
    tile = plan_tile(need, max_memory_bytes, TileLimits(largest_tile))
    return TileSource(kernel, inputs, TileGrid.of(len(inputs), tile)), product_dtype
