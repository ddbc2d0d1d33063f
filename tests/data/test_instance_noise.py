"""Instance-dependent noise: its rates, its rows and its average matrix."""

import numpy as np
import pytest
from scipy import stats

from ntk_air.data import InstanceDependentNoise
from ntk_air.data.draws import generator


def _problem(n=600, n_classes=4):
    inputs = generator(9, "test inputs").random((n, 3, 2)) - 0.5
    return np.arange(n) % n_classes, inputs, n_classes


def test_rates_follow_the_cut_normal_distribution():
    noise = InstanceDependentNoise(0.15, spread=0.1)
    cut = stats.truncnorm(-1.5, 8.5, loc=0.15, scale=0.1)
    rates = noise.flip_rates(4000)
    assert stats.kstest(rates, cut.cdf).pvalue > 1e-3
    assert rates.min() >= 0


def test_rows_are_the_flip_rate_times_a_softmax_over_wrong_classes():
    noise, (labels, inputs, n_classes) = InstanceDependentNoise(0.3), _problem()
    rows = noise.probabilities(labels, inputs, n_classes)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(
        rows[np.arange(len(labels)), labels], 1 - noise.flip_rates(len(labels)), atol=1e-12
    )


def test_log_ratios_of_wrong_classes_are_gaussian_projections_of_the_input():
    noise, (labels, inputs, n_classes) = InstanceDependentNoise(0.3), _problem()
    rows = noise.probabilities(labels, inputs, n_classes)
    slopes = []
    for label in range(n_classes):
        one, other, third = np.delete(np.arange(n_classes), label)
        flat = inputs[labels == label].reshape(-1, 6)
        ratios = np.log(rows[labels == label])
        # softmax(x·w)_b / softmax(x·w)_c = exp(x·(w_b − w_c)): linear in x, without a constant.
        fit, residual, *_ = np.linalg.lstsq(flat, ratios[:, [one]] - ratios[:, [other, third]])
        assert (residual < 1e-18).all()
        slopes.append(fit)
    slopes = np.stack(slopes)
    # w_b − w_c has variance 2.
    assert stats.kstest(slopes[..., 0].reshape(-1) / np.sqrt(2), "norm").pvalue > 1e-3
    # w_2 − w_3 is another for examples of class 0 than for those of class 1.
    same_pair = slopes[:2, :, 1] - slopes[:2, :, 0]
    assert np.abs(same_pair[0] - same_pair[1]).max() > 0.1


def test_the_average_matrix_is_the_mean_of_the_rows_and_agrees_with_counts():
    noise, (labels, inputs, n_classes) = InstanceDependentNoise(0.3), _problem(20_000)
    transition = noise.transition_matrix(labels, inputs, n_classes)
    np.testing.assert_allclose(transition.sum(axis=1), 1, atol=1e-12)
    noisy = noise.apply(labels, inputs, n_classes, 1)
    for label in range(n_classes):
        counts = np.bincount(noisy[labels == label], minlength=n_classes)
        # Counts of different probabilities vary less than a multinomial: the test is conservative.
        assert stats.chisquare(counts, counts.sum() * transition[label]).pvalue > 1e-3


def test_the_rule_seed_makes_the_rule_and_the_seed_only_draws():
    labels, inputs, n_classes = _problem()
    one, other = InstanceDependentNoise(0.3), InstanceDependentNoise(0.3, rule_seed=1)
    rows = one.probabilities(labels, inputs, n_classes)
    assert np.abs(rows - other.probabilities(labels, inputs, n_classes)).max() > 0.1
    drawn = [one.apply(labels, inputs, n_classes, seed) for seed in (0, 1)]
    assert (drawn[0] != drawn[1]).any()


def test_a_class_without_examples_has_no_average():
    labels, inputs, _ = _problem(n_classes=3)
    with pytest.raises(ValueError, match="got none of class 3"):
        InstanceDependentNoise(0.3).transition_matrix(labels, inputs, 4)
