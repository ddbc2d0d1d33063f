"""Beliefs about the true label of a row: what its neighbours say, times what its own label says."""

import numpy as np
import scipy.special
from jaxtyping import Float, Int

from ntk_air.dynamics.noise_aware.learner import Probabilities
from ntk_air.dynamics.noise_aware.transition import (
    TransitionEstimate,
    estimate_transition,
    expected_counts,
)

LEAST_PROBABILITY = 1e-3
_TINY = 1e-12
_EM_STEPS = 40
_LEAST_VARIANCE = 1e-4


def as_probabilities(outputs: Probabilities) -> Probabilities:
    """Left-out outputs clipped below and normalised, row by row; no opinion becomes 1/C."""
    return normalised(np.maximum(outputs, LEAST_PROBABILITY))


def normalised(weights: Probabilities) -> Probabilities:
    """Weights that sum to 1, row by row."""
    return weights / weights.sum(axis=1, keepdims=True)


def softmax(logits: Probabilities) -> Probabilities:
    """Probabilities of logits, row by row."""
    return scipy.special.softmax(logits, axis=1)


def own_label_likelihood(
    transition: Float[np.ndarray, "C C"], given: Int[np.ndarray, " n"]
) -> Probabilities:
    """T[a, z_i] for each row i and true class a, (n, C)."""
    return transition[:, given].T


def noise_aware_labels(
    probabilities: Probabilities,
    given: Int[np.ndarray, " n"],
    transition: Float[np.ndarray, "C C"],
    *,
    temperature: float,
) -> Probabilities:
    """q_i(a) ∝ p_i(a)^{1/τ}·T[a, z_i] (theory.md 10d).

    T uniform is sharpening alone, T = I the given label, symmetric T of two classes
    (1/τ)·logit p ± ln((1 − ρ)/ρ).

    Args:
        probabilities: p, what other rows say of row i, (n, C), above 0.
        given: z, the given class of each row, (n,).
        transition: T[a, b] = P(ỹ = b | y = a), (C, C).
        temperature: τ, above 0.
    """
    own = np.log(own_label_likelihood(transition, given) + np.finfo(float).tiny)
    return softmax(np.log(probabilities) / temperature + own)


def beliefs_by_distance(
    left_out: Probabilities,
    given: Int[np.ndarray, " n"],
    transition: Float[np.ndarray, "C C"],
) -> Probabilities:
    """First beliefs under a matrix: L_i ~ N(T[a, ·], σ²) and z_i ~ T[a, ·] (theory.md 10a, 10c)."""
    distances = _squared_distances(left_out, transition)
    variance = np.mean((left_out - transition[left_out.argmax(axis=1)]) ** 2)
    own = np.log(own_label_likelihood(transition, given) + _TINY)
    return softmax(own - distances / (2 * max(variance, _LEAST_VARIANCE)))


def beliefs_by_em(
    left_out: Probabilities, given: Int[np.ndarray, " n"]
) -> tuple[Probabilities, TransitionEstimate]:
    """Beliefs and a free matrix from left-out outputs, by EM over the hidden classes (10c).

    The hidden classes start at the largest output; π, σ² and T are renewed from the beliefs.
    """
    n_classes = left_out.shape[1]
    beliefs = np.eye(n_classes)[left_out.argmax(axis=1)]
    for _ in range(_EM_STEPS):
        estimate = estimate_transition(expected_counts(given, beliefs))
        distances = _squared_distances(left_out, estimate.matrix)
        variance = max(np.sum(beliefs * distances) / left_out.size, _LEAST_VARIANCE)
        own = np.log(own_label_likelihood(estimate.matrix, given) + _TINY)
        shares = np.log(beliefs.mean(axis=0) + _TINY)
        beliefs = softmax(shares + own - distances / (2 * variance))
    return beliefs, estimate_transition(expected_counts(given, beliefs))


def _squared_distances(
    left_out: Probabilities, transition: Float[np.ndarray, "C C"]
) -> Float[np.ndarray, "n C"]:
    """‖L_i − T[a, ·]‖², (n, C)."""
    inner = left_out @ transition.T
    return np.sum(left_out**2, axis=1)[:, None] - 2 * inner + np.sum(transition**2, axis=1)
