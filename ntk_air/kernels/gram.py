"""Gram matrices, assembled tile by tile under a bound on memory.

The result lives on the host: an accelerator holds one tile at a time, and a matrix larger than
its memory can still be built. All tiles have the same shape, so that a compiled kernel is
compiled once for tiles on the diagonal and once for the others.
"""

import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from ntk_air._base.checks import check_callable, check_pair
from ntk_air._base.memory import check_budget
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray
from ntk_air.kernels._tiling import MatrixNeed, assemble, kernel_tile_bytes, plan_tile
from ntk_air.kernels.protocols import AssemblingKernel, Kernel


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
    mirrored, and the result equals its transpose in every bit. Tiles of another size, as another
    bound on memory makes them, change an entry of this package's kernels by rounding alone: by up
    to 64ε of √(Θ_ii Θ_jj) in the tests.

    Args:
        kernel: Kernel, ``kernel(x1, x2=None)``: the values between all pairs of inputs, shape
            (n1, n2). One with a method ``assemble`` (``AssemblingKernel``) does the work itself;
            of one with ``tile_bytes`` (``SizedKernel``) that need of memory counts; any other is
            taken to hold ten tiles.
        x1: Inputs, shape (n1, *features).
        x2: Other inputs, shape (n2, *features); ``None`` stands for ``x1``.
        max_memory_bytes: Bound in bytes on what this call holds, result and tiles together,
            beside the inputs; ``None`` is no bound.
        progress: Function called after each tile.

    Returns:
        The matrix as a NumPy array, shape (n1, n2), in the precision of the inputs (float32
        where JAX runs in 32 bits).

    Raises:
        MemoryBudgetError: The matrix and one tile cannot fit; nothing has been computed.
        ValueError: Inputs that are empty, not finite, not floating-point or of different
            features or precision; a kernel whose values have another shape or precision, are
            not finite, or are not symmetric.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
        >>> theta = na.gram_matrix(na.DenseNTK(depth=3), x, max_memory_bytes=10_000_000)
        >>> theta.shape, bool((theta == theta.T).all())
        ((50, 50), True)
    """
    check_callable("kernel", kernel)
    check_callable("progress", progress)
    max_memory_bytes = check_budget(max_memory_bytes)
    if isinstance(kernel, AssemblingKernel):
        return kernel.assemble(x1, x2, max_memory_bytes=max_memory_bytes, progress=progress)
    check_pair(x1, x2)
    # NumPy slices: JAX's own would compile anew for each offset.
    inputs = rows, columns = np.asarray(x1), np.asarray(x1 if x2 is None else x2)
    need = _need(kernel, inputs)

    def tile_at(first: slice, second: slice | None) -> Any:
        return kernel(rows[first]) if second is None else kernel(rows[first], columns[second])

    return assemble(
        tile_at,
        need.shape,
        tile=plan_tile(need, max_memory_bytes),
        symmetric=x2 is None,
        dtype=jax.dtypes.canonicalize_dtype(inputs[0].dtype),
        progress=functools.partial(progress, "Gram matrix"),
    )


def _need(kernel: Kernel, inputs: tuple[np.ndarray, np.ndarray]) -> MatrixNeed:
    """The memory of the whole matrix and of its tiles."""
    n1, n2 = map(len, inputs)
    dtype = jax.dtypes.canonicalize_dtype(inputs[0].dtype)
    return MatrixNeed(
        "the Gram matrix",
        (n1, n2),
        result_bytes=n1 * n2 * dtype.itemsize,
        tile_bytes=lambda tile: kernel_tile_bytes(kernel, tile, inputs, dtype),
        alternative="float32 inputs need half as much" if dtype == np.float64 else None,
    )
