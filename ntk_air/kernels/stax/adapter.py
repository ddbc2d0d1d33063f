"""Kernels of ``neural_tangents.stax`` networks in the interface of the others."""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import (
    check_choice,
    check_inputs,
    check_pair,
    check_same_dtype,
    check_same_features,
)
from ntk_air._base.kinds import kind
from ntk_air._base.precision import Precision, as_precision
from ntk_air._base.progress import Progress
from ntk_air._base.typing import AnyArray
from ntk_air.kernels._tiling import (
    HOST_TILES,
    LARGEST_TILE,
    MatrixNeed,
    TileLimits,
    assemble,
    block_length,
    plan_tile,
)

KernelName: TypeAlias = Literal["ntk", "nngp"]

UNBOUNDED_TILE_BYTES = 2**28
"""Bytes that a tile may take where the caller sets no bound: larger ones gain no speed."""

_PROBED_TILE = 4
"""Rows of the tile whose need of memory tells how large a tile to try first."""

_ASSUMED_COPIES = 8
"""Kernels between all pairs of pixels to count where the compiler does not report its memory."""

_Inputs1 = Float[AnyArray, "n1 *features1"]
_Inputs2 = Float[AnyArray, "n2 *features2"]


@kind("stax_kernel")
class StaxKernel(eqx.Module):
    """A kernel of a ``neural_tangents.stax`` network of infinite width, ``kernel(x1, x2=None)``.

    The network must end in one number per output channel (``Flatten``, ``GlobalAvgPool`` or
    ``Dense`` on vectors), batch axis first, which is what ``stax`` layers do by default. It runs
    under JAX's standard promotion, whatever the caller's is, and compiled. The advice on some
    layers that neural-tangents repeats as a warning at each use is not passed on.

    Its values on the diagonal of a ReLU network's NTK are good to half the digits alone, 1e-8
    in float64 (it takes √(1 − c²) at a correlation c = 1); ``DenseNTK`` has no such
    loss.

    Attributes:
        kernel_fn: The third of what ``stax.serial(…)`` returns; not one made by
            ``neural_tangents.batch``, whose part ``gram_matrix`` plays.
        get: ``"ntk"``, or ``"nngp"``: the outputs' covariance at initialisation.
        input_axes: The names of the axes behind the batch axis, for each layout of inputs that
            the network takes; empty where that is not known.

    Raises:
        ValueError: ``kernel_fn`` is no function; an unknown ``get``.
    """

    kernel_fn: Callable[..., Any] = eqx.field(static=True)
    get: KernelName = eqx.field(static=True)
    input_axes: tuple[tuple[str, ...], ...] = eqx.field(static=True)

    def __init__(
        self,
        kernel_fn: Callable[..., Any],
        *,
        get: KernelName = "ntk",
        input_axes: tuple[tuple[str, ...], ...] = (),
    ):
        if not callable(kernel_fn):
            raise ValueError(
                "kernel_fn must be a function, the third of (init_fn, apply_fn, kernel_fn); got "
                f"{type(kernel_fn).__name__}"
            )
        check_choice("get", get, ("ntk", "nngp"))
        self.kernel_fn = kernel_fn
        self.get = get
        self.input_axes = input_axes

    def __call__(self, x1: _Inputs1, x2: _Inputs2 | None = None) -> Float[Array, "n1 n"]:
        """The kernel between all pairs of inputs, (n1, n2), in their precision.

        All pairs at once: convolutional networks hold several arrays of n1·n2·(pixels) numbers,
        with global pooling n1·n2·(pixels)². ``gram_matrix`` goes tile by tile.

        Under a caller's own ``jax.jit`` values cannot be inspected, so only shapes and dtypes are
        checked there.

        Args:
            x1: Inputs, shape (n1, *features).
            x2: Inputs with the same features, shape (n2, *features); ``None`` stands for ``x1``.

        Raises:
            ValueError: Inputs that are empty, not finite, not of one floating dtype (float64
                needs JAX to run in 64 bits), of differing features, or not as ``input_axes``
                says; a network with more than one number per pair of inputs.
        """
        first = self._as_input("x1", x1)
        if x2 is None:
            return _evaluate(self, first, None)
        check_same_features("x1", x1, "x2", x2)
        check_same_dtype("x1", x1, "x2", x2)
        return _evaluate(self, first, self._as_input("x2", x2))

    def assemble(
        self,
        x1: _Inputs1,
        x2: _Inputs2 | None,
        *,
        max_memory_bytes: int | None,
        progress: Progress,
    ) -> Float[np.ndarray, "n1 n"]:
        """The matrix under a bound on memory, for ``gram_matrix``.

        Raises:
            MemoryBudgetError: the result and a tile of one pair of inputs cannot fit.
            ValueError: Inputs that a call refuses.
        """
        check_pair(x1, x2)
        self._check_form("x1", x1)
        _as_jax("x1", x1[:1])
        rows = np.asarray(x1)
        columns = rows if x2 is None else np.asarray(x2)
        shape = (len(rows), len(columns))
        tile_bytes = functools.partial(self._tile_bytes, shape=shape, features=rows[0])
        probed = min(_PROBED_TILE, max(shape))
        fitting = math.isqrt(
            min(max_memory_bytes or UNBOUNDED_TILE_BYTES, UNBOUNDED_TILE_BYTES)
            * probed**2
            // tile_bytes(probed)
        )
        tile = plan_tile(
            MatrixNeed(
                "the kernel of a stax network", shape, math.prod(shape) * rows.itemsize, tile_bytes
            ),
            max_memory_bytes,
            TileLimits(min(LARGEST_TILE, max(1, fitting)), 1, UNBOUNDED_TILE_BYTES),
        )
        return assemble(
            lambda first, second: self(rows[first], None if second is None else columns[second]),
            shape,
            tile=tile,
            symmetric=x2 is None,
            dtype=rows.dtype,
            progress=functools.partial(progress, "stax kernel"),
        )

    def _check_form(self, name: str, x: AnyArray) -> None:
        if x.dtype not in (jnp.float32, jnp.float64):
            raise ValueError(f"{name} must be float32 or float64; got dtype {x.dtype}")
        if self.input_axes and x.ndim - 1 not in map(len, self.input_axes):
            layouts = " or ".join(f"(n, {', '.join(axes)})" for axes in self.input_axes)
            raise ValueError(f"{name} must have shape {layouts}; got shape {x.shape}")

    def _as_input(self, name: str, x: AnyArray) -> Array:
        if not isinstance(x, jax.core.Tracer):
            check_inputs(name, x)
        self._check_form(name, x)
        return _as_jax(name, x)

    def _tile_bytes(self, tile: int, *, shape: tuple[int, int], features: np.ndarray) -> int:
        """Bytes held for tiles of at most that many rows, as the compiler lays them out."""
        sizes = [block_length(n, tile) for n in shape]
        x1, x2 = (jax.ShapeDtypeStruct((n, *features.shape), features.dtype) for n in sizes)
        usage = _evaluate.lower(self, x1, x2).compile().memory_analysis()
        if usage is None:  # not every platform tells
            n_pixels = math.prod(features.shape[:-1])
            computed = _ASSUMED_COPIES * math.prod(sizes) * n_pixels**2 * features.itemsize
        else:
            computed = usage.temp_size_in_bytes + usage.output_size_in_bytes
        inputs = sum(sizes) * features.nbytes
        return computed + inputs + HOST_TILES * math.prod(sizes) * features.itemsize


def _as_jax(name: str, x: AnyArray) -> Array:
    precision: Precision = "float64" if x.dtype == jnp.float64 else "float32"
    return as_precision(x, precision, what=f"the kernel of {name}, which is float64,")


@functools.partial(jax.jit, static_argnums=0)
def _evaluate(kernel: StaxKernel, x1: Array, x2: Array | None) -> Array:
    with jax.numpy_dtype_promotion("standard"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="neural_tangents", category=UserWarning)
        values = kernel.kernel_fn(x1, x2, kernel.get)
    expected = (len(x1), len(x1 if x2 is None else x2))
    if values.shape != expected:
        raise ValueError(
            f"kernel_fn must give one number per pair of inputs, shape {expected} here; got "
            f"{values.shape}: end the network with Flatten or GlobalAvgPool"
        )
    return values.astype(x1.dtype)
