"""The seam between methods: a tile of the kernel, and what it costs."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Array

from ntk_air.kernels.empirical.network import Network
from ntk_air.kernels.empirical.reductions import Outputs
from ntk_air.kernels.empirical.work import Work, count_work


@runtime_checkable
class TileFunction(Protocol):
    """A jitted function: the kernel between two batches, or of one with itself (``x2=None``).

    The result has shape (n1, n2), or (n1, n2, n_out, n_out) for ``outputs="full"``.
    """

    def __call__(
        self, network: Network, x1: Any, x2: Any, *, outputs: Outputs, n_out: int
    ) -> Array:
        """Compute the tile."""
        ...

    @property
    def trace(self) -> Callable[..., Any]:
        """Of ``jax.jit``: trace without computing."""
        ...

    @property
    def lower(self) -> Callable[..., Any]:
        """Of ``jax.jit``: lower without computing."""
        ...


class InapplicableMethodError(ValueError):
    """A method cannot serve this network; others may."""


class Tile(NamedTuple):
    """The shapes of a tile: abstract inputs, and how the outputs are reduced."""

    x1: jax.ShapeDtypeStruct
    x2: jax.ShapeDtypeStruct | None
    outputs: Outputs
    n_out: int


def traced_work(tile_function: TileFunction, network: Network, tile: Tile) -> Work:
    """The work of a tile, counted in its own jaxpr."""
    x1, x2, outputs, n_out = tile
    traced = tile_function.trace(network, x1, x2, outputs=outputs, n_out=n_out)
    return _count_once(traced.jaxpr.jaxpr)


# JAX hands out the same jaxpr for the same shapes: a second call counts nothing.
_count_once = functools.lru_cache(maxsize=128)(count_work)


class Method(NamedTuple):
    """A way to compute the empirical NTK.

    Attributes:
        name: as a caller writes it.
        tile: the jitted function that computes a tile.
        work: the operations and bytes of a tile at given shapes, without compiling; raises
            ``InapplicableMethodError`` for a network that the method cannot serve.
        describe: what it does with each parameter, where that differs.
    """

    name: str
    tile: TileFunction
    work: Callable[[TileFunction, Network, Tile], Work] = traced_work
    describe: Callable[[Network, Tile], tuple[Any, ...]] = lambda network, tile: ()
