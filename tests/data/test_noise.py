"""Noise against its own transition matrix: by counting, exactly, and in the mean over seeds."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ntk_air.data import (
    HumanNoise,
    InstanceDependentNoise,
    PairFlipNoise,
    SymmetricNoise,
    TransitionNoise,
)
from ntk_air.data.draws import generator
from ntk_air.data.labels import encode_labels
from tests.helpers.type_checks import without_type_checks

MATRIX = np.array([[0.7, 0.3, 0.0], [0.1, 0.85, 0.05], [0.25, 0.25, 0.5]])
KINDS = {
    "symmetric": lambda exact: SymmetricNoise(0.4, exact=exact),
    "pair_flip": lambda exact: PairFlipNoise(0.3, exact=exact),
    "transition": lambda exact: TransitionNoise(MATRIX, exact=exact),
}
EXPECTED_MATRIX = {
    "symmetric": [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]],
    "pair_flip": [[0.7, 0.3, 0.0], [0.0, 0.7, 0.3], [0.3, 0.0, 0.7]],
    "transition": MATRIX,
}


GOLDEN_NOISE = [
    (SymmetricNoise(0.4), "3358ba5de0e58ff5"),
    (SymmetricNoise(0.4, exact=True), "3f1d41f3af9afda3"),
    (PairFlipNoise(0.3), "b6d4ae949796ab77"),
    (PairFlipNoise(0.3, exact=True), "403e06598152a738"),
    (TransitionNoise(MATRIX), "314e475a9777d457"),
    (TransitionNoise(MATRIX, exact=True), "79f109689032fe40"),
    (InstanceDependentNoise(0.3), "bbc23694d20a08d3"),
]


def _labels(n, n_classes=3):
    return (np.arange(n) * 7 // 3) % n_classes


def _inputs(n):
    return generator(5, "test inputs").random((n, 4))


def _digest(labels):
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exact", [False, True])
def test_transition_matrices_are_the_defined_ones(kind, exact):
    noise = KINDS[kind](exact)
    assert noise.kind == kind
    np.testing.assert_allclose(noise.transition_matrix(3), EXPECTED_MATRIX[kind], atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_iid_counts_agree_with_the_transition_matrix(kind):
    noise, labels = KINDS[kind](False), _labels(30_000)
    noisy = noise.apply(labels, _inputs(len(labels)), 3, 0)
    transition = noise.transition_matrix(3)
    for label in range(3):
        counts = np.bincount(noisy[labels == label], minlength=3)
        possible = transition[label] > 0
        assert counts[~possible].sum() == 0
        expected = counts.sum() * transition[label, possible]
        assert stats.chisquare(counts[possible], expected).pvalue > 1e-3


@given(
    rate=st.floats(0, 1),
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=7),
    seed=st.integers(0, 2**16),
)
def test_exact_symmetric_noise_flips_exactly_and_evenly(rate, sizes, seed):
    n_classes = len(sizes)
    labels = np.repeat(np.arange(n_classes), sizes)
    noisy = SymmetricNoise(rate, exact=True).apply(labels, _inputs(len(labels)), n_classes, seed)
    for label, size in enumerate(sizes):
        counts = np.bincount(noisy[labels == label], minlength=n_classes)
        wrong = np.delete(counts, label)
        # 1 − (1 − rate) may differ from rate in the last bit, which decides a tie.
        assert abs(wrong.sum() - rate * size) <= 0.5 + 1e-6
        assert wrong.max() - wrong.min() <= 1


@pytest.mark.parametrize(("rate", "size", "flips"), [(0.1, 15, 2), (0.3, 5, 2), (0.5, 5, 2)])
def test_exact_ties_go_to_even_whatever_the_rounding_of_the_rate(rate, size, flips):
    labels = np.repeat([0, 1], size)
    noisy = SymmetricNoise(rate, exact=True).apply(labels, _inputs(2 * size), 2, 0)
    assert [(noisy != labels)[labels == label].sum() for label in (0, 1)] == [flips, flips]


def test_exact_noise_flips_the_same_share_in_each_group():
    groups = np.repeat(np.arange(8), 50)
    labels = groups % 2
    noisy = SymmetricNoise(0.2, exact=True).apply(labels, _inputs(400), 2, 3, groups=groups)
    np.testing.assert_array_equal(np.bincount(groups[noisy != labels], minlength=8), [10] * 8)
    by_class = SymmetricNoise(0.2, exact=True).apply(labels, _inputs(400), 2, 3)
    assert (by_class != labels).sum() == 80
    assert set(np.bincount(groups[by_class != labels], minlength=8)) != {10}


@pytest.mark.parametrize(
    "noise",
    [
        *(KINDS[kind](exact) for kind in KINDS for exact in (False, True)),
        InstanceDependentNoise(0.3),
    ],
    ids=lambda noise: f"{noise.kind}-{getattr(noise, 'exact', False)}",
)
@pytest.mark.parametrize("grouped", [False, True])
def test_expected_targets_are_the_mean_over_seeds(noise, grouped):
    labels, n_seeds = _labels(23), 400
    inputs = _inputs(len(labels))
    groups = np.arange(len(labels)) // 12 if grouped else None
    expected = noise.expected_targets(labels, inputs, 3, groups)
    with without_type_checks():  # which cost more than 400 draws do
        drawn = np.stack(
            [
                encode_labels(noise.apply(labels, inputs, 3, seed, groups=groups), 3)
                for seed in range(n_seeds)
            ]
        )
    # A coordinate is a Bernoulli variable of probability p: its error is known without drawing.
    p = np.clip(expected + 1 / 3, 0, 1)
    z = (drawn.mean(axis=0) - expected) / np.sqrt(p * (1 - p) / n_seeds + 1e-12)
    assert np.abs(z).max() < 4.5
    assert 0.8 < np.sqrt(np.mean(z[(p > 0.01) & (p < 0.99)] ** 2)) < 1.2


def test_probabilities_are_rows_of_the_matrix_for_iid_and_of_the_rounded_one_for_exact():
    labels = np.array([0] * 4 + [1] * 3 + [2] * 3)
    inputs = _inputs(10)
    iid = TransitionNoise(MATRIX).probabilities(labels, inputs, 3)
    np.testing.assert_array_equal(iid, MATRIX[labels])
    exact = TransitionNoise(MATRIX, exact=True).probabilities(labels, inputs, 3)
    # Class 0: round(0.3 · 4) = 1 of 4. Class 1: round(0.15 · 3) = 0. Class 2: round(1.5) = 2 of 3.
    np.testing.assert_allclose(exact[0], [3 / 4, 1 / 4, 0], atol=1e-15)
    np.testing.assert_allclose(exact[4], [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose(exact[7], [1 / 3, 1 / 3, 1 / 3], atol=1e-15)


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.6, 1.0])
def test_symmetric_noise_scales_the_signal_by_its_known_factor(rate, n_classes):
    noise, labels = SymmetricNoise(rate), _labels(40, n_classes)
    scale = 1 - rate * n_classes / (n_classes - 1)
    assert noise.signal_scale(n_classes) == pytest.approx(scale, abs=1e-14)
    np.testing.assert_allclose(
        noise.expected_targets(labels, _inputs(40), n_classes),
        scale * encode_labels(labels, n_classes),
        atol=1e-14,
    )


def test_a_signal_scale_exists_only_where_the_noise_is_symmetric():
    assert PairFlipNoise(0.3).signal_scale(2) == pytest.approx(0.4)
    assert PairFlipNoise(0.3).signal_scale(3) is None
    assert TransitionNoise(MATRIX).signal_scale(3) is None
    assert TransitionNoise(np.full((4, 4), 0.25)).signal_scale(4) == pytest.approx(0)
    assert InstanceDependentNoise(0.3).signal_scale(2) is None


def test_human_noise_measures_its_matrix_by_counting():
    clean = np.array([0, 0, 0, 0, 1, 1])
    noise = HumanNoise.measure(clean, np.array([0, 0, 1, 2, 1, 0]), 4, annotation="mine")
    np.testing.assert_allclose(
        noise.transition_matrix(4),
        [[0.5, 0.25, 0.25, 0], [0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    )
    np.testing.assert_array_equal(noise.class_counts, [4, 2, 0, 0])
    assert (noise.kind, noise.annotation) == ("human", "mine")


def test_measured_noise_centres_the_labels_it_was_measured_on():
    labels = _labels(500)
    noisy = TransitionNoise(MATRIX).apply(labels, _inputs(500), 3, 7)
    centred = encode_labels(noisy, 3) - HumanNoise.measure(labels, noisy, 3).expected_targets(
        labels, _inputs(500), 3
    )
    for label in range(3):
        np.testing.assert_allclose(centred[labels == label].sum(axis=0), 0, atol=1e-10)


@pytest.mark.parametrize(
    ("noise", "digest"),
    GOLDEN_NOISE,
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_a_seed_gives_the_same_labels_on_every_platform(noise, digest):
    labels = _labels(1000)
    noisy = noise.apply(labels, _inputs(1000), 3, 12)
    assert _digest(noisy) == digest
    np.testing.assert_array_equal(noisy, noise.apply(labels, _inputs(1000), 3, 12))
    assert _digest(noise.apply(labels, _inputs(1000), 3, 13)) != digest


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SymmetricNoise(1.1), r"rate must lie in \[0, 1\]; got 1.1"),
        (lambda: SymmetricNoise(float("nan")), r"rate must lie in \[0, 1\]; got nan"),
        (lambda: PairFlipNoise(-0.1), r"rate must lie in \[0, 1\]; got -0.1"),
        (lambda: InstanceDependentNoise(2), r"rate must lie in \[0, 1\]; got 2.0"),
        (lambda: InstanceDependentNoise(0.2, spread=0), "spread must be a finite number above 0"),
        (lambda: InstanceDependentNoise(0.2, rule_seed=-1), "rule_seed must be .* at least 0"),
        (lambda: TransitionNoise([[1.0, 0.0]]), r"matrix must have shape \(C, C\) .* \(1, 2\)"),
        (lambda: TransitionNoise([[1.5, -0.5], [0, 1]]), "matrix must hold probabilities; .*-0.5"),
        (lambda: TransitionNoise([[0.5, 0.5], [0.5, 0.4]]), "sum to 1; row 1 sums to 0.9"),
        (lambda: TransitionNoise([[np.nan, 1], [0, 1]]), "matrix must be finite"),
        (lambda: SymmetricNoise("0.3"), "rate must be a number; got '0.3'"),
        (lambda: PairFlipNoise(True), "rate must be a number; got True"),
        (lambda: InstanceDependentNoise(0.2, spread="0.1"), "spread must be a number; got '0.1'"),
        (lambda: InstanceDependentNoise(0.2, rule_seed=0.5), "rule_seed must be a whole number"),
        (lambda: SymmetricNoise(0.3, exact="no"), "exact must be True or False; got 'no'"),
        (lambda: TransitionNoise(MATRIX, exact=0), "exact must be True or False; got 0"),
        (lambda: TransitionNoise(np.eye(2) * 1j), "matrix must hold real numbers; got .*complex"),
        (lambda: TransitionNoise([["1", "0"], ["0", "1"]]), "matrix must hold .* text is not read"),
        (lambda: HumanNoise(np.ones((2, 2)), np.array([1, 1]), "a"), "row 0 sums to 2.0"),
        (lambda: HumanNoise(np.eye(2), np.array([1, -1]), "a"), r"class_counts must be 2 whole"),
        (lambda: HumanNoise(np.eye(2), np.array([1, 1, 1]), "a"), r"class_counts must be 2 whole"),
        (
            lambda: SymmetricNoise(0.3).apply(np.ma.array([0, 1], mask=[True, False]), [], 2, 0),
            "labels must have all its values",
        ),
        (
            lambda: TransitionNoise(MATRIX).apply(np.array([0, 1]), _inputs(2), 2, 0),
            "as many rows as there are classes, 2; got 3",
        ),
        (
            lambda: SymmetricNoise(0.1).apply(np.array([0, 5]), _inputs(2), 3, 0),
            "labels must lie in 0 … 2; got 5",
        ),
        (
            lambda: HumanNoise.measure(np.array([0, 1]), np.array([0]), 2),
            "must have the same length; got 2 and 1",
        ),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        make()
