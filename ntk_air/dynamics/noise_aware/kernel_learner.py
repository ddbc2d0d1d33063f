"""Gradient flow on the top modes of a kernel, with left-out outputs in closed form."""

import dataclasses
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ntk_air.dynamics.noise_aware.learner import Elsewhere, OtherRows, Probabilities, Rows

_N_TIMES = 24
_LONGEST = 1e4
"""The last time tried, in units of 1/λ₁."""


@dataclasses.dataclass(frozen=True, eq=False)
class KernelFit:
    """Targets fitted by gradient flow up to a time."""

    stop: int
    left_out: Probabilities


class KernelLearner:
    """Gradient flow f_t = G_t·y, G_t = V(1 − e^{−tλ})Vᵀ, on the modes of a kernel that are given.

    The flow's own leave-one-out output is (f_i − G_ii y_i)/(1 − G_ii): exact for ridge regression,
    of first order here (theory.md 10b). Modes that are left out are never fitted.

    Args:
        eigenvalues: λ, (n_mode,), descending, the first above 0; others below are taken for 0.
        eigenvectors: orthonormal columns, (n, n_mode).
    """

    def __init__(
        self,
        eigenvalues: Float[np.ndarray, " n_mode"],
        eigenvectors: Float[np.ndarray, "n n_mode"],
    ):
        self.eigenvalues = np.maximum(np.asarray(eigenvalues, float), 0)
        self.eigenvectors = np.asarray(eigenvectors, float)
        self.times = np.geomspace(1, _LONGEST, _N_TIMES) / self.eigenvalues[0]

    @property
    def n_train(self) -> int:
        """The number of training inputs, n."""
        return len(self.eigenvectors)

    @property
    def _complete(self) -> bool:
        return self.eigenvectors.shape[0] == self.eigenvectors.shape[1]

    @cached_property
    def _left(self) -> Float[np.ndarray, "n_time n_mode"]:
        """e^{−tλ}, of the modes and, where some are left out, 1 for all the others.

        Only ratios of what is left count: with all modes, relative to the one of which most is
        left, so that they keep their digits where everything is fitted.
        """
        slowest = self.eigenvalues[-1] if self._complete else 0.0
        return np.exp(-np.outer(self.times, self.eigenvalues - slowest))

    @cached_property
    def _own_left(self) -> Float[np.ndarray, "n_time n"]:
        """1 − G_ii at each time, up to the factor of ``_left``."""
        squares = self.eigenvectors**2
        own = self._left @ squares.T
        if not self._complete:
            own += np.maximum(1 - squares.sum(axis=1), 0)
        return own

    def fit(self, targets: Probabilities, start: int | None = None) -> KernelFit:
        """Stop where the leave-one-out squared error is least, looked for from ``start`` on."""
        coefficients = self.eigenvectors.T @ targets
        unseen = 0 if self._complete else targets - self.eigenvectors @ coefficients
        outputs: dict[int, Probabilities] = {}
        errors: dict[int, float] = {}

        def error(stop: int) -> float:
            if stop not in errors:
                moved = self.eigenvectors @ (self._left[stop][:, None] * coefficients) + unseen
                outputs[stop] = _without_own(targets, moved, self._own_left[stop])
                errors[stop] = float(np.mean((outputs[stop] - targets) ** 2))
                for worse in set(outputs) - {min(errors, key=errors.__getitem__)}:
                    del outputs[worse]
            return errors[stop]

        if start is None:
            stop = min(range(len(self.times)), key=error)
        else:
            stop, last = start, -1
            while stop != last:
                near = (stop, stop - 1, stop + 1)
                last, stop = stop, min((s for s in near if 0 <= s < len(self.times)), key=error)
        return KernelFit(stop, outputs[stop])

    def coefficients(
        self, targets: Probabilities, stop: int
    ) -> Float[np.ndarray, "n_mode n_classes"]:
        """Vᵀf_t after a fit, (n_mode, C)."""
        fitted = -np.expm1(-self.times[stop] * self.eigenvalues)
        return fitted[:, None] * (self.eigenvectors.T @ targets)

    def predict(
        self, cross_modes: Float[np.ndarray, "m n_mode"], targets: Probabilities, stop: int
    ) -> Elsewhere:
        """Outputs elsewhere; ``cross_modes`` is Θ(x, X)V/λ there, (m, n_mode)."""
        return cross_modes @ self.coefficients(targets, stop)

    def cross_modes(self, cross_kernel: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "m n_mode"]:
        """Θ(x, X)V/λ, the eigenfunctions elsewhere; 0 for modes that arithmetic cannot resolve."""
        resolved = self.eigenvalues > self.n_train * np.finfo(float).eps * self.eigenvalues[0]
        inverse = np.where(resolved, 1 / np.where(resolved, self.eigenvalues, 1), 0)
        return np.asarray(cross_kernel, float) @ (self.eigenvectors * inverse)

    def split(self, shown: Rows, hidden: OtherRows) -> "SplitKernelLearner":
        """The modes of the kernel V diag(λ) Vᵀ on the shown rows, by a matrix of n_mode rows."""
        root = np.sqrt(self.eigenvalues)
        features = self.eigenvectors[shown] * root
        if len(shown) < len(root):
            values, own = np.linalg.eigh(features @ features.T)
            values, own = _resolved(values, own)
            mixing = features.T @ (own / np.sqrt(values))
        else:
            values, mixing = np.linalg.eigh(features.T @ features)
            values, mixing = _resolved(values, mixing)
            own = features @ (mixing / np.sqrt(values))
        elsewhere = (self.eigenvectors[hidden] * root) @ (mixing / np.sqrt(values))
        return SplitKernelLearner(values, own, elsewhere)


class SplitKernelLearner(KernelLearner):
    """The learner on the rows shown, with the eigenfunctions at those hidden, (m, n_mode)."""

    def __init__(
        self,
        eigenvalues: Float[np.ndarray, " n_mode"],
        eigenvectors: Float[np.ndarray, "n n_mode"],
        hidden_modes: Float[np.ndarray, "m n_mode"],
    ):
        super().__init__(eigenvalues, eigenvectors)
        self._hidden_modes = hidden_modes

    def predict_hidden(self, targets: Probabilities, stop: int) -> Elsewhere:
        """Outputs at the hidden rows."""
        return self.predict(self._hidden_modes, targets, stop)


def _without_own(
    targets: Probabilities, moved: Probabilities, own_left: Float[np.ndarray, " n"]
) -> Probabilities:
    """y − (y − f)/(1 − G_ii), and 0 where of a row nothing is left but rounding.

    Args:
        targets: y, (n, C).
        moved: what is left of y, y − f, (n, C), up to a factor.
        own_left: 1 − G_ii, (n,), up to the same factor.
    """
    by_others = own_left[:, None] * targets - moved
    rounding = 8 * len(targets) ** 0.5 * np.finfo(float).eps * np.abs(targets).max()
    heard = np.any(np.abs(by_others) > rounding, axis=1) & (own_left > rounding)
    return np.where(heard[:, None], by_others / np.where(heard, own_left, 1)[:, None], 0)


def _resolved(
    values: Float[np.ndarray, " k"], vectors: Float[np.ndarray, "rows k"]
) -> tuple[Float[np.ndarray, " kept"], Float[np.ndarray, "rows kept"]]:
    """Descending pairs above what the arithmetic resolves."""
    kept = np.flatnonzero(values > len(values) * np.finfo(float).eps * values[-1])[::-1]
    return values[kept], vectors[:, kept]
