"""States of the modes at many times from those at a few: a decomposition over times.

Along time, modes of neighbouring eigenvalues trace curves that are nearly linear combinations of
each other: cut into blocks of neighbours, the matrix times × modes of what multiplies the labels
has a numerical rank of ten or so, whatever the number of times. An interpolative decomposition
(Cheng, Gimbutas, Martinsson, Rokhlin 2005) picks that many times in each block and combines all
others from them. Only the picked times need products with the eigenvectors.
"""

import itertools
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.linalg import interpolative

from ntk_air.dynamics.closed_form.chunks import in_chunks
from ntk_air.dynamics.filters.spectral import ModeLabels, SpectralRule

_BLOCKS = 8
_SAMPLED_MODES = 64
_FEWEST_MODES = 256
_FEWEST_TIMES = 48
# In units of the precision's ε: what the decomposition aims at, and what it must reach.
_TOLERANCE = 32
_LARGEST_ERROR = 4096
# Ranks are rounded up to multiples, so that other eigenvalues seldom compile anew.
_RANK_MULTIPLE = 4

Duals: TypeAlias = Float[Array, "n_step n_mode 3"]
"""Vᵀc_t for unit initial predictions, clean and noisy labels in turn: c_t is linear in them."""


class Skeleton(eqx.Module):
    """Times that stand for all times, block by block of modes.

    Attributes:
        steps: the picked times of all blocks, ascending, (n_step,).
        picked: for each block, which of ``steps`` it combines.
        combination: for each block, the weights of its picked times at every time.
        bounds: where blocks begin and end among the modes, (n_block + 1,).
        error: the largest deviation of any mode at any time, relative to the largest sampled
            mode of its block at that time; measured on every mode.
    """

    steps: Float[Array, " n_step"]
    picked: tuple[Int[Array, " _"], ...]
    combination: tuple[Float[Array, "n_time _"], ...]
    bounds: tuple[int, ...] = eqx.field(static=True)
    error: Float[Array, ""]

    @property
    def n_time(self) -> int:
        """The number of all times."""
        return len(self.combination[0])

    @property
    def blocks(self) -> tuple[slice, ...]:
        """The modes of each block."""
        return tuple(slice(*pair) for pair in itertools.pairwise(self.bounds))


def find_skeleton(
    rule: SpectralRule,
    eigenvalues: Float[Array, " n_mode"],
    weights: Float[Array, " n_mode"],
    *,
    chunks: Float[Array, "n_chunk n_step"],
    n_time: int,
) -> Skeleton | None:
    """Pick times from which a rule's modes follow at all times, to rounding.

    Args:
        rule: what the modes follow.
        eigenvalues: λ, descending.
        weights: what each mode of c_t weighs in predictions, such as λ on the training inputs.
        chunks: ascending times, in chunks whose last one may be filled up.
        n_time: how many of them are times.

    Returns:
        The skeleton; ``None`` where it would save little or miss the precision by more than a
        few digits, and where a run diverges beyond all numbers.
    """
    n_mode, times = len(eigenvalues), chunks.reshape(-1)[:n_time]
    if n_mode < _FEWEST_MODES or n_time < _FEWEST_TIMES:
        return None
    epsilon = float(jnp.finfo(eigenvalues.dtype).eps)
    bounds = tuple(int(bound) for bound in np.linspace(0, n_mode, _BLOCKS + 1))
    modes = _sampled_modes(np.asarray(eigenvalues, np.float64), bounds)
    curves, sizes = _sampled_curves(
        rule, eigenvalues, weights, modes=jnp.asarray(modes), times=times
    )
    if not np.isfinite(curves).all():
        return None
    parts = [interpolated(block, _TOLERANCE * epsilon) for block in np.asarray(curves, np.float64)]
    ranks = [len(picked) for picked, _ in parts]
    if 2 * sum(ranks) > n_time * len(ranks):
        return None
    skeleton = _assembled(parts, np.asarray(sizes, np.float64), np.asarray(times), bounds)
    skeleton = eqx.tree_at(
        lambda s: s.error,
        skeleton,
        _largest_error(rule, eigenvalues, weights, chunks, skeleton=skeleton),
    )
    return skeleton if float(skeleton.error) <= _LARGEST_ERROR * epsilon else None


def interpolated(
    curves: Float[np.ndarray, "n_time n_curve"], tolerance: float
) -> tuple[Int[np.ndarray, " rank"], Float[np.ndarray, "n_time rank"]]:
    """Picked times, ascending, and weights with curves ≈ weights · curves[picked]."""
    if not curves.any():
        return np.array([0]), np.zeros((len(curves), 1))
    decomposed: Any = interpolative.interp_decomp(curves.T.copy(), tolerance, rand=False)
    rank, order, rest = decomposed
    weights = interpolative.reconstruct_interp_matrix(order, rest).T
    ascending = np.argsort(order[:rank])
    return order[:rank][ascending], weights[:, ascending]


@jax.jit
def unit_duals(
    rule: SpectralRule, eigenvalues: Float[Array, " n_mode"], steps: Float[Array, " n_step"]
) -> Duals:
    """What multiplies initial predictions, clean and noisy labels in each mode of c_t."""
    states = rule.advance(rule.begin(eigenvalues), eigenvalues, _units(eigenvalues), steps)[1]
    return jnp.asarray(states.dual)


def _units(eigenvalues: Float[Array, " n_mode"]) -> ModeLabels:
    initial, clean, noisy = (
        jnp.eye(3, dtype=eigenvalues.dtype)[:, None, :] * jnp.ones_like(eigenvalues)[None, :, None]
    )
    return ModeLabels(initial=initial, clean=clean, noisy=noisy)


def _sampled_modes(
    eigenvalues: Float[np.ndarray, " n_mode"], bounds: tuple[int, ...]
) -> Int[np.ndarray, "n_block n_sample"]:
    """Modes of each block, half of them even in number and half even in log λ."""
    positive = np.log(np.maximum(eigenvalues, np.finfo(float).eps * eigenvalues[0]))
    sampled = []
    for first, end in itertools.pairwise(bounds):
        even = np.linspace(first, end - 1, _SAMPLED_MODES // 2)
        levels = np.linspace(positive[first], positive[end - 1], _SAMPLED_MODES // 2)
        nearest = np.interp(-levels, -positive[first:end], np.arange(first, end))
        sampled.append(np.rint(np.concatenate([even, nearest])).astype(int))
    return np.stack(sampled)


@jax.jit
def _sampled_curves(
    rule: SpectralRule,
    eigenvalues: Float[Array, " n_mode"],
    weights: Float[Array, " n_mode"],
    *,
    modes: Int[Array, "n_block n_sample"],
    times: Float[Array, " n_time"],
) -> tuple[Float[Array, "n_block n_time n_curve"], Float[Array, "n_block n_time"]]:
    """Weighted curves of the sampled modes, each time scaled to a largest entry of 1; the scale."""
    rows = modes.reshape(-1)
    curves = weights[rows][None, :, None] * unit_duals(rule, eigenvalues[rows], times)
    curves = curves.reshape(len(times), len(modes), -1).swapaxes(0, 1)
    sizes = jnp.max(jnp.abs(curves), axis=2)
    return curves / jnp.where(sizes > 0, sizes, 1)[:, :, None], sizes


def _assembled(
    parts: list[tuple[np.ndarray, np.ndarray]],
    sizes: Float[np.ndarray, "n_block n_time"],
    times: Float[np.ndarray, " n_time"],
    bounds: tuple[int, ...],
) -> Skeleton:
    """The skeleton of decompositions of scaled curves, ranks padded with weights of 0."""
    union = np.unique(np.concatenate([picked for picked, _ in parts]))
    steps = np.pad(times[union], (0, -len(union) % _RANK_MULTIPLE**2), mode="edge")
    all_picked, all_weights = [], []
    for (picked, weights), size in zip(parts, sizes, strict=True):
        padding = -len(picked) % _RANK_MULTIPLE
        scaled = weights * (size[:, None] / np.where(size > 0, size, 1)[picked])
        all_picked.append(jnp.asarray(np.pad(np.searchsorted(union, picked), (0, padding))))
        all_weights.append(jnp.asarray(np.pad(scaled, ((0, 0), (0, padding))), times.dtype))
    return Skeleton(
        steps=jnp.asarray(steps),
        picked=tuple(all_picked),
        combination=tuple(all_weights),
        bounds=bounds,
        error=jnp.asarray(np.inf, times.dtype),
    )


@jax.jit
def _largest_error(
    rule: SpectralRule,
    eigenvalues: Float[Array, " n_mode"],
    weights: Float[Array, " n_mode"],
    chunks: Float[Array, "n_chunk n_step"],
    *,
    skeleton: Skeleton,
) -> Float[Array, ""]:
    """See ``Skeleton.error``; for the times of a skeleton in chunks of equal length."""
    units = _units(eigenvalues)
    curves = weights[None, :, None] * unit_duals(rule, eigenvalues, skeleton.steps)

    def one_chunk(carry, chunk):
        steps, combinations = chunk
        carry, states = rule.advance(carry, eigenvalues, units, steps)
        exact = weights[None, :, None] * states.dual
        errors = []
        for block, picked, combination in zip(
            skeleton.blocks, skeleton.picked, combinations, strict=True
        ):
            got = jnp.einsum("tr,rmk->tmk", combination, curves[picked, block])
            deviation = jnp.abs(got - exact[:, block])
            # On CPUs a maximum may overlook NaN.
            deviation = jnp.max(jnp.where(jnp.isnan(deviation), jnp.inf, deviation), axis=(1, 2))
            size = jnp.max(jnp.abs(exact[:, block]), axis=(1, 2))
            errors.append(jnp.max(deviation / jnp.where(size > 0, size, 1)))
        return carry, jnp.max(jnp.stack(errors))

    combinations = tuple(
        in_chunks(combination, chunks.shape[1]) for combination in skeleton.combination
    )
    start = rule.begin(eigenvalues)
    return jnp.max(jax.lax.scan(one_chunk, start, (chunks, combinations))[1])
