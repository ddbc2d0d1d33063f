"""What noise-aware self-distillation needs of a learner: outputs that no row's own label is in."""

from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

Probabilities: TypeAlias = Float[np.ndarray, "n n_classes"]
Elsewhere: TypeAlias = Float[np.ndarray, "m n_classes"]
Rows: TypeAlias = Int[np.ndarray, " n_shown"]
OtherRows: TypeAlias = Int[np.ndarray, " m"]


@runtime_checkable
class Learner(Protocol):
    """A regression on the training inputs, to be fitted to any targets.

    ``KernelLearner`` is one in closed form, ``FoldedLearner`` one of any model that can be fitted.
    """

    @property
    def n_train(self) -> int:
        """The number of training inputs, n."""
        ...

    def fit(self, targets: Probabilities, start: int | None = None) -> "Fit":
        """Fit (n, C) targets for as long as left-out targets are predicted better.

        Args:
            targets: probabilities of the C classes, (n, C).
            start: index of the stopping time to search from; ``None`` tries all.
        """
        ...

    def split(self, shown: Rows, hidden: OtherRows) -> "SplitLearner":
        """The same on the rows ``shown`` alone, which predicts the rows ``hidden``."""
        ...


@runtime_checkable
class Fit(Protocol):
    """Targets that were fitted."""

    @property
    def stop(self) -> int:
        """The index of the stopping time."""
        ...

    @property
    def left_out(self) -> Probabilities:
        """Outputs at the training inputs, each without its own target, (n, C); 0: no opinion."""
        ...


@runtime_checkable
class SplitLearner(Learner, Protocol):
    """A learner on a part of the rows."""

    def predict_hidden(self, targets: Probabilities, stop: int) -> Elsewhere:
        """Outputs at the hidden rows after a fit of the shown ones' targets."""
        ...
