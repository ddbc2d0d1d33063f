"""The label function and its special cases, to rounding, and first beliefs (theory.md 10)."""

import numpy as np

from ntk_air.dynamics.noise_aware.posterior import (
    as_probabilities,
    beliefs_by_distance,
    beliefs_by_em,
    noise_aware_labels,
    softmax,
)
from ntk_air.dynamics.noise_aware.transition import symmetric_transition

RNG = np.random.default_rng(0)
P = RNG.dirichlet(np.ones(3), size=20)
GIVEN = RNG.integers(0, 3, 20)
PAIR = np.array([[0.55, 0.45, 0.0], [0.0, 0.55, 0.45], [0.45, 0.0, 0.55]])


def test_a_label_that_says_nothing_leaves_sharpening():
    q = noise_aware_labels(P, GIVEN, np.full((3, 3), 1 / 3), temperature=0.5)
    np.testing.assert_allclose(q, P**2 / np.sum(P**2, axis=1, keepdims=True), rtol=1e-12)


def test_a_label_that_is_never_wrong_is_kept():
    q = noise_aware_labels(P, GIVEN, np.eye(3), temperature=0.5)
    np.testing.assert_allclose(q, np.eye(3)[GIVEN], atol=1e-300)


def test_symmetric_flips_of_two_classes_add_to_log_odds():
    p, z, rate, temperature = np.array([[0.3, 0.7], [0.6, 0.4]]), np.array([1, 1]), 0.2, 0.4
    transition = symmetric_transition(rate, 2)
    q = noise_aware_labels(p, z, transition, temperature=temperature)
    expected = np.log(p[:, 1] / p[:, 0]) / temperature + np.log((1 - rate) / rate)
    np.testing.assert_allclose(np.log(q[:, 1] / q[:, 0]), expected, rtol=1e-12)


def test_it_is_bayes_rule_at_temperature_one():
    q = noise_aware_labels(P, GIVEN, PAIR, temperature=1.0)
    for row in range(20):
        joint = P[row] * PAIR[:, GIVEN[row]]
        np.testing.assert_allclose(q[row], joint / joint.sum(), rtol=1e-9, atol=1e-300)


def test_no_opinion_is_uniform_and_rows_sum_to_one():
    p = as_probabilities(np.array([[0.0, 0.0, 0.0], [1.2, -0.3, 0.1]]))
    np.testing.assert_allclose(p[0], 1 / 3)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (np.diff(p[1][[1, 2, 0]]) > 0).all()


def retrieved(transition, true, spread, seed=0):
    """Rows of T with Gaussian error: what early stopping retrieves (10a)."""
    return transition[true] + spread * np.random.default_rng(seed).normal(size=(len(true), 3))


def test_the_nearest_row_of_the_matrix_is_right_where_the_largest_output_is_not():
    rng = np.random.default_rng(1)
    true = np.repeat([0, 1, 2], 200)
    given = np.array([rng.choice(3, p=PAIR[a]) for a in true])
    outputs = retrieved(PAIR, true, 0.12)
    wrong_by_largest = np.mean(outputs.argmax(axis=1) != true)
    beliefs = beliefs_by_distance(outputs, given, PAIR)
    assert wrong_by_largest > 0.2
    assert np.mean(beliefs.argmax(axis=1) != true) < wrong_by_largest / 4


def test_em_finds_a_free_matrix():
    rng = np.random.default_rng(2)
    true = rng.integers(0, 3, 1500)
    given = np.array([rng.choice(3, p=PAIR[a]) for a in true])
    beliefs, estimate = beliefs_by_em(retrieved(PAIR, true, 0.06), given)
    np.testing.assert_allclose(estimate.matrix, PAIR, atol=0.05)
    assert np.mean(beliefs.argmax(axis=1) == true) > 0.97


def test_em_ends_where_beliefs_are_those_of_the_mixture_that_they_make():
    rng = np.random.default_rng(3)
    true = rng.integers(0, 3, 600)
    given = np.array([rng.choice(3, p=PAIR[a]) for a in true])
    outputs = retrieved(PAIR, true, 0.2)
    q, estimate = beliefs_by_em(outputs, given)
    distances = ((outputs[:, None] - estimate.matrix[None]) ** 2).sum(axis=2)
    variance = np.sum(q * distances) / outputs.size
    weights = q.mean(axis=0) * np.exp(-distances / (2 * variance)) * estimate.matrix[:, given].T
    np.testing.assert_allclose(q, weights / weights.sum(axis=1, keepdims=True), atol=0.01)


def test_em_takes_a_wrong_majority_for_the_truth():
    """Above one half, class a + 1 is what most rows of class a say: no matrix can tell (10c)."""
    transition = np.array([[0.4, 0.6, 0.0], [0.0, 0.4, 0.6], [0.6, 0.0, 0.4]])
    rng = np.random.default_rng(2)
    true = rng.integers(0, 3, 1500)
    given = np.array([rng.choice(3, p=transition[a]) for a in true])
    beliefs, _ = beliefs_by_em(retrieved(transition, true, 0.02), given)
    assert np.mean(beliefs.argmax(axis=1) == (true + 1) % 3) > 0.95


def test_logits_far_apart_are_probabilities():
    assert np.isfinite(softmax(np.array([[1e300, 0.0], [-1e300, -1e300]]))).all()
