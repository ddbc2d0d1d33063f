"""A kernel that is never held: each product computes its tiles anew."""

from collections.abc import Iterable

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ntk_air._base.precision import Precision
from ntk_air._base.typing import AnyArray
from ntk_air.kernels._tiling import LARGEST_TILE
from ntk_air.kernels.protocols import Kernel
from ntk_air.kernels.tiles.grid import TileGrid, TilePair, TileSource
from ntk_air.kernels.tiles.plan import plan_tiles
from ntk_air.kernels.tiles.tile_operator import KernelByTiles, Tiles


class RecomputedKernel(KernelByTiles):
    """A kernel of which a product holds one tile, computed anew.

    Made by ``recomputed_kernel``. The matrix is that of ``TiledKernel`` with the same tiles, bit by
    bit.

    Attributes:
        source: The kernel, the inputs, and how the matrix is cut.
        precision: The precision of vectors and products.
        max_memory_bytes: A bound in bytes on what a call holds, beside vectors and their images.
    """

    source: TileSource
    precision: np.dtype = eqx.field(static=True)
    max_memory_bytes: int | None = eqx.field(static=True)

    @property
    def grid(self) -> TileGrid:
        """How the matrix is cut."""
        return self.source.grid

    def tiles(self, pairs: Iterable[TilePair]) -> Tiles:
        """Those tiles, computed in that order.

        Raises:
            ValueError: values of another shape or precision, not finite, or not symmetric.
        """
        return ((pair, self.source.compute(pair)) for pair in pairs)


def recomputed_kernel(
    kernel: Kernel,
    x: Float[AnyArray, "n *features"],
    *,
    precision: Precision | None = None,
    largest_tile: int = LARGEST_TILE,
    max_memory_bytes: int | None = None,
) -> RecomputedKernel:
    """Any kernel as an operator that holds one tile, and no file.

    A product Θ·v computes the n(n + 1)/2 values on and above the diagonal anew, whatever the
    number of vectors: give it many.

    Args:
        kernel: Kernel, ``kernel(x1, x2=None)``, symmetric.
        x: Inputs, shape (n, *features).
        precision: Precision of vectors and products, ``"float32"`` or ``"float64"``; ``None`` is
            that of the inputs.
        largest_tile: The most rows of a tile.
        max_memory_bytes: Bound in bytes on what a product holds, beside inputs, vectors and their
            images; ``None`` is no bound.

    Returns:
        The operator; its matrix is that of ``tiled_kernel`` with the same tiles, bit by bit.

    Raises:
        MemoryBudgetError: The smallest tile cannot fit.
        ValueError: Inputs that are empty, not finite or not floating-point. Products raise it for
            a kernel whose values have another shape or precision, are not finite, or are not
            symmetric.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
        >>> theta = na.recomputed_kernel(na.DenseNTK(depth=3), x, max_memory_bytes=10_000_000)
        >>> theta.matvec(np.ones((50, 2), np.float32)).shape
        (50, 2)
    """
    source, product_dtype = plan_tiles(
        kernel,
        x,
        precision=precision,
        largest_tile=largest_tile,
        max_memory_bytes=max_memory_bytes,
        tiles_held=1,
    )
    return RecomputedKernel(
        source=source, precision=product_dtype, max_memory_bytes=max_memory_bytes
    )
