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
    """Any kernel as an operator that holds one tile, and no file.

    A product computes the n(n + 1)/2 values on and above the diagonal, whatever the number of
    vectors: give it many. The matrix is that of ``TiledKernel`` with the same tiles, bit by bit.

    Attributes:
        source: kernel, inputs, and how the matrix is cut.
        precision: of vectors and products.
        max_memory_bytes: a bound in bytes on what a call holds, beside vectors and their images.
    """

    source: TileSource
    precision: np.dtype = eqx.field(static=True)
    max_memory_bytes: int | None = eqx.field(static=True)

    def __init__(
        self,
        kernel: Kernel,
        x: Float[AnyArray, "n *features"],
        *,
        precision: Precision | None = None,
        largest_tile: int = LARGEST_TILE,
        max_memory_bytes: int | None = None,
    ):
        """Check the inputs, and choose tiles that fit.

        Args:
            kernel: ``kernel(x1, x2=None)``, symmetric.
            x: inputs, shape (n, *features).
            precision: of vectors and products; ``None`` is that of the inputs.
            largest_tile: the most rows of a tile.
            max_memory_bytes: a bound in bytes on what a product holds, beside inputs, vectors and
                their images; ``None`` is no bound.

        Raises:
            MemoryBudgetError: the smallest tile cannot fit.
            ValueError: inputs that are empty, not finite or not floating-point. Products raise it
                for a kernel whose values have another shape or precision, are not finite, or are
                not symmetric.
        """
        self.source, self.precision = plan_tiles(
            kernel,
            x,
            precision=precision,
            largest_tile=largest_tile,
            max_memory_bytes=max_memory_bytes,
            tiles_held=1,
        )
        self.max_memory_bytes = max_memory_bytes

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
