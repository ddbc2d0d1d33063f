"""Scores of cleaned labels against their definitions, and cleanlab's where it is installed."""

import dataclasses
import importlib.util

import numpy as np
import pytest

import ntk_air as na
from ntk_air.lab.noise_scores import PEERS, cleaned_scores, peer_scores
from ntk_air.lab.report.label_noise_results import label_noise_numbers, scores_shape

TRUE = np.array([0, 1, 2, 0, 1, 2])
GIVEN = np.array([0, 1, 2, 1, 2, 2])
POSTERIOR = np.array(
    [
        [0.9, 0.05, 0.05],
        [0.1, 0.8, 0.1],
        [0.3, 0.1, 0.6],
        [0.7, 0.2, 0.1],
        [0.1, 0.3, 0.6],
        [0.2, 0.2, 0.6],
    ]
)


@pytest.fixture(scope="module")
def problem():
    inputs = np.random.default_rng(0).normal(size=(6, 2))
    noise = na.HumanNoise.measure(TRUE, GIVEN, 3)
    data = na.Dataset(inputs, na.ClassLabels(TRUE, GIVEN, noise), test=(inputs[:3], TRUE[:3]))
    return na.make_problem(data.normalised(), na.DenseNTK(depth=2))


def found(**changes):
    return dataclasses.replace(
        na.CleanedLabels(
            GIVEN,
            "noise_aware",
            (),
            posterior=POSTERIOR,
            hidden_probabilities=POSTERIOR,
            transition=np.eye(3),
            rate=0.25,
            rate_interval=(0.1, 0.4),
            predictions=POSTERIOR[:3],
        ),
        **changes,
    )


def test_scores_are_those_of_the_labels_that_are_known(problem):
    scores = cleaned_scores(found(), problem)
    assert scores["right"] == pytest.approx(5 / 6)
    assert scores["given_right"] == pytest.approx(4 / 6)
    assert scores["rate_error"] == pytest.approx(0.25 - 2 / 6)
    assert scores["rate_covered"] == 1
    # Suspicions .1 .2 .4 .8 .4 .4; wrong are rows 3 and 4: above all, above .1 .2 and tied twice.
    assert scores["ranking_auc"] == pytest.approx((4 + 2 + 0.5 + 0.5) / 8)
    # Rows of T are [½ ½ 0], [0 ½ ½], [0 0 1]: each of the first two is off by 1.
    assert scores["transition_error"] == pytest.approx(2 / 3)
    assert scores["accuracy_noise_aware"] == 1
    one_hot = np.eye(3)[TRUE]
    expected = np.sqrt(np.sum((POSTERIOR - one_hot) ** 2) / 6)
    assert scores["distance_noise_aware"] == pytest.approx(expected)


def test_nothing_known_is_nothing_scored(problem):
    scores = cleaned_scores(na.CleanedLabels(GIVEN, "no_signal", ()), problem)
    assert scores["right"] == pytest.approx(4 / 6)
    assert np.isnan(scores["rate_error"]) and np.isnan(scores["ranking_auc"])


def test_a_peer_that_is_not_installed_is_left_out(problem, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    scores = peer_scores(found(), problem, seed=0)
    assert {peer.rpartition("_")[0] for peer in scores} == set(PEERS)
    assert all(np.isnan(value) for value in scores.values())


@pytest.mark.skipif(
    importlib.util.find_spec("cleanlab") is None, reason="cleanlab is not installed"
)
def test_cleanlab_ranks_our_probabilities_by_their_confidence_in_the_given_label(problem):
    data = na.load_dataset("digits", n_train=120, n_test=20).normalised()
    noisy = na.make_problem(
        data.with_label_noise(na.SymmetricNoise(0.3), seed=0), na.DenseNTK(depth=2)
    )
    cleaned = na.clean_labels(noisy)
    scores = peer_scores(cleaned, noisy, seed=0)
    assert cleaned.hidden_probabilities is not None
    given = noisy.dataset.noisy_labels
    own = 1 - cleaned.hidden_probabilities[np.arange(120), given]
    wrong = noisy.dataset.clean_labels != given
    above = (own[wrong][:, None] > own[~wrong]) + 0.5 * (own[wrong][:, None] == own[~wrong])
    assert scores["own_probabilities_auc"] == pytest.approx(above.mean())
    assert 0.5 < scores["logistic_regression_auc"] < 1


def test_numbers_are_means_over_seeds_and_who_is_ahead():
    names = ["accuracy_noise_aware", "accuracy_default", "accuracy_oracle", "ranking_auc"]
    names += [f"{peer}_auc" for peer in PEERS]
    draws = [
        dict.fromkeys(names, np.array(0.5)) | {"accuracy_noise_aware": np.array(value)}
        for value in (0.6, 0.4, 0.7, 0.9)
    ]
    arrays = scores_shape(draws, n_seeds=2, n_noises=2)
    numbers = label_noise_numbers(arrays)
    assert numbers["accuracy_noise_aware"] == pytest.approx([0.65, 0.65])
    assert numbers["gain_over_default"] == pytest.approx([0.15, 0.15])
    assert numbers["gain_over_default_seeds_ahead"] == [2, 1]
    assert numbers["ranking_ahead_of_cleanlab"] == pytest.approx([0, 0])
