"""Qualities of a kernel against the calls that define them, and their means over seeds."""

import numpy as np
import pytest

from ntk_air.air import air_summary, energy_in_top
from ntk_air.data import SymmetricNoise, load_dataset
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.filters.spectral import GradientDescent
from ntk_air.dynamics.label_noise.schedule_comparison import TIMES
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.lab.kernel_quality import kernel_quality
from ntk_air.lab.report.quality_results import (
    QUALITIES,
    quality_arrays,
    quality_numbers,
    rank_correlations,
)
from ntk_air.problem import dataset_labels, make_problem
from tests.dynamics.runs import follow


@pytest.fixture(scope="module")
def problem():
    data = load_dataset("clusters", n_train=40, n_test=16, spread=0.3)
    noisy = data.with_label_noise(SymmetricNoise(0.2), seed=0)
    return make_problem(noisy, DenseNTK(depth=2))


def test_qualities_are_what_they_say(problem):
    found = kernel_quality(problem)
    spectrum, data = problem.spectrum, problem.dataset
    values = np.asarray(spectrum.eigenvalues)
    centred = problem.noisy - data.expected_noisy_targets()
    air = air_summary(problem)
    assert found.air_auc == air.auc
    assert found.eigengap == pytest.approx(values[1] / values[2])
    assert found.energy_clean == pytest.approx(energy_in_top(spectrum, problem.clean)[1])
    assert found.energy_noise == pytest.approx(energy_in_top(spectrum, centred)[1])
    square = np.asarray(problem.theta) * (problem.clean @ problem.clean.T)
    norms = np.linalg.norm(problem.theta) * np.linalg.norm(problem.clean @ problem.clean.T)
    assert found.alignment == pytest.approx(square.sum() / norms)
    descent = follow(
        spectrum,
        problem.noisy,
        GradientDescent(problem.learning_rate),
        TIMES,
        method=ClosedForm(),
        clean=problem.clean,
        held_out=problem.held_out,
    )
    accuracy = np.asarray(descent.held_out.accuracy)
    assert (found.oracle_accuracy, found.end_accuracy) == (accuracy.max(), accuracy[-1])
    distance = np.asarray(descent.train.rms_distance)
    assert (found.closest_distance, found.end_distance) == (distance.min(), distance[-1])
    assert found.noise_rate == data.noise_fraction > 0
    # On clusters self-distillation goes to the clean labels and descent does not.
    assert found.default_distance < found.closest_distance < found.end_distance


def test_scenes_without_noise_or_held_out_inputs_are_refused(problem):
    clean = problem.replace(
        dataset=(data := problem.dataset.without_label_noise()), labels=dataset_labels(data)
    )
    with pytest.raises(ValueError, match="must have label noise; got clean labels"):
        kernel_quality(clean)
    with pytest.raises(ValueError, match=r"must have held-out inputs .*; got none"):
        kernel_quality(problem.replace(held_out=None))


def test_numbers_are_means_and_spreads_over_seeds(problem):
    quality = kernel_quality(problem)
    assert set(quality_arrays(quality)) == set(QUALITIES)
    arrays = {name: np.zeros((2, 3)) for name in QUALITIES}
    arrays["default_accuracy"] = np.array([[0.9, 0.5, 0.7], [0.7, 0.7, 0.9]])
    arrays["oracle_accuracy"] = np.array([[0.8, 0.6, 0.7], [0.5, 0.5, 0.5]])
    arrays["air_auc"] = np.array([[0.6, 0.5, 0.9], [0.8, 0.7, 0.9]])
    arrays["eigengap"] = np.array([[1.0, 3.0, np.inf], [2.0, 5.0, 4.0]])
    numbers = quality_numbers(arrays)
    np.testing.assert_allclose(numbers["gain_over_oracle"], [0.15, 0.05, 0.2])
    np.testing.assert_allclose(numbers["gain_over_oracle_std"], np.sqrt([0.005, 0.045, 0.08]))
    assert numbers["gain_over_oracle_seeds_ahead"] == [2, 1, 1]
    assert numbers["eigengap"] == [1.5, 4.0, np.inf]
    assert numbers["eigengap_std"][2] == 0.0
    ranks = rank_correlations(numbers)
    assert ranks["air_auc"]["gain_over_oracle"] == pytest.approx(1.0)
    assert ranks["eigengap"]["gain_over_oracle"] == pytest.approx(0.5)
    assert ranks["air_auc"]["gain_in_distance"] is None
