"""What the methods of the empirical NTK share: reduced outputs, a tile, and what it costs."""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air.kernels.empirical.network import Network
from ntk_air.kernels.empirical.work import Work, count_work, primitive_names

# --- outputs ------------------------------------------------------------------------------------

Outputs: TypeAlias = Literal["mean", "full", "logit_sum"] | int
"""How the output axes of an empirical NTK are reduced."""


def check_outputs(outputs: Outputs, n_out: int) -> None:
    """Require a known reduction or the index of an output."""
    if outputs in ("mean", "full", "logit_sum"):
        return
    if isinstance(outputs, bool) or not isinstance(outputs, int) or not 0 <= outputs < n_out:
        raise ValueError(
            "outputs must be 'mean', 'full', 'logit_sum' or the index of one of the network's "
            f"{n_out} outputs; got {outputs!r}"
        )


def output_cotangents(outputs: Outputs, n_out: int, dtype: np.dtype) -> Float[Array, "k n_out"]:
    """The vectors v_k over outputs that a reduction needs gradients of, ∂(v_k·f)/∂θ.

    ``"full"`` keeps every pair of them; all others are Σ_k v_kᵀ Θ v_k, and ``"mean"`` divides
    that by n_out.
    """
    if outputs == "logit_sum":
        return jnp.ones((1, n_out), dtype)
    each = jnp.eye(n_out, dtype=dtype)
    return each if outputs in ("mean", "full") else each[outputs : outputs + 1]


# --- methods ------------------------------------------------------------------------------------


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
        """Trace without computing, as jitted functions do."""
        ...

    @property
    def lower(self) -> Callable[..., Any]:
        """Lower without computing, as jitted functions do."""
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
        name: the name that a caller writes.
        tile: the jitted function that computes a tile.
        work: the operations and bytes of a tile at given shapes, without compiling; raises
            ``InapplicableMethodError`` for a network that the method cannot serve.
        describe: the function that says what it does with each parameter, where that differs.
    """

    name: str
    tile: TileFunction
    work: Callable[[TileFunction, Network, Tile], Work] = traced_work
    describe: Callable[[Network, Tile], tuple[Any, ...]] = lambda network, tile: ()


# --- derivatives in reverse mode alone ------------------------------------------------------------

_REVERSE_ONLY = "custom_lin"
"""The primitive that JAX writes for the forward derivative that a ``custom_vjp`` does not have."""


@jax.jit
def _forward_derivative(network: Network, x: Any) -> Any:
    at = network.trainable
    return jax.jvp(lambda trainable: network.batch(trainable, x), (at,), (at,))


def has_forward_derivative(network: Network, x: jax.ShapeDtypeStruct) -> bool:
    """Whether no function in the network has a derivative in reverse mode alone.

    JAX itself says so only when it compiles, or not at all before it vectorises.
    """
    return _REVERSE_ONLY not in _forward_primitives(network, x)


def has_lookups(network: Network, x: jax.ShapeDtypeStruct) -> bool:
    """Whether the network reads arrays at indices, which may lie beyond them."""
    return "gather" in _forward_primitives(network, x)


def _forward_primitives(network: Network, x: jax.ShapeDtypeStruct) -> frozenset[str]:
    traced = _forward_derivative.trace(network, x)
    return frozenset(primitive_names(traced.jaxpr.jaxpr))
