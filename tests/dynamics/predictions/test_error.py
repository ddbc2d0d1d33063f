"""The predicted error of early stopping against drawn noise."""

import numpy as np
import pytest

from ntk_air.data import load_dataset
from ntk_air.data.noise import SymmetricNoise
from ntk_air.dynamics.predictions.error import predicted_error
from ntk_air.dynamics.run.metrics import zero_one_error
from ntk_air.kernels.infinite.dense import DenseNTK
from tests.dynamics.reference import spectrum_of

STEPS = np.array([3.0, 30.0, 300.0])
DRAWS = 60


def drawn_errors(dataset, spectrum, noise):
    """The share of wrong rows at each of ``STEPS``, for each draw: plain formulas."""
    basis, rates = np.asarray(spectrum.eigenvectors), np.asarray(spectrum.eigenvalues)
    shares = rates / rates[0]
    errors = []
    for seed in range(DRAWS):
        noisy = dataset.with_label_noise(noise, seed=seed).noisy_targets()
        for step in STEPS:
            outputs = basis @ ((1 - (1 - shares) ** step)[:, None] * (basis.T @ noisy))
            errors.append(float(zero_one_error(outputs, dataset.clean_targets())))
    return np.reshape(errors, (DRAWS, len(STEPS)))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("n_classes", "rate", "tolerance"), [(2, 0.3, 0.01), (4, 0.55, 0.03)])
def test_it_is_the_mean_error_over_draws(n_classes, rate, tolerance, exact):
    dataset = load_dataset("clusters", n_train=96, n_test=0, spread=0.7, n_classes=n_classes)
    spectrum = spectrum_of(np.asarray(DenseNTK(depth=2)(dataset.inputs)))
    noise = SymmetricNoise(rate=rate, exact=exact)
    errors = drawn_errors(dataset, spectrum, noise)
    noisy = dataset.with_label_noise(noise, seed=0)
    predicted = predicted_error(
        spectrum,
        dataset.clean_labels,
        noisy.noise_probabilities,
        steps=STEPS,
        groups=dataset.groups if exact else None,
    )
    standard_error = errors.std(axis=0, ddof=1) / np.sqrt(DRAWS)
    # Besides the draws' own error: 12 points a cluster are few for a normal law, and with more
    # than two classes the wins of wrong ones are not independent.
    allowed = 3 * standard_error + tolerance
    assert (np.abs(errors.mean(axis=0) - np.asarray(predicted)) < allowed).all()
    assert predicted.max() > 0.02


def test_a_wrong_majority_is_predicted_to_win():
    dataset = load_dataset("clusters", n_train=96, n_test=0, spread=0.05)
    spectrum = spectrum_of(np.asarray(DenseNTK(depth=2)(dataset.inputs)))
    by_rate = {}
    for rate in (0.42, 0.58):
        noisy = dataset.with_label_noise(SymmetricNoise(rate=rate, exact=True), seed=0)
        by_rate[rate] = predicted_error(
            spectrum,
            dataset.clean_labels,
            noisy.noise_probabilities,
            steps=2.0 ** np.arange(12),
            groups=dataset.groups,
        )
    assert by_rate[0.42].min() < 0.01
    assert by_rate[0.58].max() > 0.99


def test_bad_arguments_are_refused():
    dataset = load_dataset("clusters", n_train=16, n_test=0)
    kernel = np.asarray(DenseNTK(depth=2)(dataset.inputs))
    arguments = (dataset.clean_labels, dataset.noise_probabilities)
    with pytest.raises(ValueError, match="spectrum must hold all modes; got 3 of 16"):
        predicted_error(spectrum_of(kernel, top_k=3), *arguments, steps=STEPS)
    with pytest.raises(ValueError, match="clean_classes must have one row for each of 16"):
        predicted_error(spectrum_of(kernel), arguments[0][:4], arguments[1][:4], steps=STEPS)
