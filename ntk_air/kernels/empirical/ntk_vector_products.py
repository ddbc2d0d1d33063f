"""NTK-vector products: columns of the kernel by forward over reverse, without its Jacobians."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.typing import AnyArray
from ntk_air.kernels.empirical.methods import (
    InapplicableMethodError,
    Method,
    Outputs,
    Tile,
    TileFunction,
    has_forward_derivative,
    output_cotangents,
    traced_work,
)
from ntk_air.kernels.empirical.network import Network
from ntk_air.kernels.empirical.work import Work


@functools.partial(jax.jit, static_argnames=("outputs", "n_out"))
def ntk_vector_products_tile(
    network: Network,
    x1: Float[AnyArray, "n1 *features1"],
    x2: Float[AnyArray, "n2 *features2"] | None,
    *,
    outputs: Outputs,
    n_out: int,
) -> Float[Array, "n1 n2 *outputs"]:
    """The kernel of one tile, Θ(x1, x')v = J(x1) (vᵀJ(x'))ᵀ for one x' and v after the other.

    Novak, Sohl-Dickstein, Schoenholz 2022, section 3.3. One gradient is held at a time, and the
    forward derivative applies it to all rows together: weights shared between positions, as in
    convolutions, cost no contraction over all parameters.
    """
    cotangents = output_cotangents(outputs, n_out, x1.dtype)
    columns = x1 if x2 is None else x2
    # The contraction over parameters is inside the forward derivative: accelerators would
    # round its factors to fewer bits than their own precision.
    with jax.default_matmul_precision("highest"):
        _, push_forward = jax.linearize(
            lambda trainable: jax.vmap(lambda x: network.one(trainable, x))(x1), network.trainable
        )

        def column(example: Array) -> Array:
            """The values between all rows and one column."""
            _, pull_back = jax.vjp(
                lambda trainable: network.one(trainable, example), network.trainable
            )

            def push_gradient(cotangent: Array) -> Float[Array, "n1 n_out"]:
                (gradient,) = pull_back(cotangent)
                return push_forward(gradient)

            if outputs == "full":
                return jax.lax.map(push_gradient, cotangents)

            total, _ = jax.lax.scan(
                lambda total, cotangent: (total + push_gradient(cotangent) @ cotangent, None),
                jnp.zeros(len(x1), x1.dtype),
                cotangents,
            )
            return total / n_out if outputs == "mean" else total

        values = jax.lax.map(column, columns)
    return values.transpose(2, 0, 3, 1) if outputs == "full" else values.T


def _work(tile_function: TileFunction, network: Network, tile: Tile) -> Work:
    """The work of a tile.

    Raises:
        InapplicableMethodError: a function in the network has a reverse derivative alone.
    """
    if not has_forward_derivative(network, tile.x1):
        raise InapplicableMethodError(
            'method must not be "ntk_vector_products" for an apply_fn whose derivative is given '
            "in reverse mode only, by jax.custom_vjp: the method also needs it in forward mode"
        )
    return traced_work(tile_function, network, tile)


NTK_VECTOR_PRODUCTS = Method("ntk_vector_products", ntk_vector_products_tile, _work)
