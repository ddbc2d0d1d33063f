"""A batch at which a network is linearised: activations at once, cotangents for any outputs."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air.kernels.empirical.layerwise.analysis import Use
from ntk_air.kernels.empirical.layerwise.evaluation import Probes, evaluate, probe_shapes
from ntk_air.kernels.empirical.layerwise.plan import Factors, LayerwisePlan
from ntk_air.kernels.empirical.layerwise.rules import ProductRule

Cotangents = dict[int, Float[Array, "n_kept ..."]]
"""By probe: the cotangents there, for each combination of outputs and example."""

Gradients = dict[int, Float[Array, "n_kept ..."]]
"""By parameter: its explicit gradients."""


class Linearised(NamedTuple):
    """A batch of examples, ready to be differentiated.

    Attributes:
        activations: the inputs of products, by probe and operand, with the examples in front.
        n: the number of examples.
        pull_back: the map from cotangents of the outputs, (n, n_out), to those of the probes and to
            gradients, with the examples in front.
    """

    activations: dict[tuple[int, int], Float[Array, "n ..."]]
    n: int
    pull_back: Callable[[Float[Array, "n n_out"]], tuple[Cotangents, Gradients]]

    def differentiate(
        self, cotangents: Float[Array, "n_kept n n_out"]
    ) -> tuple[Cotangents, Gradients]:
        """Cotangents at the probes and explicit gradients, for combinations of outputs."""
        # Computed once: fused into each of their uses, they would be computed for each.
        return jax.lax.optimization_barrier(jax.vmap(self.pull_back)(cotangents))


def linearise(
    plan: LayerwisePlan, leaves: Sequence[Array], fixed: Sequence[Any], x: Any
) -> Linearised:
    """Evaluate a network at each example of a batch.

    Args:
        plan: the plan for the network.
        leaves: its parameters.
        fixed: the arguments of its jaxpr between parameters and example.
        x: the examples, (n, *features).
    """
    uses = [use for factors in plan.factors for use in factors.uses]
    shapes = probe_shapes(plan.block)
    wanted = {(use.probe, use.rule.activation) for use in uses if isinstance(use.rule, ProductRule)}

    def of_one(probes: Probes, explicit: dict[int, Array], example: Any) -> Any:
        parameters = [explicit.get(leaf, value) for leaf, value in enumerate(leaves)]
        outs, operands = evaluate(plan.block, [*parameters, *fixed, example], probes)
        return outs[0], {key: operands[key[0]][key[1]] for key in wanted}

    def run(probes: Probes, explicit: dict[int, Array]) -> Any:
        return jax.vmap(of_one)(probes, explicit, x)

    n = len(x)
    probes = {
        use.probe: jnp.zeros((n, *shapes[use.probe].shape), shapes[use.probe].dtype) for use in uses
    }
    # A copy for each example: so the gradients of the examples stay apart.
    explicit = {
        leaf: jnp.broadcast_to(leaves[leaf], (n, *leaves[leaf].shape)) for leaf in plan.explicit
    }
    _, pull_back, activations = jax.vjp(run, probes, explicit, has_aux=True)
    return Linearised(activations, n, pull_back)


def left_factor(factors: Factors, batch: Linearised, dtype: Any) -> Float[Array, "n k p i"]:
    """A of a group without swapped products, for each example."""
    return _side_by_side([_activation_factor(use, batch).astype(dtype) for use in factors.uses])


def right_factor(
    factors: Factors, cotangents: Cotangents, dtype: Any
) -> Float[Array, "n_kept n k p j"]:
    """D of a group without swapped products, for each combination of outputs and example."""
    return _side_by_side([_cotangent_factor(use, cotangents).astype(dtype) for use in factors.uses])


def mixed_factors(
    factors: Factors, batch: Linearised, cotangents: Cotangents, dtype: Any
) -> tuple[Float[Array, "n_kept n k p i"], Float[Array, "n_kept n k p j"]]:
    """Both factors of a group in which some products have i and j swapped against the first."""
    lefts, rights = [], []
    for use, swapped in zip(factors.uses, factors.swapped, strict=True):
        right = _cotangent_factor(use, cotangents).astype(dtype)
        left = _activation_factor(use, batch).astype(dtype)
        left = jnp.broadcast_to(left, (*right.shape[:2], *left.shape[1:]))
        lefts.append(right if swapped else left)
        rights.append(left if swapped else right)
    return _side_by_side(lefts), _side_by_side(rights)


def _activation_factor(use: Use, batch: Linearised) -> Float[Array, "n k p i"]:
    if isinstance(use.rule, ProductRule):
        seen = batch.activations[use.probe, use.rule.activation]
        return jax.vmap(_merged(use, use.rule.activations))(seen)
    ones = jnp.ones((*use.loops, 1, 1, 1))
    return _merged(use, lambda one: one)(ones)[None].repeat(batch.n, axis=0)


def _cotangent_factor(use: Use, cotangents: Cotangents) -> Float[Array, "n_kept n k p j"]:
    factor = jax.vmap(jax.vmap(_merged(use, use.rule.cotangents)))(cotangents[use.probe])
    return factor if use.view.scale == 1 else factor * use.view.scale


def _side_by_side(factors: list[Array]) -> Array:
    """The positions of several products, one after the other."""
    return factors[0] if len(factors) == 1 else jnp.concatenate(factors, axis=-2)


def _merged(use: Use, factor: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A factor with the loops around its product among k or p, as their slices differ or not."""
    n_loops = len(use.loops)
    in_k = [axis for axis in range(n_loops) if use.view.indices.shape[axis] > 1]
    in_p = [axis for axis in range(n_loops) if axis not in in_k]
    for _ in range(n_loops):
        factor = jax.vmap(factor)

    def merged(value: Array) -> Float[Array, "k p m"]:
        ordered = factor(value).transpose(*in_k, n_loops, *in_p, n_loops + 1, n_loops + 2)
        n_k = math.prod(ordered.shape[: len(in_k) + 1])
        return ordered.reshape(n_k, -1, ordered.shape[-1])

    return merged
