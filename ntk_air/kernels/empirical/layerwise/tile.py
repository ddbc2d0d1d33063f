"""Layer-wise contraction: each parameter's part of the kernel from where it enters the network."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.typing import AnyArray
from ntk_air.kernels.empirical.layerwise.contraction import (
    Contraction,
    TileSizes,
    contract_gradients,
)
from ntk_air.kernels.empirical.layerwise.description import describe_parameters
from ntk_air.kernels.empirical.layerwise.linearised import linearise
from ntk_air.kernels.empirical.layerwise.plan import LayerwisePlan, plan_layers
from ntk_air.kernels.empirical.methods import Method, Outputs, TileFunction, output_cotangents
from ntk_air.kernels.empirical.network import Network

HELD_ENTRIES = 2**25
"""Cotangents and explicit gradients that are held at once: where all outputs need more, some are
taken after the others."""


def _tile(
    combine: Callable[[list[Array]], Array],
    network: Network,
    x1: Float[AnyArray, "n1 *features1"],
    x2: Float[AnyArray, "n2 *features2"] | None,
    *,
    outputs: Outputs,
    n_out: int,
) -> Float[Array, "n1 n2 *axes"]:
    """One tile, from the parts of all parameters combined."""
    plan = plan_layers(network, x1[0])
    leaves, fixed = jax.tree.leaves(network.trainable), jax.tree.leaves(network.fixed)
    examples = [x1] if x2 is None else [x1, x2]
    batches = [linearise(plan, leaves, fixed, x) for x in examples]
    dtype = leaves[0].dtype
    cotangents = output_cotangents(outputs, n_out, dtype)
    full = outputs == "full"
    sizes = TileSizes(len(x1), len(examples[-1]), len(cotangents), full)
    contractions = [
        Contraction(factors, batches[0], batches[-1], sizes=sizes, dtype=dtype)
        for factors in plan.factors
    ]
    nothing = jnp.zeros((sizes.n1, sizes.n2, *((n_out, n_out) if full else ())), dtype)

    def combined(some: Float[Array, "n_kept n_out"]) -> Array:
        sides = [
            batch.differentiate(jnp.repeat(some[:, None], len(x), axis=1))
            for batch, x in zip(batches, examples, strict=True)
        ]
        parts = [nothing] * len(leaves)
        for factors, contraction in zip(plan.factors, contractions, strict=True):
            part = contraction([cotangents for cotangents, _ in sides])
            parts[factors.leaf] = parts[factors.leaf] + part.astype(dtype)
        for leaf in plan.explicit:
            parts[leaf] = contract_gradients([each[leaf] for _, each in sides], full=full)
        return combine(parts)

    n_entries = sum(map(len, examples)) * _held_entries(plan, leaves)
    at_once = len(cotangents) if full else _outputs_at_once(len(cotangents), n_entries)
    if at_once == len(cotangents):
        total = combined(cotangents)
    else:
        in_turn = cotangents.reshape(-1, at_once, n_out)
        total, _ = jax.lax.scan(
            lambda total, some: (total + combined(some), None),
            combine([nothing] * len(leaves)),
            in_turn,
        )
    return total / n_out if outputs == "mean" else total


def _held_entries(plan: LayerwisePlan, leaves: Sequence[Array]) -> int:
    """Entries of cotangents and explicit gradients of one example and one output."""
    held = sum(leaves[leaf].size for leaf in plan.explicit)
    for factors in plan.factors:
        k, p, _, j = factors.sizes
        held += k * p * j
    return held


def _outputs_at_once(n_kept: int, entries: int) -> int:
    """The largest divisor of the number of outputs that keeps what is held within bounds."""
    divisors = [d for d in range(1, n_kept + 1) if n_kept % d == 0]
    return max(d for d in divisors if d == 1 or d * entries <= HELD_ENTRIES)


def _jitted(name: str, combine: Callable[[list[Array]], Array]) -> TileFunction:
    """The jitted function of a tile that combines the parts in this way."""
    tile = functools.partial(_tile, combine)
    functools.update_wrapper(tile, _tile, assigned=("__doc__",), updated=())
    tile.__name__ = name  # pyright: ignore[reportAttributeAccessIssue]
    return jax.jit(tile, static_argnames=("outputs", "n_out"))


LAYERWISE = Method(
    "layerwise",
    _jitted("layerwise_tile", lambda parts: functools.reduce(jnp.add, parts)),
    describe=describe_parameters,
)
"""Shape (n1, n2, *outputs)."""

BY_PARAMETER = Method(
    "layerwise by parameter",
    _jitted("parameter_tile", lambda parts: jnp.stack(parts, axis=-1)),
    describe=describe_parameters,
)
"""The kernels that each parameter alone would have, shape (n1, n2, *outputs, n_parameters)."""
