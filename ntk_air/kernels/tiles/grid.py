"""The tiles on and above the diagonal of a symmetric matrix: half of it, which is all of it."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ntk_air.kernels._tiling import RowBlock, block_length, checked_tile
from ntk_air.kernels.protocols import Kernel


class TilePair(NamedTuple):
    """A tile's place: its block of rows and its block of columns, ``row <= column``."""

    row: int
    column: int

    @property
    def on_diagonal(self) -> bool:
        """Whether rows and columns are the same."""
        return self.row == self.column


class TileGrid(NamedTuple):
    """An n × n symmetric matrix cut into square tiles.

    Attributes:
        n: rows of the matrix.
        tile: rows and columns of a tile; the last block has what is left.
    """

    n: int
    tile: int

    @classmethod
    def of(cls, n: int, largest: int) -> "TileGrid":
        """The fewest equal tiles of at most ``largest`` rows."""
        return cls(n, block_length(n, largest))

    @property
    def n_blocks(self) -> int:
        """Blocks of rows, which are those of columns."""
        return math.ceil(self.n / self.tile)

    @property
    def n_tiles(self) -> int:
        """Tiles on and above the diagonal."""
        return self.n_blocks * (self.n_blocks + 1) // 2

    @property
    def pairs(self) -> Iterator[TilePair]:
        """The tiles on and above the diagonal, row by row: the order of every sum over them."""
        blocks = range(self.n_blocks)
        return (TilePair(i, j) for i in blocks for j in blocks[i:])

    @property
    def diagonal_pairs(self) -> Iterator[TilePair]:
        """The tiles on the diagonal."""
        return (TilePair(i, i) for i in range(self.n_blocks))

    def block(self, index: int) -> RowBlock:
        """A block as it is computed and as it is held; as those of ``tile_cover``."""
        first = index * self.tile
        stop = min(first + self.tile, self.n)
        return RowBlock(slice(stop - self.tile, stop), slice(first, stop))

    def slices(self, pair: TilePair) -> tuple[slice, slice]:
        """The rows and the columns that a tile holds."""
        return self.block(pair.row).fresh, self.block(pair.column).fresh

    def tile_shape(self, pair: TilePair) -> tuple[int, int]:
        """The shape of a tile."""
        rows, columns = self.slices(pair)
        return rows.stop - rows.start, columns.stop - columns.start


class TileSource(NamedTuple):
    """What tiles are computed from.

    Attributes:
        kernel: ``kernel(x1, x2=None)``.
        inputs: (n, *features), on the host: JAX's own slices would compile for each offset.
        grid: the cuts of the matrix.
    """

    kernel: Kernel
    inputs: np.ndarray
    grid: TileGrid

    def compute(self, pair: TilePair) -> np.ndarray:
        """A tile, checked; one on the diagonal is symmetric in every bit."""
        columns = None if pair.on_diagonal else self.grid.block(pair.column)
        return checked_tile(
            self._values, self.grid.block(pair.row), columns, dtype=self.inputs.dtype
        )

    def _values(self, rows: slice, columns: slice | None) -> Any:
        x1 = self.inputs[rows]
        return self.kernel(x1) if columns is None else self.kernel(x1, self.inputs[columns])
