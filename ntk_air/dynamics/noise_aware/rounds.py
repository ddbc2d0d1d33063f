"""Rounds of noise-aware self-distillation: new beliefs, a new student, a new matrix."""

import dataclasses
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from ntk_air.dynamics.noise_aware.learner import Learner, Probabilities
from ntk_air.dynamics.noise_aware.options import CleaningOptions
from ntk_air.dynamics.noise_aware.posterior import (
    as_probabilities,
    beliefs_by_distance,
    beliefs_by_em,
    noise_aware_labels,
)
from ntk_air.dynamics.noise_aware.starts import Start
from ntk_air.dynamics.noise_aware.transition import (
    STRENGTHS,
    estimate_transition,
    expected_counts,
    largest_rate,
    symmetric_transition,
)

_STILL = 1e-3
"""Mean change of beliefs below which rounds have come to rest."""

Given: TypeAlias = Int[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True, eq=False)
class Retrieval:
    """What rounds came to.

    Attributes:
        beliefs: q, (n, C): what the last student was to be taught.
        transition: T from them, (C, C).
        stop: index of the last student's stopping time.
    """

    beliefs: Probabilities
    transition: Float[np.ndarray, "n_classes n_classes"]
    stop: int


def retrieve(
    learner: Learner,
    given: Given,
    start: Start,
    *,
    left_out: Probabilities,
    options: CleaningOptions,
) -> Retrieval:
    """Rounds q ← p^{1/τ}·T[·, z], p from a new student of q, T from q (theory.md 10d).

    Args:
        learner: regression whose left-out outputs are p.
        given: z, the given class of each row, (n,).
        start: first matrix, and its freedom.
        left_out: left-out outputs of a fit of the given labels, (n, C).
        options: temperature and most rounds.
    """
    n_classes = left_out.shape[1]
    strengths = (STRENGTHS[-1],) if start.symmetric else STRENGTHS
    if start.rate is None:
        beliefs, estimate = beliefs_by_em(left_out, given)
        transition = estimate.matrix
    else:
        transition = symmetric_transition(min(start.rate, largest_rate(n_classes)), n_classes)
        beliefs = beliefs_by_distance(left_out, given, transition)
    stop = None
    for _ in range(options.n_rounds):
        fit = learner.fit(beliefs, stop)
        stop, p = fit.stop, as_probabilities(fit.left_out)
        renewed = noise_aware_labels(p, given, transition, temperature=options.temperature)
        transition = estimate_transition(expected_counts(given, renewed), strengths).matrix
        change = np.mean(np.abs(renewed - beliefs))
        beliefs = renewed
        if change < _STILL:
            break
    return Retrieval(beliefs, transition, int(stop or 0))
