"""The comparison of methods: nothing in it may look at clean labels but its scores."""

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest

from ntk_air.data.catalogue import load_dataset
from ntk_air.data.noise import SymmetricNoise
from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.rounds import Rounds
from ntk_air.lab.report.network_results import comparison_numbers, run_arrays
from ntk_air.networks.studies import noisy_comparison
from ntk_air.networks.studies.noisy_comparison import Guidance, TrainingPlan, compare_methods
from ntk_air.networks.training.minibatches import Minibatches

NOISY_ONLY = ("distance", "cross_entropy", "early_stopping")
PLAN = TrainingPlan(widths=(8,), n_epochs=10, batch_size=20, least_passes=2, methods=NOISY_ONLY)


def rounds():
    supervision = sv.Supervision(sv.Sharpened(0.3), sv.Constant(0.5), sv.Restart(20), warm_up=10)
    return Rounds(supervision, 1, sv.Sharpened(0.3))


@pytest.fixture(scope="module", autouse=True)
def ordinary_promotion():
    """Optax's Adam raises a weak float to an integer power, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def dataset():
    small = load_dataset("digits", n_train=60, n_test=20).flattened()
    return small.with_label_noise(SymmetricNoise(0.4), seed=0)


def compare(dataset, plan=PLAN, posterior=None):
    return compare_methods(dataset, Guidance(rounds(), 60.0, posterior), plan)


@pytest.fixture(scope="module")
def runs(dataset):
    return compare(dataset)


def test_no_choice_looks_at_clean_labels(dataset, runs):
    """With other clean labels, in training and test, every run has the same outputs and length."""
    shuffle = np.random.default_rng(1).permutation
    others = eqx.tree_at(
        lambda d: (d.known_clean_labels, d.test_labels),
        dataset,
        (shuffle(dataset.clean_labels), shuffle(dataset.test_labels)),
    )
    again = compare(others)
    for name, run in runs.items():
        np.testing.assert_array_equal(run.passes, again[name].passes, err_msg=name)
        outputs, same = (r.trajectory.final.predictions for r in (run, again[name]))
        np.testing.assert_array_equal(outputs, same, err_msg=name)
    wrong = [r["cross_entropy"].trajectory.train.zero_one_error for r in (runs, again)]
    assert (np.asarray(wrong[0]) != np.asarray(wrong[1])).any()


def test_shortened_runs_are_the_beginnings_of_others(runs):
    assert list(runs) == ["self_distillation", *NOISY_ONLY, "warm_up", "square_loss"]
    for short, whole in (("early_stopping", "cross_entropy"), ("warm_up", "self_distillation")):
        end = len(runs[short].passes)
        assert 1 <= end <= len(runs[whole].passes)
        for name, curve in runs[short].trajectory.curves().items():
            np.testing.assert_array_equal(curve, runs[whole].trajectory.curves()[name][:end])
    passes = runs["self_distillation"].passes[-1]
    np.testing.assert_allclose(runs["square_loss"].passes[-1], passes, atol=1.0)


@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_certain_posteriors_train_as_the_labels_they_name(name):
    """With ten classes and with two: cross-entropy's own run on these labels."""
    small = load_dataset(name, n_train=60, n_test=20).flattened()
    noisy = small.with_label_noise(SymmetricNoise(0.4), seed=0)
    plan = dataclasses.replace(PLAN, methods=("cross_entropy",))
    certain = np.eye(small.n_classes)[small.clean_labels]
    cleaned = compare(noisy, plan, certain)["cleaned_labels"]
    expected = compare(small.with_label_noise(SymmetricNoise(0.0), seed=0), plan)["cross_entropy"]
    np.testing.assert_allclose(
        cleaned.trajectory.final.predictions, expected.trajectory.final.predictions, atol=1e-4
    )
    same, other = (
        run.trajectory.train.memorised_share
        for run in (cleaned, compare(noisy, plan)["cross_entropy"])
    )
    assert np.any(np.asarray(same) != np.asarray(other))  # scored against the labels as given


def test_an_epoch_of_progressive_self_distillation_is_a_pass_of_its_batches(dataset):
    plan = dataclasses.replace(PLAN, batch_size=25)  # of 60 examples: ten are left out
    rule = noisy_comparison._Comparison(dataset, plan, 0)._rule("progressive")
    assert isinstance(rule, sv.Supervision)
    assert rule.teacher.steps_per_epoch() == rule.warm_up == 2
    assert Minibatches(25, jax.random.key(0)).steps_per_pass(60) == 2


def test_scores_are_those_of_the_curves(runs):
    arrays = run_arrays(runs, length=40)
    accuracy = np.asarray(runs["cross_entropy"].trajectory.held_out.accuracy)
    np.testing.assert_array_equal(arrays["cross_entropy_test_accuracy_curve"][:10], accuracy)
    assert np.isnan(arrays["cross_entropy_test_accuracy_curve"][10:]).all()
    assert arrays["cross_entropy_final"] == accuracy[-1]
    assert arrays["cross_entropy_best"] == accuracy.max()
    np.testing.assert_allclose(arrays["cross_entropy_last"], accuracy.mean())
    chosen = ("noise_rate", "infinite_width_final", "noise_rate_estimate")
    chosen += ("warm_up_steps", "epoch_steps", "rounds")
    draws = {name: np.array([[value], [value + 0.1]]) for name, value in arrays.items()}
    draws |= {name: np.array([[0.1], [0.3]]) for name in chosen}
    draws["self_distillation_final"] = draws["cross_entropy_final"] + np.array([[0.2], [-0.1]])
    numbers = comparison_numbers(draws, ["one"])
    ahead = numbers["self_distillation_final_minus"]["cross_entropy"]
    np.testing.assert_allclose(ahead["final"], [0.05])
    np.testing.assert_allclose(ahead["final_std"], [0.3 / np.sqrt(2)])
    assert ahead["final_seeds_ahead"] == [1]
    np.testing.assert_allclose(numbers["noise_rate_std"], [0.2 / np.sqrt(2)])


def test_bad_comparisons_are_refused(dataset):
    with pytest.raises(ValueError, match=r"methods must be one of .* got 'mixup'"):
        TrainingPlan(methods=("mixup",))
    with pytest.raises(ValueError, match="dataset must have held-out inputs"):
        compare(load_dataset("clusters", n_train=16, n_test=0))
    with pytest.raises(ValueError, match=r"n_epochs must be .* got 9"):
        TrainingPlan(n_epochs=9)
    with pytest.raises(ValueError, match=r"size must lie in 1 … 60, .* got 61"):
        compare(dataset, TrainingPlan(widths=(8,), batch_size=61))
