"""How labels are cleaned: what is tried, and how long."""

import dataclasses

from ntk_air._base.checks import check_positive, check_whole_number, listed
from ntk_air.dynamics.noise_aware.starts import STARTS, Start


@dataclasses.dataclass(frozen=True)
class CleaningOptions:
    """How ``clean_labels`` works; the usual values need no tuning.

    Args:
        n_modes: most modes of the kernel that are used, the largest.
        folds: parts that labels are hidden by, at least 2.
        n_rounds: most rounds from each start.
        temperature: τ of the rounds' label function, above 0.
        starts: where rounds start from; all are judged.
        n_bootstrap: draws that intervals come from, at least 20.
        level: level of the intervals, in (0, 1).

    Raises:
        ValueError: for options out of range.

    >>> import ntk_air as na
    >>> na.CleaningOptions(folds=5).folds
    5
    """

    n_modes: int = 512
    folds: int = 4
    n_rounds: int = 15
    temperature: float = 0.5
    starts: tuple[Start, ...] = STARTS
    n_bootstrap: int = 200
    level: float = 0.95

    def __post_init__(self):
        for name, minimum in (("n_modes", 2), ("folds", 2), ("n_rounds", 1), ("n_bootstrap", 20)):
            value = check_whole_number(name, getattr(self, name), minimum=minimum)
            object.__setattr__(self, name, value)
        check_positive("temperature", self.temperature)
        check_positive("level", self.level)
        if not self.level < 1:
            raise ValueError(f"level must lie in (0, 1); got {self.level}")
        object.__setattr__(self, "starts", listed("starts")(self.starts))
        if not self.starts or not all(isinstance(start, Start) for start in self.starts):
            raise ValueError(f"starts must be a list of Start, not empty; got {self.starts!r}")
