"""Transition matrices from counts: the evidence by integration, and what it chooses."""

import numpy as np
import scipy.integrate
import scipy.stats

from ntk_air.dynamics.noise_aware.transition import (
    STRENGTHS,
    estimate_transition,
    expected_counts,
    symmetric_transition,
)

PAIR = np.array([[0.6, 0.4, 0.0], [0.0, 0.6, 0.4], [0.4, 0.0, 0.6]])


def test_counts_have_true_classes_as_rows_and_given_ones_as_columns():
    beliefs = np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]])
    counts = expected_counts(np.array([0, 1, 1]), beliefs)
    assert counts.tolist() == [[0.75, 0.5], [0.25, 1.5]]


def test_the_evidence_is_the_integral_of_likelihood_over_the_prior():
    counts = np.array([[6.0, 3.0], [2.0, 7.0]])
    found = estimate_transition(counts, (5.0,))
    rates = np.clip(5 / 18 + np.array([-0.02, 0, 0.02]), 0, 1)
    log_evidences = []
    for rate in rates:
        prior, total = 5.0 * symmetric_transition(rate, 2), 0.0
        for row, weights in zip(counts, prior, strict=True):
            part = scipy.integrate.quad(
                lambda p, a=weights, k=row: (
                    scipy.stats.beta.pdf(p, *a) * p ** k[0] * (1 - p) ** k[1]
                ),
                *(0, 1),
            )[0]
            total += np.log(part)
        log_evidences.append(total)
    np.testing.assert_allclose(found.log_evidence, max(log_evidences), rtol=1e-7)


def test_counts_of_pair_flips_end_at_a_free_matrix():
    found = estimate_transition(200 * PAIR)
    assert found.strength == min(STRENGTHS)
    np.testing.assert_allclose(found.matrix, PAIR, atol=0.01)


def test_counts_of_symmetric_noise_end_at_one_number():
    truth = symmetric_transition(0.3, 4)
    found = estimate_transition(100 * truth)
    assert found.strength >= 1e4
    off = found.matrix[~np.eye(4, dtype=bool)]
    assert np.ptp(off) < 1e-3


def test_few_rows_are_not_given_a_matrix_of_their_own():
    rng = np.random.default_rng(1)
    counts = np.array([rng.multinomial(6, row) for row in symmetric_transition(0.3, 4)])
    assert estimate_transition(counts.astype(float)).strength >= 100


def test_rows_are_probabilities_and_none_is_zero():
    found = estimate_transition(50 * PAIR)
    np.testing.assert_allclose(found.matrix.sum(axis=1), 1)
    assert found.matrix.min() > 0
