"""How far a transition matrix and a rate may be off for the rows that happened to be drawn."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ntk_air.dynamics.noise_aware.cleaned import Interval
from ntk_air.dynamics.noise_aware.learner import Probabilities
from ntk_air.dynamics.noise_aware.options import CleaningOptions
from ntk_air.dynamics.noise_aware.rounds import Given
from ntk_air.dynamics.noise_aware.transition import expected_counts


@dataclasses.dataclass(frozen=True, eq=False)
class Intervals:
    """Percentile intervals: of T's entries, (2, C, C), and of the rate."""

    transition: Float[np.ndarray, "2 n_classes n_classes"]
    rate: Interval


def joined(intervals: Sequence[Intervals]) -> Intervals:
    """The smallest intervals that hold each of those given."""
    lower = np.min([each.transition[0] for each in intervals], axis=0)
    upper = np.max([each.transition[1] for each in intervals], axis=0)
    rates = [each.rate for each in intervals]
    return Intervals(
        np.stack([lower, upper]), (min(rate[0] for rate in rates), max(rate[1] for rate in rates))
    )


def bootstrap_intervals(
    given: Given, beliefs: Probabilities, options: CleaningOptions, seed: int
) -> Intervals:
    """Draw rows with replacement and true classes from the beliefs; percentiles of shares.

    Args:
        given: z, (n,).
        beliefs: P(y_i = a), (n, C).
        options: number of draws and level.
        seed: seed of the draws.
    """
    generator = np.random.default_rng(seed)
    n, n_classes = beliefs.shape
    n_draws, level = options.n_bootstrap, options.level
    cumulative = np.cumsum(beliefs, axis=1)
    shares, rates = np.empty((n_draws, n_classes, n_classes)), np.empty(n_draws)
    one_hot = np.eye(n_classes)
    for draw in range(n_draws):
        rows = generator.integers(n, size=n)
        above = generator.random(n)[:, None] * cumulative[rows, -1:] >= cumulative[rows]
        true = np.minimum(above.sum(axis=1), n_classes - 1)
        counts = expected_counts(given[rows], one_hot[true])
        shares[draw] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        rates[draw] = 1 - np.trace(counts) / n
    ends = np.array([(1 - level) / 2, (1 + level) / 2])
    lower, upper = np.quantile(rates, ends)
    return Intervals(np.quantile(shares, ends, axis=0), (float(lower), float(upper)))
