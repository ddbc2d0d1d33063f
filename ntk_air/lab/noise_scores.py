"""How well wrong labels are found, by ``clean_labels`` and by a peer."""

import importlib
import importlib.util
import warnings

import numpy as np
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from ntk_air.data.labels import encode_probabilities
from ntk_air.dynamics.noise_aware.cleaned import CleanedLabels
from ntk_air.problem import Problem

PEERS = ("logistic_regression", "nearest_neighbours", "own_probabilities")
"""What cleanlab is fed with: two classifiers as its users take them, and our hidden outputs."""

_FOLDS = 5
_UNKNOWN = float("nan")


def cleaned_scores(found: CleanedLabels, problem: Problem) -> dict[str, np.ndarray]:
    """Cleaned labels, rate, matrix and ranking against what is true; NaN where there is none.

    Args:
        found: what ``clean_labels`` said.
        problem: problem with noisy and clean labels and held-out inputs.
    """
    dataset = problem.dataset
    true, given = dataset.clean_labels, dataset.noisy_labels
    wrong = true != given
    scores = {
        "verdict": float(found.verdict == "noise_aware"),
        "right": float(np.mean(found.suggested == true)),
        "given_right": float(np.mean(~wrong)),
        "rate_error": _UNKNOWN,
        "rate_covered": _UNKNOWN,
        "transition_error": _UNKNOWN,
        "accuracy_noise_aware": _UNKNOWN,
        "distance_noise_aware": _UNKNOWN,
        "ranking_auc": _UNKNOWN,
        "ranking_precision": _UNKNOWN,
    }
    if found.posterior is None or found.rate is None or found.rate_interval is None:
        return {name: np.array(value) for name, value in scores.items()}
    scores["rate_error"] = found.rate - float(np.mean(wrong))
    lower, upper = found.rate_interval
    scores["rate_covered"] = float(lower <= np.mean(wrong) <= upper)
    matrix = np.asarray(found.transition)
    scores["transition_error"] = float(np.mean(np.abs(matrix - dataset.transition_matrix()).sum(1)))
    targets = encode_probabilities(found.posterior)
    difference = targets - dataset.clean_targets()
    scores["distance_noise_aware"] = float(np.linalg.norm(difference)) / len(true) ** 0.5
    if found.predictions is not None:
        hits = found.predictions.argmax(axis=1) == dataset.test_labels
        scores["accuracy_noise_aware"] = float(np.mean(hits))
    scores |= _ranking("ranking", found.error_probability, wrong)
    return {name: np.array(value) for name, value in scores.items()}


def peer_scores(found: CleanedLabels, problem: Problem, *, seed: int) -> dict[str, np.ndarray]:
    """The same of cleanlab, on the same inputs; NaN where it is not installed."""
    names = [f"{peer}_{what}" for peer in PEERS for what in ("auc", "precision", "accuracy")]
    scores = dict.fromkeys(names, _UNKNOWN)
    if importlib.util.find_spec("cleanlab") is not None:
        for peer in PEERS:
            scores |= _of_peer(peer, found, problem, seed=seed)
    return {name: np.array(value) for name, value in scores.items()}


def _of_peer(peer: str, found: CleanedLabels, problem: Problem, *, seed: int) -> dict[str, float]:
    rank = importlib.import_module("cleanlab.rank")
    learning = importlib.import_module("cleanlab.classification")
    dataset = problem.dataset
    inputs = dataset.inputs.reshape(dataset.n_train, -1)
    given, wrong = dataset.noisy_labels, dataset.clean_labels != dataset.noisy_labels
    scores: dict[str, float] = {}
    if peer == "own_probabilities":
        if found.hidden_probabilities is None:
            return {}
        probabilities = found.hidden_probabilities
    else:
        logistic = peer == "logistic_regression"
        model = LogisticRegression(max_iter=1000) if logistic else KNeighborsClassifier(10)
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a solver that stops early, as users see it do
            probabilities = cross_val_predict(
                model, inputs, given, cv=folds, method="predict_proba"
            )
            cleaned = learning.CleanLearning(model, seed=seed, cv_n_folds=_FOLDS)
            cleaned.fit(inputs, given, pred_probs=probabilities)
        test = dataset.test_inputs.reshape(dataset.n_test, -1)
        scores[f"{peer}_accuracy"] = float(np.mean(cleaned.predict(test) == dataset.test_labels))
    quality = rank.get_label_quality_scores(given, probabilities)
    return scores | _ranking(peer, 1 - np.asarray(quality), wrong)


def _ranking(
    name: str, suspicion: Float[np.ndarray, " n"], wrong: Bool[np.ndarray, " n"]
) -> dict[str, float]:
    if wrong.all() or not wrong.any():
        return {}
    return {
        f"{name}_auc": float(roc_auc_score(wrong, suspicion)),
        f"{name}_precision": float(average_precision_score(wrong, suspicion)),
    }
