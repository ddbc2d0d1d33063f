"""Hidden labels stay hidden, are judged by their own likelihood, and choose the honest start."""

import dataclasses

import numpy as np
import pytest

from ntk_air.dynamics.noise_aware.kernel_learner import KernelLearner
from ntk_air.dynamics.noise_aware.options import CleaningOptions
from ntk_air.dynamics.noise_aware.selection import (
    early_stopping,
    hidden_outputs,
    judge,
    stratified_folds,
)
from ntk_air.dynamics.noise_aware.starts import Start

OPTIONS = CleaningOptions(starts=(Start(None), Start(0.4, symmetric=True)), n_rounds=4)


def clusters(n=90, n_classes=3, seed=0, spread=1.0):
    """Kernel learner on blobs, and their classes."""
    rng = np.random.default_rng(seed)
    true = np.arange(n) % n_classes
    points = 4 * np.eye(n_classes)[true] + spread * rng.normal(size=(n, n_classes))
    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    values, vectors = np.linalg.eigh(np.exp(-square / 8))
    return KernelLearner(values[::-1], vectors[:, ::-1]), true


def pair_flipped(true, rate, seed=0):
    flips = np.random.default_rng(seed).random(len(true)) < rate
    return np.where(flips, (true + 1) % (true.max() + 1), true)


def test_folds_have_their_share_of_each_class():
    given = np.repeat([0, 1, 2], [8, 21, 40])
    folds = stratified_folds(given, 4, seed=0)
    for label in range(3):
        counts = np.bincount(folds[given == label], minlength=4)
        assert np.ptp(counts) <= 1
    assert (folds != stratified_folds(given, 4, seed=1)).any()


def test_a_hidden_label_has_no_part_in_its_own_prediction():
    learner, true = clusters()
    given = pair_flipped(true, 0.3)
    folds = stratified_folds(given, 3, seed=0)
    changed = np.where(folds == 0, (given + 1) % 3, given)
    one = hidden_outputs(learner, given, folds, options=OPTIONS)
    other = hidden_outputs(learner, changed, folds, options=OPTIONS)
    rows = folds == 0
    np.testing.assert_array_equal(one.plain[rows], other.plain[rows])
    np.testing.assert_array_equal(one.by_start[:, rows], other.by_start[:, rows])
    assert (one.by_start[:, ~rows] != other.by_start[:, ~rows]).any()


def test_a_log_likelihood_is_that_of_the_given_label_through_the_matrix():
    learner, true = clusters()
    given = pair_flipped(true, 0.3)
    outputs = hidden_outputs(learner, given, stratified_folds(given, 3, seed=0), options=OPTIONS)
    for candidate in judge(outputs, given, OPTIONS):
        expected = [
            np.log(sum(p * t for p, t in zip(*rows, strict=True)))
            for rows in zip(candidate.probabilities, candidate.own_labels, strict=True)
        ]
        np.testing.assert_allclose(candidate.log_likelihoods, expected, rtol=1e-12)


def test_a_scale_is_the_likeliest():
    learner, true = clusters(spread=1.8)
    given = pair_flipped(true, 0.3)
    outputs = hidden_outputs(learner, given, stratified_folds(given, 3, seed=0), options=OPTIONS)
    for candidate in judge(outputs, given, OPTIONS)[:2]:
        logits = np.log(candidate.probabilities)
        for factor in (0.8, 1.25):
            worse = np.exp(factor * logits)
            worse /= worse.sum(axis=1, keepdims=True)
            moved = dataclasses.replace(candidate, probabilities=worse)
            assert moved.log_likelihood < candidate.log_likelihood


def test_pair_flips_are_explained_by_a_free_matrix():
    learner, true = clusters(n=240)
    given = pair_flipped(true, 0.35)
    outputs = hidden_outputs(learner, given, stratified_folds(given, 4, seed=0), options=OPTIONS)
    best = judge(outputs, given, OPTIONS)[0]
    assert best.start == Start(None)
    assert np.mean(best.beliefs.argmax(axis=1) == true) > 0.97


@pytest.mark.parametrize("n_classes", [2, 5])
def test_early_stopping_is_calibrated_with_its_flips(n_classes):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(n_classes, 0.3), size=6000)
    true = np.array([rng.choice(n_classes, p=p) for p in probabilities])
    flipped = rng.random(6000) < 0.2
    given = np.where(flipped, (true + rng.integers(1, n_classes, 6000)) % n_classes, true)
    even = np.zeros((6000, n_classes))
    found = early_stopping(np.log(probabilities + 1e-9) / 5, even, given)
    assert abs(found.scale - 5) < 0.5
    assert found.rate is not None
    assert abs(found.rate - 0.2) < 0.02
