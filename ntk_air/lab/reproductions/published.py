"""A published number with its tolerance, and what was found here."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True)
class Row:
    """A published number beside the one computed here.

    Attributes:
        what: what it is of.
        published: theirs.
        found: ours: one number, or a number for each draw.
        tolerance: largest difference of the mean that counts as the same, with ``why``.
        why: where the tolerance comes from, and the likely reason where it is exceeded.
    """

    what: str
    published: float
    found: tuple[float, ...]
    tolerance: float
    why: str

    @property
    def mean(self) -> float:
        """The mean over draws."""
        return float(np.mean(self.found))

    @property
    def agrees(self) -> bool:
        """Whether the mean is theirs within the tolerance."""
        return abs(self.mean - self.published) <= self.tolerance


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """A paper's numbers.

    Attributes:
        title: what is reproduced.
        source: where it was published.
        compute: yields rows as they are found, from the folder of data files.
    """

    title: str
    source: str
    compute: Callable[[Path | None], Iterator[Row]]


def share_tolerance(share: float, n_test: int) -> float:
    """Three standard errors of the difference of two accuracies, each of n_test examples.

    As if the two were of other training and test examples, which they may be.
    """
    return 3 * (2 * share * (1 - share) / n_test) ** 0.5
