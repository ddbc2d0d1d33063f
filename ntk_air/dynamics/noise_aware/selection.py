"""Which start, and whether any: by labels that were hidden from all that predicts them.

Rows left out of all rounds are an honest test: leave-one-out outputs of the rounds themselves are
not, for a row's own label has spoken through its neighbours (theory.md 10 (i), (ii)).
"""

import dataclasses
import math

import numpy as np
import scipy.optimize
from jaxtyping import Float, Int

from ntk_air._base.progress import Progress, no_progress
from ntk_air.dynamics.noise_aware.learner import Learner, Probabilities
from ntk_air.dynamics.noise_aware.options import CleaningOptions
from ntk_air.dynamics.noise_aware.posterior import (
    normalised,
    own_label_likelihood,
    softmax,
)
from ntk_air.dynamics.noise_aware.rounds import Given, retrieve
from ntk_air.dynamics.noise_aware.starts import Start
from ntk_air.dynamics.noise_aware.transition import symmetric_transition

_TINY = np.finfo(float).tiny
_LOG_SCALES = (-2.0, 6.0)
_LEAST_LOG_RATE = -8.0


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """A way to predict given labels, judged on those that were hidden from it.

    Attributes:
        start: start of its rounds; ``None`` is early stopping.
        probabilities: P(y_i = a) by rows that row i was hidden from, (n, C), calibrated.
        own_labels: T[a, z_i] under the matrix found without row i, (n, C).
        scale: factor of the outputs in softmax(scale·f), by the largest likelihood.
        rate: flips of early stopping, symmetric; ``None`` for rounds.
    """

    start: Start | None
    probabilities: Probabilities
    own_labels: Probabilities
    scale: float
    rate: float | None = None

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
    """

    plain: Probabilities
    by_start: Float[np.ndarray, "n_start n n_classes"]
    own_labels: Float[np.ndarray, "n_start n n_classes"]


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
    plain = np.zeros((n, n_classes))
    by_start, own_labels = np.zeros((2, n_starts, n, n_classes))
    for fold in range(n_folds):
        shown, hidden = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        part, z = learner.split(shown, hidden), given[shown]
        labels = np.eye(n_classes)[z]
        first = part.fit(labels)
        plain[hidden] = part.predict_hidden(labels, first.stop)
        for index, start in enumerate(options.starts):
            found = retrieve(part, z, start, left_out=first.left_out, options=options)
            by_start[index, hidden] = part.predict_hidden(found.beliefs, found.stop)
            own_labels[index, hidden] = own_label_likelihood(found.transition, given[hidden])
            progress("judged on hidden labels", fold * n_starts + index + 1, n_folds * n_starts)
    return HiddenOutputs(plain, by_start, own_labels)


def judge(outputs: HiddenOutputs, given: Given, options: CleaningOptions) -> list[Candidate]:
    """Early stopping and the rounds from each start, calibrated; the likeliest first."""
    candidates = [early_stopping(outputs.plain, given)]
    for index, start in enumerate(options.starts):
        f, own = outputs.by_start[index], outputs.own_labels[index]
        scale = _likeliest_scale(f, own)
        candidates.append(Candidate(start, softmax(scale * f), own, scale))
    return sorted(candidates, key=lambda candidate: -candidate.log_likelihood)


def early_stopping(outputs: Probabilities, given: Given) -> Candidate:
    """Outputs of plain training, calibrated with symmetric flips on labels hidden from them."""

    n_classes = outputs.shape[1]
    rates = (_LEAST_LOG_RATE, math.log(0.9 * (n_classes - 1) / n_classes))

    def parts(parameters):
        scale, rate = np.exp(parameters)
        transition = symmetric_transition(float(rate), n_classes)
        return float(scale), float(rate), own_label_likelihood(transition, given)

    def loss(parameters):
        scale, _, own = parts(parameters)
        return -float(np.mean(np.log(np.sum(softmax(scale * outputs) * own, axis=1) + _TINY)))

    best = min(
        (
            scipy.optimize.minimize(
                loss, (1.5, first), bounds=(_LOG_SCALES, rates), method="L-BFGS-B"
            )
            for first in (-4.0, -1.0)
        ),
        key=lambda found: found.fun,
    )
    scale, rate, own = parts(best.x)
    return Candidate(None, softmax(scale * outputs), own, scale, rate)


def _likeliest_scale(outputs: Probabilities, own: Probabilities) -> float:
    def loss(log_scale: float) -> float:
        p = softmax(np.exp(log_scale) * outputs)
        return -float(np.mean(np.log(np.sum(p * own, axis=1) + _TINY)))

    return float(
        np.exp(scipy.optimize.minimize_scalar(loss, bounds=_LOG_SCALES, method="bounded").x)
    )
