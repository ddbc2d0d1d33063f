"""Random draws that give the same result on every platform.

Only ``Generator.random`` of numpy's PCG64 is used, whose bits are fixed by its definition, and
stable sorting: numpy may change how it shuffles, and a data set must not change with it.
"""

import zlib

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri

from ntk_air._base.checks import check_whole_number


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator of its own for each pair of seed and purpose.

    Two purposes never share a stream: noise drawn with seed 0 on inputs drawn with seed 0 would
    otherwise be a function of these inputs.

    Raises ``ValueError`` for a negative seed.
    """
    check_whole_number("seed", seed, minimum=0)
    stream = zlib.crc32(purpose.encode())
    sequence = np.random.SeedSequence(entropy=int(seed), spawn_key=(stream,))
    return np.random.Generator(np.random.PCG64(sequence))


def normal_numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, "*shape"]:
    """Standard normal numbers, by inversion."""
    # random() may be exactly 0, whose inverse is −∞. Half a step up is above it, but takes the last
    # number below 1 to 1 itself by rounding.
    return ndtri(np.minimum(rng.random(shape) + 2.0**-54, 1 - 2.0**-53))


def shuffled(items: Int[np.ndarray, " n"], rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    """The items in a uniformly random order."""
    return items[np.argsort(rng.random(len(items)), kind="stable")]


def rounded_counts(
    shares: Float[np.ndarray, " k"], total: int, rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    """Whole numbers that sum to ``total``, each the floor or ceiling of its share of it.

    Systematic sampling (Madow 1949) in a random order: the mean of each number over draws is
    exactly ``total · share``, and no two equal shares get numbers more than one apart.

    Args:
        shares: shares, none negative, of positive sum, shape (k,); scaled to sum to one.
        total: sum to reach.
        rng: source of randomness.
    """
    order = np.argsort(rng.random(len(shares)), kind="stable")
    ends = total * np.cumsum(shares[order]) / shares.sum()
    ends[-1] = total
    passed = np.floor(ends + rng.random()).astype(np.int64)
    counts = np.empty(len(shares), np.int64)
    counts[order] = np.diff(passed, prepend=0)
    return counts


def draw_classes(
    probabilities: Float[np.ndarray, "n n_classes"], rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """One independent class for each row of probabilities, by inversion."""
    ends = probabilities.cumsum(axis=1)[:, :-1]
    return (rng.random(len(probabilities))[:, None] >= ends).sum(axis=1)


def stratified_choice(
    strata: Int[np.ndarray, " n"], size: int, rng: np.random.Generator
) -> Int[np.ndarray, " size"]:
    """Indices of ``size`` examples, each stratum in proportion, in their original order."""
    values, members_of = np.unique(strata, return_inverse=True)
    shares = np.bincount(members_of, minlength=len(values)).astype(np.float64)
    counts = rounded_counts(shares, size, rng)
    chosen = [
        shuffled(np.flatnonzero(members_of == stratum), rng)[:count]
        for stratum, count in enumerate(counts)
    ]
    return np.sort(np.concatenate(chosen))


def choose(
    name: str, strata: Int[np.ndarray, " n"], size: int | None, *, seed: int, minimum: int = 0
) -> Int[np.ndarray, " size"]:
    """Indices of a stratified choice of ``size`` examples; ``None`` chooses all.

    Raises ``ValueError`` naming ``name`` for a size below ``minimum`` or above what there is.
    """
    if size is None:
        return np.arange(len(strata))
    check_whole_number(name, size, minimum=minimum)
    if size == len(strata):
        return np.arange(size)
    if size > len(strata):
        raise ValueError(f"{name} must be at most {len(strata)}, what there is; got {size}")
    return stratified_choice(strata, size, generator(seed, name))
