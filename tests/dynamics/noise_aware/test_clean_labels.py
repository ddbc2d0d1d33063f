"""The one entry: verdicts, refusals, and that all ways in are the same way."""

import dataclasses

import numpy as np
import pytest

import ntk_air as na
from ntk_air.dynamics.noise_aware.starts import Start
from ntk_air.kernels.operators.operator import as_operator
from tests.dynamics.noise_aware.test_selection import clusters, pair_flipped
from tests.helpers.type_checks import without_type_checks

QUICK = na.CleaningOptions(starts=(Start(None), Start(0.3)), n_rounds=4, n_bootstrap=20)


def blob_kernel(n=120, seed=0, spread=1.0):
    learner, true = clusters(n, seed=seed, spread=spread)
    vectors = learner.eigenvectors
    return (vectors * learner.eigenvalues) @ vectors.T, true


@pytest.fixture(scope="module")
def pair():
    """(kernel, true, given, what was found) under pair flips that a third of the labels suffer."""
    theta, true = blob_kernel(240)
    given = pair_flipped(true, 0.35, seed=1)
    return theta, true, given, na.clean_labels(theta, given, options=QUICK)


def test_pair_flips_are_undone(pair):
    _, true, given, found = pair
    assert found.verdict == "noise_aware"
    assert np.mean(found.suggested == true) > 0.97
    truth = np.array([[0.65, 0.35, 0], [0, 0.65, 0.35], [0.35, 0, 0.65]])
    np.testing.assert_allclose(np.asarray(found.transition), truth, atol=0.12)
    assert abs(found.rate - np.mean(given != true)) < 0.03


def test_suspects_are_ranked_by_the_probability_of_an_error(pair):
    _, true, given, found = pair
    wrong = given != true
    assert np.mean(wrong[found.suspects[: wrong.sum()]]) > 0.95
    assert (np.diff(found.error_probability[found.suspects]) <= 0).all()
    own = found.posterior[np.arange(240), given]
    np.testing.assert_allclose(found.error_probability, 1 - own, atol=1e-12)


def test_a_posterior_is_calibrated(pair):
    """Of labels that are held for wrong with probability p, a share p is wrong: Brier's score is
    no better than its own expectation, within three standard errors."""
    _, true, given, found = pair
    p, wrong = found.error_probability, given != true
    expected, error = p * (1 - p), np.std((p - wrong) ** 2) / 240**0.5
    assert abs(np.mean((p - wrong) ** 2) - np.mean(expected)) < 3 * error + 1e-3


def test_intervals_hold_the_estimate_and_grow_with_their_level(pair):
    theta, true, given, found = pair
    wide = na.clean_labels(
        theta, given, options=na.CleaningOptions(starts=QUICK.starts, n_rounds=4, level=0.99)
    )
    lower, upper = found.rate_interval
    assert lower < np.mean(given != true) < upper
    assert wide.rate_interval[0] < lower
    assert wide.rate_interval[1] > upper
    diagonal = np.eye(3, dtype=bool)
    assert (found.transition_interval[0] <= found.transition)[diagonal].all()
    assert (found.transition <= found.transition_interval[1])[diagonal].all()


def test_a_problem_a_matrix_a_spectrum_and_its_top_modes_are_the_same_way_in(pair):
    theta, _, given, found = pair
    same = na.clean_labels(na.decompose(theta), given, options=QUICK)
    np.testing.assert_allclose(np.asarray(same.posterior), found.posterior, atol=1e-9)
    fewer = dataclasses.replace(QUICK, n_modes=100)
    of_matrix = na.clean_labels(theta, given, options=fewer)
    of_modes = na.clean_labels(
        na.top_modes(as_operator(theta, "kernel"), 100), given, options=QUICK
    )
    np.testing.assert_allclose(
        np.asarray(of_modes.posterior), np.asarray(of_matrix.posterior), atol=1e-5
    )


def test_a_problem_brings_labels_and_held_out_rows():
    data = na.load_dataset("digits", n_train=120, n_test=60).normalised()
    noisy = data.with_label_noise(na.SymmetricNoise(0.3), seed=0)
    problem = na.make_problem(noisy, na.DenseNTK(depth=2))
    found = na.clean_labels(problem, options=QUICK)
    assert (found.given == noisy.noisy_labels).all()
    assert found.predictions.shape == (60, 10)
    np.testing.assert_allclose(found.predictions.sum(axis=1), 1)
    assert np.mean(found.predictions.argmax(axis=1) == noisy.test_labels) > 0.8


def test_two_classes_have_two_columns():
    theta, three = blob_kernel(120)
    true = (three > 0).astype(int)
    flipped = np.random.default_rng(0).random(120) < 0.2
    found = na.clean_labels(theta, np.where(flipped, 1 - true, true), options=QUICK)
    assert found.posterior.shape == (120, 2)
    assert np.mean(found.suggested == true) > 0.97


def test_the_same_seed_gives_the_same_answer(pair):
    theta, _, given, found = pair
    again = na.clean_labels(theta, given, options=QUICK)
    other = na.clean_labels(theta, given, options=QUICK, seed=1)
    np.testing.assert_array_equal(again.posterior, found.posterior)
    assert (other.posterior != found.posterior).any()


# --- verdicts -------------------------------------------------------------------------------------


def test_labels_that_the_inputs_say_nothing_of_are_no_signal():
    theta, _ = blob_kernel()
    given = np.random.default_rng(5).integers(0, 3, 120)
    found = na.clean_labels(theta, given, options=QUICK)
    assert found.verdict == "no_signal"
    assert not found.has_answer
    assert (found.suggested == given).all()
    assert np.isnan(found.error_probability).all()


def test_an_isotropic_kernel_is_no_signal_and_no_likelihood_of_one():
    found = na.clean_labels(2 * np.eye(60), np.arange(60) % 3, options=QUICK)
    assert found.verdict == "no_signal"
    assert "nats better" in found.reasons[0]


def test_a_weak_kernel_keeps_early_stopping():
    """Classes that the kernel itself confuses would be taken for flips: the gate must hold."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 240)
    points = 0.55 * np.eye(3)[true] @ rng.normal(size=(3, 3)) + rng.normal(size=(240, 3))
    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    found = na.clean_labels(np.exp(-square / 2), true, options=QUICK)
    assert found.verdict == "early_stopping"
    assert "early stopping" in found.reasons[0]
    assert found.has_answer


def test_ways_that_the_labels_cannot_tell_apart_are_all_in_the_interval():
    """Of few rows under many pair flips, plain training explains as much as a matrix does: a rate
    of 0 and one of two fifths are both likely."""
    theta, true = blob_kernel(36, spread=1.6)
    given = pair_flipped(true, 0.4, seed=0)
    found = na.clean_labels(theta, given, options=QUICK)
    near = [each for each in found.judged if each.behind <= 2 * each.behind_std_error]
    assert len(near) > 1
    assert found.rate_interval[0] < 0.05 < 0.4 < found.rate_interval[1]


def test_clean_labels_are_left_alone():
    theta, true = blob_kernel(240, spread=0.5)
    found = na.clean_labels(theta, true, options=QUICK)
    assert (found.suggested == true).all()
    assert found.rate < 0.01


def test_one_class_and_few_rows_are_verdicts_with_their_numbers():
    theta, _ = blob_kernel(30)
    one = na.clean_labels(theta, np.zeros(30, int))
    assert (one.verdict, one.posterior) == ("one_class", None)
    assert "all 30 labels" in one.reasons[0]
    few = na.clean_labels(theta, np.repeat([0, 1, 2], [20, 6, 4]))
    assert few.verdict == "too_few_rows"
    assert "2 (4)" in few.reasons[0]


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (None, "labels must be given"),
        (np.zeros(0, int), "labels must not be empty"),
        (np.array([0.0, 1.0]), "labels must be a vector of integer class indices"),
        (np.array([[0, 1]]), "labels must be a vector of integer class indices"),
        (np.array([1, 2, 3]), "labels must hold every class from 0 on"),
        (np.array([-1, 0, 1]), "labels must hold every class from 0 on"),
        (np.array([0, 1, 2**62]), "labels must hold every class from 0 on"),
        (np.arange(24) % 3, "labels must have one entry for each of the kernel's 30 rows; got 24"),
    ],
)
def test_labels_that_are_none_are_named(labels, says):
    with pytest.raises(ValueError, match=says):
        na.clean_labels(np.eye(30), labels, options=QUICK)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"folds": 1}, "folds must be a whole number, at least 2"),
        ({"n_modes": 2.5}, "n_modes must be a whole number"),
        ({"temperature": 0.0}, "temperature must be"),
        ({"level": 1.0}, r"level must lie in \(0, 1\)"),
        ({"starts": ()}, "starts must be a list of Start"),
        ({"starts": ("EM",)}, "starts must be a list of Start"),
    ],
)
def test_options_out_of_range_are_named(options, says):
    with without_type_checks(), pytest.raises(ValueError, match=says):
        na.CleaningOptions(**options)


def test_held_out_rows_must_match_the_kernel():
    wrong = pytest.raises(ValueError, match="cross_kernel must have shape")
    with without_type_checks(), wrong:
        na.clean_labels(np.eye(30), np.arange(30) % 3, cross_kernel=np.zeros((4, 29)))


# --- other models ---------------------------------------------------------------------------------


def test_a_folded_learner_retrieves_what_its_model_can():
    theta, true = blob_kernel(120)
    given = pair_flipped(true, 0.3, seed=1)

    def ridge(shown, targets, asked):
        own = theta[np.ix_(shown, shown)] + 0.1 * np.eye(len(shown))
        return theta[np.ix_(asked, shown)] @ np.linalg.solve(own, targets)

    found = na.clean_labels(na.FoldedLearner(ridge, n_train=120), given, options=QUICK)
    assert found.verdict == "noise_aware"
    assert np.mean(given == true) < 0.75
    assert np.mean(found.suggested == true) > 0.9


def test_a_folded_learner_is_never_asked_for_what_it_was_fitted_to():
    asked_for = []

    def constant(shown, targets, asked):
        assert not set(shown) & set(asked)
        assert len(shown) == len(targets)
        asked_for.append(len(asked))
        return np.tile(targets.mean(axis=0), (len(asked), 1))

    na.clean_labels(na.FoldedLearner(constant, n_train=40), np.arange(40) % 2, options=QUICK)
    assert sum(asked_for) > 40


def test_outputs_of_another_shape_are_named():
    learner = na.FoldedLearner(lambda shown, targets, asked: targets, n_train=40)
    with pytest.raises(ValueError, match=r"fit_predict must return finite outputs of shape"):
        na.clean_labels(learner, np.arange(40) % 2, options=QUICK)
