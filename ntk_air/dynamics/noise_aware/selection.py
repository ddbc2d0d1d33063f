"""Which start, and whether any: by labels that were hidden from all that predicts them.

Rows left out of all rounds are an honest test: leave-one-out outputs of the rounds themselves are
not, for a row's own label has spoken through its neighbours (theory.md section 10).
"""

import dataclasses
import math

import numpy as np
import scipy.optimize
from jaxtyping import Float, Int

from ntk_air._base.progress import Progress, no_progress
from ntk_air.dynamics.noise_aware.learner import Elsewhere, Learner, Probabilities
from ntk_air.dynamics.noise_aware.options import CleaningOptions
from ntk_air.dynamics.noise_aware.posterior import (
    normalised,
    own_label_likelihood,
    softmax,
)
from ntk_air.dynamics.noise_aware.rounds import Given, retrieve
from ntk_air.dynamics.noise_aware.starts import Start
from ntk_air.dynamics.noise_aware.transition import largest_rate, symmetric_transition

_TINY = np.finfo(float).tiny
_LOG_SCALES = (-4.0, 6.0)
_WEIGHTS = (-3.0, 3.0)
_LEAST_LOG_RATE = -8.0


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """A way to predict given labels, judged on those that were hidden from it.

    Attributes:
        start: start of its rounds; ``None`` is early stopping.
        probabilities: P(y_i = a) by rows that row i was hidden from, (n, C), calibrated.
        own_labels: T[a, z_i] under the matrix found without row i, (n, C).
        scale: factor s of the outputs in softmax(s·f + κ·ln π), by the largest likelihood.
        weight: κ of the classes' shares π, likewise; below 0 where f has them in it too much.
        rate: flips of early stopping, symmetric; ``None`` for rounds.
    """

    start: Start | None
    probabilities: Probabilities
    own_labels: Probabilities
    scale: float
    weight: float
    rate: float | None = None

    def calibrated(self, outputs: Elsewhere, targets: Probabilities) -> Elsewhere:
        """Probabilities of the true classes, softmax(s·f + κ·ln π).

        Args:
            outputs: f at any rows, (m, C).
            targets: what was fitted, (n, C), whose shares are π.
        """
        return softmax(self.scale * outputs + self.weight * log_shares(targets))

    @property
    def description(self) -> str:
        """For a reader."""
        return "early stopping" if self.start is None else self.start.description

    @property
    def beliefs(self) -> Probabilities:
        """P(y_i = a) with the row's own label, which spoke through T alone, (n, C)."""
        return normalised(self.probabilities * self.own_labels)

    @property
    def log_likelihoods(self) -> Float[np.ndarray, " n"]:
        """ln P(z_i) of each hidden label, in nats."""
        return np.log(np.sum(self.probabilities * self.own_labels, axis=1) + _TINY)

    @property
    def log_likelihood(self) -> float:
        """Their mean."""
        return float(np.mean(self.log_likelihoods))


def stratified_folds(given: Given, n_folds: int, seed: int) -> Int[np.ndarray, " n"]:
    """The fold of each row: each fold has its share of each given class."""
    order = np.random.default_rng(seed).permutation(len(given))
    order = order[np.argsort(given[order], kind="stable")]
    folds = np.empty(len(given), int)
    folds[order] = np.arange(len(given)) % n_folds
    return folds


@dataclasses.dataclass(frozen=True, eq=False)
class HiddenOutputs:
    """Outputs at rows whose labels took part in nothing.

    Attributes:
        plain: outputs of early stopping, (n, C).
        by_start: outputs of the rounds from each start, (n_start, n, C).
        own_labels: T[a, z_i] under the matrix of those rounds, (n_start, n, C).
        plain_shares: logarithms of the shares of the classes that were fitted, (n, C).
        shares_by_start: the same of each start, (n_start, n, C).
    """

    plain: Probabilities
    by_start: Float[np.ndarray, "n_start n n_classes"]
    own_labels: Float[np.ndarray, "n_start n n_classes"]
    plain_shares: Probabilities
    shares_by_start: Float[np.ndarray, "n_start n n_classes"]


def log_shares(targets: Probabilities) -> Float[np.ndarray, " n_classes"]:
    """ln π, the shares of the classes among targets, (C,); none is below half a row."""
    return np.log(np.maximum(targets.mean(axis=0), 0.5 / len(targets)))


def hidden_outputs(
    learner: Learner,
    given: Given,
    folds: Int[np.ndarray, " n"],
    *,
    options: CleaningOptions,
    progress: Progress = no_progress,
) -> HiddenOutputs:
    """Each fold's outputs by early stopping and by rounds from each start on the other folds.

    Args:
        learner: regression on all rows.
        given: z, (n,).
        folds: fold of each row, (n,).
        options: starts, temperature and most rounds.
        progress: callback after each start of each fold.
    """
    n, n_classes, n_folds = len(given), int(given.max()) + 1, int(folds.max()) + 1
    n_starts = len(options.starts)
    plain, plain_shares = np.zeros((2, n, n_classes))
    by_start, own_labels, shares = np.zeros((3, n_starts, n, n_classes))
    for fold in range(n_folds):
        shown, hidden = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        part, z = learner.split(shown, hidden), given[shown]
        labels = np.eye(n_classes)[z]
        first = part.fit(labels)
        plain[hidden] = part.predict_hidden(labels, first.stop)
        plain_shares[hidden] = log_shares(labels)
        for index, start in enumerate(options.starts):
            found = retrieve(part, z, start, left_out=first.left_out, options=options)
            by_start[index, hidden] = part.predict_hidden(found.beliefs, found.stop)
            shares[index, hidden] = log_shares(found.beliefs)
            own_labels[index, hidden] = own_label_likelihood(found.transition, given[hidden])
            progress("judged on hidden labels", fold * n_starts + index + 1, n_folds * n_starts)
    return HiddenOutputs(plain, by_start, own_labels, plain_shares, shares)


def judge(outputs: HiddenOutputs, given: Given, options: CleaningOptions) -> list[Candidate]:
    """Early stopping and the rounds from each start, calibrated; the likeliest first."""
    candidates = [early_stopping(outputs.plain, outputs.plain_shares, given)]
    for index, start in enumerate(options.starts):
        f, shares = outputs.by_start[index], outputs.shares_by_start[index]
        own = outputs.own_labels[index]
        scale, weight, _ = _likeliest(f, shares, given, own=own)
        candidates.append(
            Candidate(start, softmax(scale * f + weight * shares), own, scale, weight)
        )
    return sorted(candidates, key=lambda candidate: -candidate.log_likelihood)


def early_stopping(outputs: Probabilities, shares: Probabilities, given: Given) -> Candidate:
    """Outputs of plain training, calibrated with symmetric flips on labels hidden from them.

    Args:
        outputs: f of hidden rows, (n, C).
        shares: ln π of the classes among the labels that were shown, (n, C).
        given: z, (n,).
    """
    scale, weight, rate = _likeliest(outputs, shares, given)
    own = own_label_likelihood(symmetric_transition(rate, outputs.shape[1]), given)
    return Candidate(None, softmax(scale * outputs + weight * shares), own, scale, weight, rate)


def _likeliest(
    outputs: Probabilities,
    shares: Probabilities,
    given: Given,
    *,
    own: Probabilities | None = None,
) -> tuple[float, float, float]:
    """Scale, weight of the shares and, without ``own``, rate of symmetric flips, by likelihood.

    With p = softmax(s·f + κ·ln π) and r ∝ p·own, the gradient of −ln Σ_a p_a own_a in the logits
    is p − r.
    """
    n, n_classes = outputs.shape
    classes = np.eye(n_classes)[given]
    flips = (1 - classes) / (n_classes - 1) - classes

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scale, weight, rate = np.exp(parameters[0]), parameters[1], np.exp(parameters[2])
        p = softmax(scale * outputs + weight * shares)
        joint = p * (classes + rate * flips if own is None else own)
        total = joint.sum(axis=1, keepdims=True) + _TINY
        slope = p - joint / total
        in_rate = -rate * np.sum(p * flips / total) if own is None else 0.0
        gradient = np.array([scale * np.sum(slope * outputs), np.sum(slope * shares), in_rate])
        return -float(np.mean(np.log(total))), gradient / n

    rates = (_LEAST_LOG_RATE, math.log(largest_rate(n_classes)))
    found = min(
        (
            scipy.optimize.minimize(
                loss,
                np.array([1.5, 0.0, first]),
                jac=True,
                bounds=[_LOG_SCALES, _WEIGHTS, rates],
                method="L-BFGS-B",
            )
            for first in ((-4.0, -1.0) if own is None else (-4.0,))
        ),
        key=lambda result: result.fun,
    )
    return float(np.exp(found.x[0])), float(found.x[1]), float(np.exp(found.x[2]))
