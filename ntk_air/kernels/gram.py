"""Gram matrices, assembled tile by tile under a bound on memory.

The result lives on the host: an accelerator holds one tile at a time, and a matrix larger than
its memory can still be built. All tiles have the same shape, so that a compiled kernel is
compiled once for tiles on the diagonal and once for the others.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float

from ntk_air._base.checks import (
    check_inputs,
    check_positive,
    check_same_dtype,
    check_same_features,
)
from ntk_air._base.memory import format_bytes, require_memory
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray

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


@runtime_checkable
class Kernel(Protocol):
    """``kernel(x1, x2=None)``: the values between all pairs of inputs, shape (n1, n2)."""

    def __call__(self, x1: Any, x2: Any = None, /) -> Any:
        """Evaluate the kernel; ``x2=None`` stands for ``x1``."""
        ...


@runtime_checkable
class SizedKernel(Kernel, Protocol):
    """A kernel that knows its need of memory."""

    def tile_bytes(self, x1: jax.ShapeDtypeStruct, x2: jax.ShapeDtypeStruct) -> int:
        """The bytes held at the peak of ``kernel(x1, x2)``, its result included."""
        ...


@runtime_checkable
class AssemblingKernel(Kernel, Protocol):
    """A kernel that chooses its own tiles, because they share work."""

    def assemble(
        self, x1: Any, x2: Any, *, max_memory_bytes: int | None, progress: Progress
    ) -> np.ndarray:
        """The whole matrix, under the bound on memory of ``gram_matrix``."""
        ...


def gram_matrix(
    kernel: Kernel,
    x1: Float[AnyArray, "n1 *features1"],
    x2: Float[AnyArray, "n2 *features2"] | None = None,
    *,
    max_memory_bytes: int | None = None,
    progress: Progress = no_progress,
) -> Float[np.ndarray, "n1 n2"]:
    """Assemble the matrix of any kernel, tile by tile.

    Without ``x2`` the matrix is symmetric: tiles above the diagonal are computed once and
    mirrored, and the result equals its transpose in every bit.

    Args:
        kernel: ``kernel(x1, x2=None)``. One with a method ``assemble`` (``AssemblingKernel``)
            does the work itself; of one with ``tile_bytes`` (``SizedKernel``) that need of
            memory counts; any other is taken to hold ``ASSUMED_TEMPORARIES`` tiles.
        x1: inputs, shape (n1, *features).
        x2: other inputs, shape (n2, *features); ``None`` stands for ``x1``.
        max_memory_bytes: a bound in bytes on what this call holds, result and tiles together,
            beside the inputs; ``None`` is no bound.
        progress: called after each tile.

    Returns:
        The matrix as a NumPy array, shape (n1, n2), in the precision of the inputs (float32
        where JAX runs in 32 bits).

    Raises:
        MemoryBudgetError: the matrix and one tile cannot fit; nothing has been computed.
        ValueError: inputs that are empty, not finite, not floating-point or of different
            features or precision; a kernel whose values have another shape or precision, are
            not finite, or are not symmetric.
    """
    if isinstance(kernel, AssemblingKernel):
        return kernel.assemble(x1, x2, max_memory_bytes=max_memory_bytes, progress=progress)
    check_pair(x1, x2)
    # NumPy slices: JAX's own would compile anew for each offset.
    rows = np.asarray(x1)
    columns = rows if x2 is None else np.asarray(x2)
    dtype = jax.dtypes.canonicalize_dtype(rows.dtype)

    def need(tile: int) -> int:
        return tile_need(kernel, tile, (rows, columns), dtype)

    shape = (len(rows), len(columns))
    tile = plan_tile(
        "the Gram matrix",
        shape,
        result_bytes=math.prod(shape) * dtype.itemsize,
        need=need,
        max_memory_bytes=max_memory_bytes,
        alternative="float32 inputs need half as much" if dtype == np.float64 else None,
    )

    def tile_at(first: slice, second: slice | None) -> Any:
        return kernel(rows[first]) if second is None else kernel(rows[first], columns[second])

    return assemble(
        tile_at,
        shape,
        tile=tile,
        symmetric=x2 is None,
        dtype=dtype,
        progress=functools.partial(progress, "Gram matrix"),
    )


def check_pair(x1: AnyArray, x2: AnyArray | None) -> None:
    """Check the inputs of a kernel, the entire sets at once."""
    check_inputs("x1", x1)
    if x2 is not None:
        check_inputs("x2", x2)
        check_same_features("x1", x1, "x2", x2)
        check_same_dtype("x1", x1, "x2", x2)


def tile_need(
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


def plan_tile(
    what: str,
    shape: tuple[int, int],
    *,
    result_bytes: int,
    need: Callable[[int], int],
    max_memory_bytes: int | None,
    max_tile_bytes: int | None = None,
    largest: int = LARGEST_TILE,
    smallest: int = SMALLEST_TILE,
    growth: int = 2,
    alternative: str | None = None,
) -> int:
    """The number of rows of a tile, the most that the budget allows.

    Args:
        what: the job, as an error names it.
        shape: (n1, n2).
        result_bytes: size of the whole result.
        need: bytes held for a tile of the given number of rows and columns.
        max_memory_bytes: the budget, or ``None``.
        max_tile_bytes: what a tile should not exceed even without a budget, or ``None``.
        largest: rows of a tile if there is memory enough.
        smallest: rows of the smallest tile worth computing.
        growth: the power of its rows that the need of a tile grows with, about.
        alternative: another way out that an error can name.

    Raises:
        MemoryBudgetError: result and smallest tile exceed the budget.
        ValueError: a budget that is not a positive number.
    """
    if max_memory_bytes is not None:
        check_positive("max_memory_bytes", max_memory_bytes)
    tile = min(largest, max(shape))
    smallest = min(smallest, tile)
    bounds = [] if max_tile_bytes is None else [max_tile_bytes]
    if max_memory_bytes is not None:
        bounds.append(max_memory_bytes - result_bytes)
    while bounds and tile > smallest and (needed := need(tile)) > min(bounds):
        share = max(0, min(bounds)) / needed
        tile = max(smallest, min(tile - 1, int(tile * share ** (1 / growth) * (1 + 1e-9))))
    if max_memory_bytes is None:
        return tile
    tile_bytes = need(tile)
    ways_out = [_way_out(shape, result_bytes, tile_bytes, max_memory_bytes), alternative]
    require_memory(
        what=f"{what} of {shape[0]} × {shape[1]} inputs",
        needed_bytes=result_bytes + tile_bytes,
        max_bytes=max_memory_bytes,
        way_out="; ".join(filter(None, ways_out)),
    )
    return tile


def _way_out(
    shape: tuple[int, int], result_bytes: int, tile_bytes: int, max_memory_bytes: int
) -> str:
    """What would fit: a larger budget, or how many inputs."""
    way_out = f"allow max_memory_bytes={result_bytes + tile_bytes}"
    if result_bytes == 0:
        return way_out
    share = (max_memory_bytes - tile_bytes) / result_bytes
    if share <= 0:
        return f"{way_out}; one tile alone needs {format_bytes(tile_bytes)}"
    if shape[0] == shape[1]:
        return f"{way_out}, or pass at most {math.isqrt(int(share * shape[0] ** 2))} inputs"
    return f"{way_out}, or at most {int(share * shape[0])} inputs in x1 at a time"


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
        progress: called as ``progress(done, total)`` after each tile.
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


class Block(NamedTuple):
    """A range of rows as it is computed, and the part of it that no earlier block covers."""

    rows: slice
    fresh: slice

    @property
    def within(self) -> slice:
        """The fresh part, counted from the first of ``rows``."""
        return slice(self.fresh.start - self.rows.start, None)


def tile_cover(n: int, largest: int) -> list[Block]:
    """Blocks of one length that tile_cover ``range(n)``.

    The last is moved back to have the length of the others: real rows, no padding.
    """
    length = block_length(n, largest)
    starts = [(min(first, n - length), first) for first in range(0, n, length)]
    return [
        Block(slice(start, start + length), slice(first, start + length)) for start, first in starts
    ]


def block_length(n: int, largest: int) -> int:
    """The length of the fewest equal blocks of at most ``largest`` rows that tile_cover ``n``."""
    return math.ceil(n / math.ceil(n / largest))


def checked_tile(
    tile_at: Callable[[slice, slice | None], Any],
    rows: Block,
    columns: Block | None,
    *,
    dtype: np.dtype,
    axes: tuple[int, ...] = (),
) -> np.ndarray:
    """The fresh part of a tile, required to be finite, of the right shape and precision.

    Args:
        tile_at: as of ``assemble``.
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
