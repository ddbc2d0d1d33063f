"""A kernel in tiles on disk: larger than memory, computed once, kept over interruptions."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ntk_air._base.checks import check_callable, check_kind
from ntk_air._base.precision import Precision
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray
from ntk_air._base.version import package_version
from ntk_air.kernels._tiling import LARGEST_TILE
from ntk_air.kernels.protocols import Kernel
from ntk_air.kernels.tiles.grid import TileGrid, TilePair, TileSource
from ntk_air.kernels.tiles.identity import array_identity, kernel_identity
from ntk_air.kernels.tiles.plan import plan_tiles
from ntk_air.kernels.tiles.read_ahead import BUFFERS, read_ahead
from ntk_air.kernels.tiles.tile_files import TileFiles
from ntk_air.kernels.tiles.tile_folder import complete, open_folder
from ntk_air.kernels.tiles.tile_operator import KernelByTiles, Tiles


class TiledKernel(KernelByTiles):
    """A kernel whose tiles on and above the diagonal are files, read anew for each product.

    Made by ``tiled_kernel``. A product is one pass over n(n + 1)/2 numbers on disk, whatever
    the number of vectors: give it many. A thread reads and checks the next tiles while one is
    multiplied; ``BUFFERS`` of them are in memory.

    The matrix is symmetric in every bit. Float32 tiles with products in float64 are products with
    that very matrix to float64 rounding; its entries differ from the kernel's by theirs in
    float32. Products in float32 add their own rounding.

    Attributes:
        files: The tiles' files.
        precision: The precision of vectors and products.
        max_memory_bytes: A bound in bytes on what a call holds, beside vectors and their images.
    """

    files: TileFiles = eqx.field(static=True)
    precision: np.dtype = eqx.field(static=True)
    max_memory_bytes: int | None = eqx.field(static=True)

    @property
    def grid(self) -> TileGrid:
        """How the matrix is cut."""
        return self.files.grid

    def tiles(self, pairs: Iterable[TilePair]) -> Tiles:
        """Those tiles, in that order.

        Raises:
            TileError: a tile that is missing, damaged, or of something else.
        """
        return read_ahead(self.files, pairs)


@dataclasses.dataclass(frozen=True)
class TileOptions:
    """How tiles on disk are cut, what they are known by, and what products with them run in.

    Attributes:
        precision: The precision of vectors and products, ``"float32"`` or ``"float64"``; ``None``
            is that of the tiles.
        largest_tile: The most rows of a tile; a folder already begun keeps its own.
        kernel_id: A text that stands for this kernel alone, for one that is not known by content;
            ``None`` takes its content.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import ntk_air as na
        >>> options = na.TileOptions(largest_tile=20, kernel_id="x·x'")
        >>> def linear(x1, x2=None):
        ...     return x1 @ (x1 if x2 is None else x2).T
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     folder = pathlib.Path(folder)
        ...     na.tiled_kernel(linear, np.eye(50, dtype=np.float32), folder, options=options).grid
        TileGrid(n=50, tile=17)
    """

    precision: Precision | None = None
    largest_tile: int = LARGEST_TILE
    kernel_id: str | None = None


_USUAL = TileOptions()


def tiled_kernel(
    kernel: Kernel,
    x: Float[AnyArray, "n *features"],
    folder: Path,
    *,
    max_memory_bytes: int | None = None,
    progress: Progress = no_progress,
    options: TileOptions = _USUAL,
) -> TiledKernel:
    """The kernel of a set of inputs in tiles on disk: built, taken up again, or found ready.

    A product Θ·v is one pass over the n(n + 1)/2 numbers on and above the diagonal. Tiles already
    there are read and checked; those that are missing, damaged or of something else are computed.
    Several processes may build in one folder at once and share the work.

    Args:
        kernel: Kernel, ``kernel(x1, x2=None)``, symmetric.
        x: Inputs, shape (n, *features); the tiles have their precision.
        folder: Folder of the tiles: n(n + 1)/2 numbers, 7.2 GB for 60,000 inputs in float32.
        max_memory_bytes: Bound in bytes on what building or a product holds, beside inputs,
            vectors and their images; ``None`` is no bound.
        progress: Function called after each tile.
        options: Precision of products, rows of a tile, and the kernel's name on disk.

    Returns:
        The operator; its products have ``options.precision``.

    Raises:
        MemoryBudgetError: The smallest tile cannot fit; nothing has been computed.
        DiskSpaceError: The disk has no room; before the first tile, or with those written kept.
        ValueError: Inputs that are empty, not finite or not floating-point; a folder of other
            content; a kernel that is not known by content, or whose values have another shape or
            precision, are not finite, or are not symmetric.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import ntk_air as na
        >>> x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     theta = na.tiled_kernel(na.DenseNTK(depth=3), x, pathlib.Path(folder))
        ...     theta.matvec(np.ones((50, 2), np.float32)).shape
        (50, 2)
    """
    check_kind("options", options, TileOptions)
    check_kind("options.kernel_id", options.kernel_id, str, type(None))
    check_kind("folder", folder, str, Path)
    check_callable("progress", progress)
    source, product_dtype = plan_tiles(
        kernel,
        x,
        precision=options.precision,
        largest_tile=options.largest_tile,
        max_memory_bytes=max_memory_bytes,
        tiles_held=BUFFERS,
    )
    content = _content(source, options.kernel_id)
    dtype = source.inputs.dtype
    files = open_folder(Path(folder), content=content, grid=source.grid, dtype=dtype)
    complete(files, source._replace(grid=files.grid), progress=progress)
    return TiledKernel(files=files, precision=product_dtype, max_memory_bytes=max_memory_bytes)


def _content(source: TileSource, kernel_id: str | None) -> dict[str, str]:
    """What tells the matrix from others on disk."""
    return {
        "kernel": kernel_identity(source.kernel) if kernel_id is None else kernel_id,
        "inputs_sha256": array_identity(source.inputs),
        "ntk_air": package_version(),
    }
