"""A kernel to compute: checked arguments and what follows from them."""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from ntk_air._base.checks import check_callable, check_pair
from ntk_air._base.typing import AnyArray, ApplyFn, Parameters
from ntk_air.kernels._tiling import (
    HOST_TILES,
    TILES_IN_FLIGHT,
    MatrixNeed,
    block_length,
    tile_cover,
)
from ntk_air.kernels.empirical.independence import (
    check_batch,
    check_examples_are_independent,
    check_one_derivative,
)
from ntk_air.kernels.empirical.methods import (
    Method,
    Outputs,
    Tile,
    check_outputs,
    has_forward_derivative,
    has_lookups,
)
from ntk_air.kernels.empirical.network import Network, check_parameters, count_outputs, split


class Task(NamedTuple):
    """A kernel to compute: checked arguments and what follows from them.

    ``part_axes`` are the last axes of a result that keeps parts of the kernel apart.
    """

    network: Network
    rows: np.ndarray
    columns: np.ndarray | None
    outputs: Outputs
    n_out: int
    dtype: np.dtype
    part_axes: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(n1, n2)."""
        return len(self.rows), len(self.rows if self.columns is None else self.columns)

    @property
    def output_axes(self) -> tuple[int, ...]:
        """The axes of the result behind (n1, n2)."""
        return (*((self.n_out, self.n_out) if self.outputs == "full" else ()), *self.part_axes)

    @property
    def result_bytes(self) -> int:
        """Bytes of the whole result."""
        return math.prod(self.shape + self.output_axes) * self.dtype.itemsize

    def tile_at(self, method: Method) -> Callable[[slice, slice | None], Any]:
        """The kernel between slices of the inputs, for ``assemble``."""
        columns = self.rows if self.columns is None else self.columns

        def tile(first: slice, second: slice | None) -> Any:
            x2 = None if second is None else columns[second]
            x1 = self.rows[first]
            return method.tile(self.network, x1, x2, outputs=self.outputs, n_out=self.n_out)

        return tile

    def tiles(self, length: int) -> list[tuple[Tile, int]]:
        """The shapes of the tiles of at most ``length`` rows, and how many there are of each."""
        sizes = [block_length(n, length) for n in self.shape]
        counts = [math.ceil(n / size) for n, size in zip(self.shape, sizes, strict=True)]
        x1, x2 = (jax.ShapeDtypeStruct((n, *self.rows.shape[1:]), self.dtype) for n in sizes)
        if self.columns is not None:
            return [(Tile(x1, x2, self.outputs, self.n_out), math.prod(counts))]
        on_diagonal = (Tile(x1, None, self.outputs, self.n_out), counts[0])
        above = (Tile(x1, x2, self.outputs, self.n_out), counts[0] * (counts[0] - 1) // 2)
        return [on_diagonal, above] if above[1] else [on_diagonal]

    def check_batches(self, length: int) -> None:
        """Require the network to treat each example alone in batches as large as the tiles.

        Raises:
            ValueError: it does not, or its derivatives forward and in reverse differ.
        """
        one = jax.ShapeDtypeStruct((1, *self.rows.shape[1:]), self.dtype)
        forward = has_forward_derivative(self.network, one)
        looks_up = forward and has_lookups(self.network, one)
        for x in (self.rows,) if self.columns is None else (self.rows, self.columns):
            blocks = [x[block.rows] for block in tile_cover(len(x), length)]
            check_batch(self.network, blocks[0], forward=forward)
            for block in blocks if looks_up else ():
                check_one_derivative(self.network, block)

    def need(self, tile_bytes: Callable[[Tile], float]) -> MatrixNeed:
        """The memory of it all, from the bytes held while one tile is computed."""
        return MatrixNeed(
            "the empirical NTK",
            self.shape,
            self.result_bytes,
            lambda length: self._bytes_beside(tile_bytes, length),
            None if self.outputs != "full" else 'outputs="mean" has a far smaller result',
        )

    def _bytes_beside(self, tile_bytes: Callable[[Tile], float], length: int) -> int:
        """Bytes held beside the result for tiles of at most ``length`` rows."""
        largest = self.tiles(length)[-1][0]
        sizes = [x.shape[0] for x in (largest.x1, largest.x2 or largest.x1)]
        inputs = sum(sizes) * math.prod(self.rows.shape[1:])
        stored = HOST_TILES * math.prod(sizes) * math.prod(self.output_axes)
        computed = math.ceil(TILES_IN_FLIGHT * tile_bytes(largest))
        return computed + (inputs + stored) * self.dtype.itemsize


def make_task(
    apply_fn: ApplyFn, params: Parameters, x1: AnyArray, x2: AnyArray | None, *, outputs: Outputs
) -> Task:
    """Check all arguments before any work starts."""
    check_callable("apply_fn", apply_fn)
    check_pair(x1, x2)
    rows = np.asarray(x1)
    dtype = jax.dtypes.canonicalize_dtype(rows.dtype)
    check_parameters(params, dtype)
    network = split(apply_fn, params)
    n_out = count_outputs(network, rows.shape[1:], dtype)
    check_outputs(outputs, n_out)
    columns = None if x2 is None else np.asarray(x2)
    check_examples_are_independent(
        network, itertools.chain(rows, [] if columns is None else columns)
    )
    return Task(network, rows, columns, outputs, n_out, dtype)


def compiled_tile_bytes(method: Method, network: Network, tile: Tile) -> int | None:
    """Bytes held while a tile is computed, as the compiler lays them out.

    ``None`` on platforms whose compiler does not tell.
    """
    x1, x2, outputs, n_out = tile
    lowered = method.tile.lower(network, x1, x2, outputs=outputs, n_out=n_out)
    usage = lowered.compile().memory_analysis()
    return None if usage is None else usage.temp_size_in_bytes + usage.output_size_in_bytes
