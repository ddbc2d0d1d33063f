"""The transition matrix T[a, b] = P(ỹ = b | y = a), from given labels and beliefs about true ones.

Its rows have a Dirichlet prior around the symmetric matrix, as strong as the evidence says: few
rows, or symmetric noise, end at one number, pair flips at a free matrix (theory.md 10c).
"""

import dataclasses

import numpy as np
import scipy.special
from jaxtyping import Float, Int

from ntk_air.dynamics.noise_aware.learner import Probabilities

STRENGTHS = (1.0, 10.0, 100.0, 1e4, 1e6)
"""Prior counts that are tried for each class."""

_RATE_STEPS = (-0.02, 0.0, 0.02)
_LEAST_RATE, _LARGEST_RATE = 1e-3, 0.9


@dataclasses.dataclass(frozen=True, eq=False)
class TransitionEstimate:
    """A transition matrix, and the strength of the prior that the evidence chose.

    Attributes:
        matrix: T[a, b], (C, C), rows summing to 1, no entry 0.
        strength: prior counts of a class.
        log_evidence: log marginal likelihood of the expected counts, in nats.
    """

    matrix: Float[np.ndarray, "n_classes n_classes"]
    strength: float
    log_evidence: float


def symmetric_transition(rate: float, n_classes: int) -> Float[np.ndarray, "C C"]:
    """1 − ρ on the diagonal, ρ/(C − 1) elsewhere."""
    matrix = np.full((n_classes, n_classes), rate / (n_classes - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return matrix


def largest_rate(n_classes: int) -> float:
    """A rate of symmetric flips at which the given label still is the likeliest."""
    return 0.9 * (n_classes - 1) / n_classes


def expected_counts(
    given: Int[np.ndarray, " n"], beliefs: Probabilities
) -> Float[np.ndarray, "C C"]:
    """N[a, b] = Σ_i q_i(a)·[z_i = b]."""
    counts = np.zeros((beliefs.shape[1], beliefs.shape[1]))
    np.add.at(counts.T, given, beliefs)
    return counts


def estimate_transition(
    counts: Float[np.ndarray, "C C"], strengths: tuple[float, ...] = STRENGTHS
) -> TransitionEstimate:
    """The posterior mean of T under the prior of largest evidence (Dirichlet–multinomial).

    Args:
        counts: N[a, b], expected rows of true class a and given label b, (C, C).
        strengths: prior counts to choose among; the largest alone is the symmetric matrix.
    """
    n_classes = len(counts)
    flipped = 1 - np.trace(counts) / counts.sum()
    best = None
    for rate in np.unique(np.clip(flipped + np.array(_RATE_STEPS), _LEAST_RATE, _LARGEST_RATE)):
        for strength in strengths:
            prior = strength * symmetric_transition(float(rate), n_classes)
            log_evidence = _log_evidence(counts, prior)
            if best is None or log_evidence > best.log_evidence:
                posterior = counts + prior
                matrix = posterior / posterior.sum(axis=1, keepdims=True)
                best = TransitionEstimate(matrix, strength, log_evidence)
    assert best is not None
    return best


def _log_evidence(counts: Float[np.ndarray, "C C"], prior: Float[np.ndarray, "C C"]) -> float:
    gammaln = scipy.special.gammaln
    of_rows = gammaln(prior.sum(1)) - gammaln((prior + counts).sum(1))
    return float(np.sum(of_rows + np.sum(gammaln(prior + counts) - gammaln(prior), axis=1)))
