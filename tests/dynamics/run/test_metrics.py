"""Metrics against small cases worked by hand and a plain NumPy reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics.run import metrics
from tests.helpers.lowering import assert_lowers

ALL_CLASSES = np.eye(3) - 1 / 3


def one_hot(classes):
    return ALL_CLASSES[np.asarray(classes)]


def test_binary_margins_and_errors_count_zero_as_wrong():
    predictions = np.array([[0.5], [-0.25], [0.0], [-1.0]])
    labels = np.array([[1.0], [1.0], [1.0], [-1.0]])
    np.testing.assert_allclose(metrics.label_margins(predictions, labels), [0.5, -0.25, 0.0, 1.0])
    assert metrics.zero_one_error(predictions, labels) == 0.5


def test_class_margins_are_true_minus_best_other_and_ties_are_wrong():
    predictions = np.array([[0.9, 0.2, -0.1], [0.1, 0.3, 0.7], [0.4, 0.4, 0.0]])
    labels = one_hot([0, 1, 0])
    np.testing.assert_allclose(metrics.label_margins(predictions, labels), [0.7, -0.4, 0.0])
    np.testing.assert_allclose(metrics.zero_one_error(predictions, labels), 2 / 3)


def test_memorised_share_counts_flipped_rows_only():
    clean, noisy = one_hot([0, 1, 2, 0]), one_hot([1, 2, 2, 0])
    predictions = one_hot([1, 1, 2, 1])
    np.testing.assert_array_equal(metrics.flipped_rows(clean, noisy), [True, True, False, False])
    assert metrics.memorised_share(predictions, clean, noisy) == 0.5
    assert metrics.memorised_share(predictions, clean, clean) == 0.0


def test_noise_share_is_linear_between_clean_and_noisy():
    clean, noisy = one_hot([0, 1, 2]), one_hot([1, 1, 0])
    for share in (0.0, 0.3, 1.0):
        mixed = (1 - share) * clean + share * noisy
        np.testing.assert_allclose(metrics.noise_share(mixed, clean, noisy), share, atol=1e-15)
    assert metrics.noise_share(noisy, clean, clean) == 0.0


@pytest.mark.parametrize("n_out", [1, 3])
def test_all_training_metrics_agree_with_numpy(n_out):
    rng = np.random.default_rng(n_out)
    factor = rng.normal(size=(20, 20))
    kernel, dual = factor @ factor.T, rng.normal(size=(20, n_out))
    predictions = kernel @ dual
    if n_out == 1:
        clean, noisy = np.sign(rng.normal(size=(2, 20, 1)))
        margins = (clean * predictions)[:, 0]
        memorised = np.sign(predictions) == noisy
        flipped = clean != noisy
    else:
        classes = rng.integers(0, 3, size=(2, 20))
        clean, noisy = one_hot(classes[0]), one_hot(classes[1])
        rows = zip(predictions, classes[0], strict=True)
        margins = np.array([row[true] - np.delete(row, true).max() for row, true in rows])
        memorised, flipped = predictions.argmax(1) == classes[1], classes[0] != classes[1]
    distance = metrics.parameter_distance(predictions, dual)
    got = metrics.train_metrics(predictions, clean, noisy, parameter_distance=distance)
    expected = {
        "rms_distance": np.linalg.norm(predictions - clean) / np.sqrt(20),
        "zero_one_error": np.mean(margins <= 0),
        "margin_min": margins.min(),
        "margin_mean": margins.mean(),
        "memorised_share": memorised[flipped].mean(),
        "noise_share": np.vdot(predictions - clean, noisy - clean) / np.sum((noisy - clean) ** 2),
        "training_loss": 0.5 * np.sum((predictions - noisy) ** 2),
        "residual_norm": np.linalg.norm(predictions - noisy),
        "parameter_distance": np.linalg.norm(factor.T @ dual),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(got, name), value, rtol=1e-12, err_msg=name)


def test_held_out_metrics():
    labels = one_hot([0, 1])
    got = metrics.held_out_metrics(one_hot([0, 2]), labels)
    assert got.accuracy == 0.5
    np.testing.assert_allclose(got.rms_distance, 1.0)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("n_out", [1, 3])
def test_metrics_keep_their_precision_and_lower_for_every_platform(dtype, n_out):
    labels = jnp.ones((4, n_out), dtype)

    def all_metrics(predictions, clean, noisy, dual):
        distance = metrics.parameter_distance(predictions, dual)
        train = metrics.train_metrics(predictions, clean, noisy, parameter_distance=distance)
        return train, metrics.held_out_metrics(predictions, clean)

    for leaf in jax.tree.leaves(all_metrics(labels, labels, labels, labels)):
        assert leaf.dtype == dtype
    assert_lowers(all_metrics, labels, labels, labels, labels)
