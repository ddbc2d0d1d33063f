"""A kernel whose rows are spread over the devices of a mesh, of one process or of several."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from ntk_air._base.checks import check_callable, check_inputs, check_kind, check_whole_number
from ntk_air._base.memory import require_memory
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray
from ntk_air.kernels._tiling import (
    LARGEST_TILE,
    MatrixNeed,
    TileLimits,
    block_length,
    kernel_tile_bytes,
    plan_tile,
)
from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.kernels.protocols import Kernel
from ntk_air.kernels.tiles.grid import TileGrid, TilePair, TileSource
from ntk_air.kernels.tiles.tile_operator import as_block

AXIS = "rows"
"""The mesh's one axis."""


class ShardedKernel(KernelOperator):
    """A kernel held in memory by rows: each device of a mesh has n / n_devices of them.

    Made by ``sharded_kernel``. A product multiplies each device's rows with the whole block
    and gathers the images: n · k numbers over the interconnect, 2n² · k / n_devices operations on
    each device. Vectors and products are whole in every process, so that an algorithm written for
    one runs unchanged in each of several, in step.

    Attributes:
        rows: The kernel's rows and rows of zeros behind them, (n_devices · n_local, n).
        n: The number of inputs.
        mesh: The devices.
        max_memory_bytes: A bound in bytes on what a device holds.
    """

    rows: Float[Array, "n_padded n"]
    n: int = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)
    max_memory_bytes: int | None = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.n, self.n

    @property
    def dtype(self) -> jnp.dtype:
        """The precision of the inputs."""
        return self.rows.dtype

    def matvec(self, vectors: Float[AnyArray, "n k"]) -> Float[Array, "n k"]:
        """The product Θ·vectors for a block of k vectors, the same in every process.

        Raises:
            ValueError: vectors of another length or precision.
        """
        traced = isinstance(vectors, jax.core.Tracer) and not self._spans_processes
        # What is on one device cannot be combined with what is on a mesh; NumPy's arrays can.
        block = vectors if traced else as_block(vectors, self)
        return self._whole(sharded_product(self.rows, block, mesh=self.mesh))

    def to_dense(self) -> Float[Array, "n n"]:
        """The whole matrix, in every process.

        Raises:
            MemoryBudgetError: it is larger than the operator's bound on memory.
        """
        require_memory(
            what=f"the whole kernel of {self.n} inputs",
            needed_bytes=self.rows.size * self.dtype.itemsize,
            max_bytes=self.max_memory_bytes,
            way_out="work with products, which need no whole matrix",
        )
        return self._whole(_gathered(self.rows, mesh=self.mesh))

    def diagonal(self) -> Float[Array, " n"]:
        """The diagonal, in every process."""
        return self._whole(_gathered_diagonal(self.rows, mesh=self.mesh))

    @property
    def _spans_processes(self) -> bool:
        return self.mesh.is_multi_process

    def _whole(self, gathered: Array) -> Array:
        """The result without padding, not bound to the mesh unless it is traced."""
        if isinstance(gathered, jax.core.Tracer):
            return gathered[: self.n]
        return jnp.asarray(np.asarray(gathered)[: self.n])


def sharded_kernel(
    kernel: Kernel,
    x: Float[AnyArray, "n *features"],
    *,
    mesh: Mesh | None = None,
    largest_tile: int = LARGEST_TILE,
    max_memory_bytes: int | None = None,
    progress: Progress = no_progress,
) -> ShardedKernel:
    """The kernel of a set of inputs, each device computing and holding its own rows.

    The matrix is symmetric in every bit: a tile below the diagonal is computed as its mirror image
    above it. So every value but those on the diagonal is computed twice, once for each of its two
    rows, and none is sent from device to device.

    Args:
        kernel: Kernel, ``kernel(x1, x2=None)``, symmetric.
        x: Inputs, shape (n, *features), the same in every process.
        mesh: Devices, as a mesh with the one axis ``"rows"``; ``None`` is all devices of all
            processes.
        largest_tile: The most rows of a tile.
        max_memory_bytes: Bound in bytes on what one device holds, its rows and a tile; ``None``
            is no bound.
        progress: Function called after each tile of this process.

    Returns:
        The operator; its vectors and products are whole in every process.

    Raises:
        MemoryBudgetError: Rows and a tile do not fit on a device; nothing has been computed.
        ValueError: Inputs that are empty, not finite or not floating-point; a mesh with other
            axes; a kernel whose values have another shape or precision, are not finite, or are
            not symmetric.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
        >>> theta = na.sharded_kernel(na.DenseNTK(depth=3), x)
        >>> theta.matvec(np.ones((50, 2), np.float32)).shape
        (50, 2)
    """
    check_callable("kernel", kernel)
    check_callable("progress", progress)
    check_kind("mesh", mesh, Mesh, type(None))
    check_inputs("x", x)
    check_whole_number("largest_tile", largest_tile, minimum=1)
    mesh = Mesh(np.asarray(jax.devices()), (AXIS,)) if mesh is None else mesh
    if mesh.axis_names != (AXIS,):
        raise ValueError(f"mesh must have the one axis {AXIS!r}; got {mesh.axis_names}")
    inputs = np.asarray(x)
    inputs = inputs.astype(jax.dtypes.canonicalize_dtype(inputs.dtype), copy=False)
    need = _rows_need(kernel, inputs, mesh.size)
    limits = TileLimits(min(largest_tile, need.shape[0]))
    shares = _Shares.of(need.shape, plan_tile(need, max_memory_bytes, limits))
    source = TileSource(kernel, inputs, shares.grid)
    rows = _rows_of_all(source, shares, mesh, progress)
    return ShardedKernel(rows, len(inputs), mesh, max_memory_bytes)


def _rows_of_all(
    source: TileSource, shares: "_Shares", mesh: Mesh, progress: Progress
) -> Float[Array, "n_padded n"]:
    """The rows of this process's devices, computed by them, as one array over the mesh."""
    devices = list(mesh.devices.flat)
    local = [i for i, device in enumerate(devices) if device.process_index == jax.process_index()]
    n_tiles = sum(len(shares.blocks(i)) for i in local) * shares.grid.n_blocks
    rows_of = _RowBuilder(source, shares, progress, n_tiles)
    # One thread for each device: while one waits for its tile, the others have work.
    with ThreadPoolExecutor(len(local)) as pool:
        parts = list(pool.map(lambda i: rows_of(i, devices[i]), local))
    shape = (mesh.size * shares.n_local, shares.grid.n)
    sharding = NamedSharding(mesh, PartitionSpec(AXIS, None))
    return jax.make_array_from_single_device_arrays(shape, sharding, parts)


class _Shares(NamedTuple):
    """Which blocks of rows a device has."""

    grid: TileGrid
    blocks_each: int

    @classmethod
    def of(cls, shape: tuple[int, int], largest: int) -> "_Shares":
        """Tiles of at most that many rows, of which every device has the same number."""
        n_rows, n = shape
        tile = block_length(n_rows, largest)
        return cls(TileGrid(n, tile), -(-n_rows // tile))

    @property
    def n_local(self) -> int:
        """Rows of a device, padding included."""
        return self.blocks_each * self.grid.tile

    def blocks(self, index: int) -> range:
        """The blocks of a device; the last devices may have fewer."""
        first = index * self.blocks_each
        return range(first, max(first, min(first + self.blocks_each, self.grid.n_blocks)))


def _rows_need(kernel: Kernel, inputs: np.ndarray, n_devices: int) -> MatrixNeed:
    """The memory of one device's rows."""
    n, dtype = len(inputs), inputs.dtype
    n_rows = -(-n // n_devices)
    return MatrixNeed(
        f"the rows that one of {n_devices} devices holds of the kernel",
        (n_rows, n),
        result_bytes=n_rows * n * dtype.itemsize,
        tile_bytes=lambda tile: kernel_tile_bytes(kernel, tile, (inputs, inputs), dtype),
        alternative="or use more devices, or tiles on disk (tiled_kernel)",
    )


class _RowBuilder:
    """Computes the rows of devices tile by tile, in several threads, and reports progress."""

    def __init__(self, source: TileSource, shares: _Shares, progress: Progress, n_tiles: int):
        self._source, self._shares = source, shares
        self._progress, self._total, self._done = progress, n_tiles, 0
        self._lock = threading.Lock()

    def __call__(self, index: int, device: Any) -> Float[Array, "n_local n"]:
        """One device's rows, computed on it."""
        grid, blocks = self._source.grid, self._shares.blocks(index)
        with jax.default_device(device):
            shape = (self._shares.n_local, grid.n)
            rows = jax.device_put(jnp.zeros(shape, self._source.inputs.dtype), device)
            for i in blocks:
                for j in range(grid.n_blocks):
                    tile = self._source.compute(TilePair(min(i, j), max(i, j)))
                    tile = np.ascontiguousarray(tile if i <= j else tile.T)
                    start = np.asarray([i - blocks[0], j], np.int32) * grid.tile
                    rows = _placed(rows, tile, start)
                    self._count()
            return rows

    def _count(self) -> None:
        with self._lock:
            self._done += 1
            self._progress("computing rows", self._done, self._total)


@functools.partial(jax.jit, donate_argnums=0)
def _placed(
    rows: Float[AnyArray, "n_local n"], tile: Float[AnyArray, "t1 t2"], start: Int[AnyArray, "2"]
) -> Float[Array, "n_local n"]:
    return jax.lax.dynamic_update_slice(rows, tile, (start[0], start[1]))


# --- computation ------------------------------------------------------------------------------

_WHOLE, _BY_ROWS = PartitionSpec(), PartitionSpec(AXIS)


@functools.partial(jax.jit, static_argnames="mesh")
def sharded_product(
    rows: Float[AnyArray, "n_padded n"], vectors: Float[AnyArray, "n k"], *, mesh: Mesh
) -> Float[Array, "n_padded k"]:
    """Each device's rows times the whole block, gathered on all of them."""

    def of_device(rows: Any, vectors: Any) -> Array:
        image = jnp.matmul(rows, vectors, precision=jax.lax.Precision.HIGHEST)
        return jax.lax.all_gather(image, AXIS, tiled=True)

    return jax.shard_map(
        of_device, mesh=mesh, in_specs=(_BY_ROWS, _WHOLE), out_specs=_WHOLE, check_vma=False
    )(rows, vectors)


@functools.partial(jax.jit, static_argnames="mesh")
def _gathered(rows: Float[AnyArray, "n_padded n"], *, mesh: Mesh) -> Float[Array, "n_padded n"]:
    return jax.shard_map(
        lambda rows: jax.lax.all_gather(rows, AXIS, tiled=True),
        mesh=mesh,
        in_specs=_BY_ROWS,
        out_specs=_WHOLE,
        check_vma=False,
    )(rows)


@functools.partial(jax.jit, static_argnames="mesh")
def _gathered_diagonal(
    rows: Float[AnyArray, "n_padded n"], *, mesh: Mesh
) -> Float[Array, " n_padded"]:
    def of_device(rows: Any) -> Array:
        n_local, n = rows.shape
        own = jnp.arange(n_local, dtype=jnp.int32)
        columns = own + jax.lax.axis_index(AXIS) * n_local
        # Rows of padding have no diagonal: what they give is cut off.
        diagonal = rows[own, jnp.minimum(columns, n - 1)]
        return jax.lax.all_gather(diagonal, AXIS, tiled=True)

    return jax.shard_map(
        of_device, mesh=mesh, in_specs=_BY_ROWS, out_specs=_WHOLE, check_vma=False
    )(rows)
