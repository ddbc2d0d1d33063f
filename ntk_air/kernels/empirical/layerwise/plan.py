"""Which parameters are contracted by their factors, and which by explicit gradients."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.extend import core

from ntk_air.kernels.empirical.layerwise.analysis import ProbedJaxpr, Use, find_parameter_uses
from ntk_air.kernels.empirical.network import Network


@dataclasses.dataclass(frozen=True)
class Factors:
    """Uses of the same entries of one parameter: one sum over all their positions.

    The gradient is G[k, i, j] = Σ_p A[k, p, i]·D[k, p, j], as in ``rules``.

    Attributes:
        leaf: the parameter.
        uses: the uses.
        swapped: whether the i and j of each are the j and i of the first.
        sizes: the numbers (k, p, i, j).
    """

    leaf: int
    uses: tuple[Use, ...]
    swapped: tuple[bool, ...]
    sizes: tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class LayerwisePlan:
    """How each parameter of a network is contracted.

    Attributes:
        block: the network's jaxpr, of one example.
        factors: sums over products.
        explicit: parameters whose gradients are taken explicitly, with the reason.
        n_leaves: the number of parameters.
    """

    block: ProbedJaxpr
    factors: tuple[Factors, ...]
    explicit: dict[int, str]
    n_leaves: int


def plan_layers(network: Network, example: Any) -> LayerwisePlan:
    """Where the parameters of a network enter it, for an input without a batch axis."""
    leaves, structure = jax.tree.flatten(network.trainable)
    fixed, fixed_structure = jax.tree.flatten(network.fixed)

    def one(*values: Any) -> Any:
        trainable = jax.tree.unflatten(structure, values[: len(leaves)])
        held = jax.tree.unflatten(fixed_structure, values[len(leaves) : -1])
        return Network(trainable, held, network.static).one(trainable, values[-1])

    return _plan(jax.make_jaxpr(one)(*leaves, *fixed, example), len(leaves))


def _plan(closed: core.ClosedJaxpr, n_leaves: int) -> LayerwisePlan:
    """The plan for a jaxpr whose first ``n_leaves`` arguments are the parameters."""
    found = find_parameter_uses(closed, n_leaves)
    explicit = dict(found.unknown)
    factors: list[Factors] = []
    for leaf, uses in found.uses.items():
        if leaf in explicit or not uses:
            continue
        groups = _grouped(uses, closed.jaxpr.invars[leaf].aval.size)
        if groups is None:
            explicit[leaf] = "some of its entries are used in two ways that do not factor alike"
        else:
            factors.extend(groups)
    return LayerwisePlan(found.block, tuple(factors), explicit, n_leaves)


def _grouped(uses: list[Use], n_entries: int) -> list[Factors] | None:
    """Uses sorted into groups of the same entries; ``None`` where two overlap only in part."""
    taken = np.zeros(n_entries, bool)
    groups: list[tuple[np.ndarray, list[Use], list[bool]]] = []
    for use in uses:
        entries = _use_entries(use)
        match = _matching(groups, entries)
        if match is not None:
            group, swapped = match
            group[1].append(use)
            group[2].append(swapped)
            continue
        if taken[entries].any():
            return None
        taken[entries] = True
        groups.append((entries, [use], [False]))
    return [
        Factors(
            group[0].view.leaf,
            tuple(group),
            tuple(swapped),
            _sizes(entries, group),
        )
        for entries, group, swapped in groups
    ]


def _matching(
    groups: list[tuple[np.ndarray, list[Use], list[bool]]], entries: np.ndarray
) -> tuple[tuple[np.ndarray, list[Use], list[bool]], bool] | None:
    for group in groups:
        if np.array_equal(group[0], entries):
            return group, False
        if np.array_equal(group[0], entries.swapaxes(1, 2)):
            return group, True
    return None


def _use_entries(use: Use) -> np.ndarray:
    """Which entries of the parameter the gradient holds, (k, i, j), loops over slices in k."""
    return np.concatenate([use.rule.entries(block) for block in use.view.iterations])


def _sizes(entries: np.ndarray, group: list[Use]) -> tuple[int, int, int, int]:
    k, i, j = entries.shape
    # The result of each product has an entry for each k, position and surviving axis of v.
    survivors = [_use_entries(use).shape[2] for use in group]
    positions = [use.probed_size // (k * size) for use, size in zip(group, survivors, strict=True)]
    return k, sum(positions), i, j
