"""Any model that can be fitted to soft labels; what it predicts of folds it was not fitted to."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ntk_air._base.checks import check_callable, check_seed, check_whole_number
from ntk_air.dynamics.noise_aware.learner import Elsewhere, OtherRows, Probabilities, Rows

FitPredict: TypeAlias = Callable[[Rows, Probabilities, OtherRows], Elsewhere]
"""``fit_predict(shown, targets, asked)``: fit rows ``shown`` to (n_shown, C), predict ``asked``."""


@dataclasses.dataclass(frozen=True, eq=False)
class FoldedFit:
    """Targets that were fitted fold by fold; there is one stopping time, the model's own."""

    left_out: Probabilities
    stop: int = 0


class FoldedLearner:
    """A learner for ``clean_labels`` made of any model, such as a finite network.

    Each round fits it once for each fold: rounds and starts cost as many fits. Where a network's
    empirical kernel can be had, its closed form is far cheaper.

    Args:
        fit_predict: callable that fits rows, given as indices (n_shown,), to probabilities
            (n_shown, C), and returns outputs (n_asked, C) at other rows, near probabilities.
        n_train: number of rows, at least 2.
        folds: number of parts, at least 2.
        seed: seed of the parts.

    Raises:
        ValueError: for a ``fit_predict`` that cannot be called, counts out of range, and outputs of
            another shape or not finite.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> x[:, 0] += np.repeat([-3, 3], 40)
    >>> def fit_predict(shown, targets, asked):
    ...     inputs = np.hstack([x, np.ones((80, 1))])
    ...     return inputs[asked] @ np.linalg.lstsq(inputs[shown], targets)[0]
    >>> labels = np.repeat([0, 1], 40)
    >>> labels[::5] = 1 - labels[::5]
    >>> found = na.clean_labels(na.FoldedLearner(fit_predict, n_train=80), labels)
    >>> sorted(found.suspects[:16].tolist())
    [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75]
    """

    def __init__(self, fit_predict: FitPredict, *, n_train: int, folds: int = 4, seed: int = 0):
        check_callable("fit_predict", fit_predict)
        self._n_train = check_whole_number("n_train", n_train, minimum=2)
        self._part: Rows | None = None
        self._hidden = np.zeros(0, int)
        self._folds = check_whole_number("folds", folds, minimum=2, maximum=n_train)
        self._fit_predict, self._seed = fit_predict, check_seed("seed", seed)

    @property
    def n_train(self) -> int:
        """The number of training inputs, n."""
        return self._n_train

    @property
    def _rows(self) -> Rows:
        return np.arange(self._n_train) if self._part is None else self._part

    def fit(self, targets: Probabilities, start: int | None = None) -> FoldedFit:
        """Outputs at each fold after a fit of the others."""
        del start
        fold_of = np.random.default_rng(self._seed).permutation(self.n_train) % self._folds
        left_out = np.empty_like(targets)
        for fold in range(self._folds):
            shown, asked = fold_of != fold, fold_of == fold
            left_out[asked] = self._outputs(self._rows[shown], targets[shown], self._rows[asked])
        return FoldedFit(left_out)

    def split(self, shown: Rows, hidden: OtherRows) -> "FoldedLearner":
        """The same on a part of the rows."""
        part = FoldedLearner(
            self._fit_predict, n_train=len(shown), folds=self._folds, seed=self._seed
        )
        part._part, part._hidden = self._rows[shown], self._rows[hidden]
        return part

    def predict_hidden(self, targets: Probabilities, stop: int) -> Elsewhere:
        """Outputs at the hidden rows after a fit of all shown ones."""
        del stop
        return self._outputs(self._rows, targets, self._hidden)

    def _outputs(self, shown: Rows, targets: Probabilities, asked: OtherRows) -> Elsewhere:
        outputs = np.asarray(self._fit_predict(shown, targets, asked), float)
        expected = (len(asked), targets.shape[1])
        if outputs.shape != expected or not np.isfinite(outputs).all():
            raise ValueError(
                f"fit_predict must return finite outputs of shape {expected}; got shape "
                f"{outputs.shape}{'' if outputs.shape != expected else ' with NaN or infinity'}"
            )
        return outputs
