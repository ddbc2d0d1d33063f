"""Matrices in tiles: how large they are under a bound on memory, and how they fill the matrix."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ntk_air._base.memory import check_budget, format_bytes, require_memory
from ntk_air.kernels.protocols import Kernel, SizedKernel

LARGEST_TILE = 1024
"""Rows of a tile where memory allows: larger ones gain no speed."""

SMALLEST_TILE = 32
"""Rows below which a tile is not worth its overhead: less memory than it needs is refused."""

ASSUMED_TEMPORARIES = 10
"""Tile-sized arrays that a kernel without ``tile_bytes`` is taken to hold at its peak: at least
as many as those of ``DenseNTK``, where the compiler counts up to 8."""

TILES_IN_FLIGHT = 2
"""Tiles whose temporaries count at once: JAX may free those of one after the next has begun."""

HOST_TILES = 2
"""Copies of a tile that ``assemble`` makes: one from the device, one to make it symmetric."""


def kernel_tile_bytes(
    kernel: Kernel, tile: int, inputs: tuple[np.ndarray, np.ndarray], dtype: np.dtype
) -> int:
    """Bytes held while one tile is computed and stored."""
    sizes = [min(tile, len(x)) for x in inputs]
    tile_bytes = math.prod(sizes) * dtype.itemsize
    if isinstance(kernel, SizedKernel):
        shapes = [
            jax.ShapeDtypeStruct((size, *x.shape[1:]), dtype)
            for size, x in zip(sizes, inputs, strict=True)
        ]
        kernel_bytes = kernel.tile_bytes(*shapes)
    else:
        kernel_bytes = ASSUMED_TEMPORARIES * tile_bytes
    return TILES_IN_FLIGHT * kernel_bytes + HOST_TILES * tile_bytes


class MatrixNeed(NamedTuple):
    """A matrix to be computed in tiles, and the memory that takes.

    Attributes:
        what: the matrix, as an error names it.
        shape: (n1, n2).
        result_bytes: the size of the whole result.
        tile_bytes: the bytes held for a tile of the given number of rows and columns.
        alternative: another way out that an error can name.
    """

    what: str
    shape: tuple[int, int]
    result_bytes: int
    tile_bytes: Callable[[int], int]
    alternative: str | None = None

    def way_out(self, tile: int, max_memory_bytes: int) -> str:
        """What would fit: a larger budget, how many inputs, or the alternative."""
        tile_bytes = self.tile_bytes(tile)
        way_out = f"allow max_memory_bytes={self.result_bytes + tile_bytes}"
        if self.result_bytes > 0:
            share = (max_memory_bytes - tile_bytes) / self.result_bytes
            n1, n2 = self.shape
            if share <= 0:
                way_out += f"; one tile alone needs {format_bytes(tile_bytes)}"
            elif n1 == n2:
                way_out += f", or pass at most {math.isqrt(int(share * n1**2))} inputs"
            else:
                way_out += f", or at most {int(share * n1)} inputs in x1 at a time"
        return way_out if self.alternative is None else f"{way_out}; {self.alternative}"


class TileLimits(NamedTuple):
    """How large a tile may be, whatever the budget is.

    Attributes:
        largest: rows of a tile if there is memory enough.
        smallest: rows of the smallest tile worth computing.
        max_bytes: the bytes that a tile should not exceed even without a budget, or ``None``.
        growth: the power of its rows that the need of a tile grows with, about.
    """

    largest: int = LARGEST_TILE
    smallest: int = SMALLEST_TILE
    max_bytes: int | None = None
    growth: int = 2


_USUAL_LIMITS = TileLimits()


def plan_tile(
    need: MatrixNeed, max_memory_bytes: int | None, limits: TileLimits = _USUAL_LIMITS
) -> int:
    """The number of rows of a tile, the most that the budget allows.

    Raises:
        MemoryBudgetError: result and smallest tile exceed the budget.
        ValueError: a budget that is not a positive number.
    """
    max_memory_bytes = check_budget(max_memory_bytes)
    tile = min(limits.largest, max(need.shape))
    smallest = min(limits.smallest, tile)
    bounds = [] if limits.max_bytes is None else [limits.max_bytes]
    if max_memory_bytes is not None:
        bounds.append(max_memory_bytes - need.result_bytes)
    while bounds and tile > smallest and (needed := need.tile_bytes(tile)) > min(bounds):
        share = max(0, min(bounds)) / needed
        tile = max(smallest, min(tile - 1, int(tile * share ** (1 / limits.growth) * (1 + 1e-9))))
    if max_memory_bytes is None:
        return tile
    require_memory(
        what=f"{need.what} of {need.shape[0]} × {need.shape[1]} inputs",
        needed_bytes=need.result_bytes + need.tile_bytes(tile),
        max_bytes=max_memory_bytes,
        way_out=need.way_out(tile, max_memory_bytes),
    )
    return tile


def assemble(
    tile_at: Callable[[slice, slice | None], Any],
    shape: tuple[int, ...],
    *,
    tile: int,
    symmetric: bool,
    dtype: np.dtype,
    progress: Callable[[int, int], None],
) -> np.ndarray:
    """Fill a matrix from tiles of one shape.

    Args:
        tile_at: the values for a slice of rows and a slice of columns; columns ``None`` stand
            for the rows themselves, and are passed for the tiles on a symmetric diagonal.
        shape: (n1, n2), or (n1, n2, n_out, n_out) with two axes of outputs; a last axis of other
            parts may follow.
        tile: rows and columns of a tile, at most.
        symmetric: whether the tiles below the diagonal are mirrored instead of computed.
        dtype: the precision that every tile must have.
        progress: the function called as ``progress(done, total)`` after each tile.
    """
    row_blocks, column_blocks = tile_cover(shape[0], tile), tile_cover(shape[1], tile)
    pairs = [
        (i, j)
        for i in range(len(row_blocks))
        for j in range(i if symmetric else 0, len(column_blocks))
    ]
    result = np.empty(shape, dtype)
    for done, (i, j) in enumerate(pairs, start=1):
        rows, columns = row_blocks[i], column_blocks[j]
        on_diagonal = symmetric and i == j
        fresh = checked_tile(
            tile_at, rows, None if on_diagonal else columns, dtype=result.dtype, axes=shape[2:]
        )
        result[rows.fresh, columns.fresh] = fresh
        if symmetric and not on_diagonal:
            result[columns.fresh, rows.fresh] = _mirrored(fresh)
        progress(done, len(pairs))
    return result


class RowBlock(NamedTuple):
    """A range of rows as it is computed, and the part of it that no earlier block covers."""

    rows: slice
    fresh: slice

    @property
    def within(self) -> slice:
        """The fresh part, counted from the first of ``rows``."""
        return slice(self.fresh.start - self.rows.start, None)


def tile_cover(n: int, largest: int) -> list[RowBlock]:
    """RowBlocks of one length that cover ``range(n)``.

    The last is moved back to have the length of the others: real rows, no padding.
    """
    length = block_length(n, largest)
    starts = [(min(first, n - length), first) for first in range(0, n, length)]
    return [
        RowBlock(slice(start, start + length), slice(first, start + length))
        for start, first in starts
    ]


def block_length(n: int, largest: int) -> int:
    """The length of the fewest equal blocks of at most ``largest`` rows that cover ``n``."""
    return math.ceil(n / math.ceil(n / largest))


def checked_tile(
    tile_at: Callable[[slice, slice | None], Any],
    rows: RowBlock,
    columns: RowBlock | None,
    *,
    dtype: np.dtype,
    axes: tuple[int, ...] = (),
) -> np.ndarray:
    """The fresh part of a tile, required to be finite, of the right shape and precision.

    Args:
        tile_at: the values for a slice of rows and a slice of columns, ``None`` for the rows
            themselves.
        rows: the block of rows.
        columns: the block of columns; ``None`` is a tile on the diagonal, made symmetric.
        dtype: the precision that the values must have.
        axes: the axes of the values behind rows and columns.
    """
    block = np.asarray(tile_at(rows.rows, None if columns is None else columns.rows))
    seen = rows if columns is None else columns
    _check_tile(block, rows.rows, seen.rows, dtype=dtype, axes=axes)
    if columns is None:
        block = _symmetrised(block, rows.rows)
    return block[rows.within, seen.within]


def _mirrored(block: np.ndarray) -> np.ndarray:
    """The block below the diagonal: inputs and outputs of each pair swapped."""
    outputs = (3, 2) if block.ndim > 3 else ()
    return block.transpose((1, 0, *outputs, *range(2 + len(outputs), block.ndim)))


def _symmetrised(block: np.ndarray, rows: slice) -> np.ndarray:
    """A diagonal block made symmetric in every bit; refused unless it nearly is."""
    mirrored = _mirrored(block)
    difference = block - mirrored
    asymmetry, scale = difference.max(), max(block.max(), -block.min())
    if asymmetry > np.sqrt(np.finfo(block.dtype).eps) * scale:
        raise ValueError(
            "kernel must be symmetric, kernel(x1) equal to its transpose; got a difference of "
            f"{asymmetry:.3g} beside values up to {scale:.3g} in rows {rows.start} to "
            f"{rows.stop - 1}"
        )
    symmetric = np.add(block, mirrored, out=difference)
    symmetric *= 0.5
    return symmetric


def _check_tile(
    block: np.ndarray, rows: slice, columns: slice, *, dtype: np.dtype, axes: tuple[int, ...]
) -> None:
    """Require of a kernel's values the expected shape and precision, and that they are finite."""
    expected = (rows.stop - rows.start, columns.stop - columns.start, *axes)
    if block.shape != expected:
        raise ValueError(
            f"kernel must return shape {expected} for {expected[0]} and {expected[1]} inputs; "
            f"got {block.shape}"
        )
    if block.dtype != dtype:
        raise ValueError(
            f"kernel must return the precision of its inputs, {dtype}; got {block.dtype}: "
            f"pass the inputs in {block.dtype}"
        )
    finite = np.isfinite(block)
    if not finite.all():
        row, column = np.argwhere(~finite)[0, :2]
        raise ValueError(
            "kernel must return finite values; got NaN or infinity first between inputs "
            f"{rows.start + row} and {columns.start + column}"
        )
