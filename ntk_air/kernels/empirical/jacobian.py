"""Jacobian contraction: per-example gradients of the outputs, and their inner products."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.typing import AnyArray, Parameters
from ntk_air.kernels.empirical.methods import Method, Outputs, output_cotangents
from ntk_air.kernels.empirical.network import Network


@functools.partial(jax.jit, static_argnames=("outputs", "n_out"))
def jacobian_tile(
    network: Network,
    x1: Float[AnyArray, "n1 *features1"],
    x2: Float[AnyArray, "n2 *features2"] | None,
    *,
    outputs: Outputs,
    n_out: int,
) -> Float[Array, "n1 n2 *outputs"]:
    """The kernel of one tile: per-example Jacobians in reverse mode, contracted."""

    def jacobian(x: AnyArray, cotangents: Array) -> list[Array]:
        def of_one(example: AnyArray) -> Parameters:
            _, pull_back = jax.vjp(
                lambda trainable: network.one(trainable, example), network.trainable
            )
            return jax.vmap(pull_back)(cotangents)

        leaves = jax.tree.leaves(jax.vmap(of_one)(x))
        return [leaf.reshape(*leaf.shape[:2], -1) for leaf in leaves]

    def block(cotangents: Array) -> Array:
        first = jacobian(x1, cotangents)
        second = first if x2 is None else jacobian(x2, cotangents)
        # Accelerators would round the factors to fewer bits than their own precision.
        contract = functools.partial(
            jnp.einsum, "iap,jbp->ijab", precision=jax.lax.Precision.HIGHEST
        )
        return functools.reduce(jnp.add, map(contract, first, second))

    cotangents = output_cotangents(outputs, n_out, x1.dtype)
    if outputs == "full":
        return block(cotangents)
    if outputs != "mean":
        return block(cotangents)[..., 0, 0]
    # One output after the other: the Jacobian of all of them would take n_out times the memory.
    total, _ = jax.lax.scan(
        lambda total, cotangent: (total + block(cotangent[None])[..., 0, 0], None),
        jnp.zeros((len(x1), len(x1 if x2 is None else x2)), x1.dtype),
        cotangents,
    )
    return total / n_out


JACOBIAN = Method("jacobian", jacobian_tile)
