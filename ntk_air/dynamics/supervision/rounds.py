"""A whole run of self-distillation: rounds, and a student trained to convergence."""

import equinox as eqx
import numpy as np

from ntk_air._base.checks import as_number, check_callable, check_kind, check_whole_number
from ntk_air._base.typing import Targets
from ntk_air.dynamics.supervision.label_functions import LabelFunctionLike
from ntk_air.dynamics.supervision.supervision import Supervision
from ntk_air.dynamics.supervision.teachers import LastEpoch, Pretrained, Restart
from ntk_air.dynamics.supervision.weights import Constant


class Rounds(eqx.Module):
    """A whole run: rounds of self-distillation, then a student trained to convergence.

    Free of kernels and networks: train under ``supervision`` for ``n_steps`` steps, then start
    again from f_0 and train under ``finishing_supervision`` of the outputs reached.

    Args:
        supervision: supervision with a teacher that changes once an epoch, ``Restart`` or
            ``LastEpoch``, and a weight that stands still within an epoch.
        n_rounds: number of epochs after the warm-up, at least 0.
        finish: label function of the last teacher, whose labels alone the final student learns;
            ``None`` ends with the last round.

    Raises:
        ValueError: for a supervision that changes within an epoch, or a negative ``n_rounds``.

    >>> import ntk_air as na
    >>> taught = na.Supervision(na.label_functions.Sharpened(0.3), na.weights.Constant(0.5),
    ...                         na.teachers.Restart(10), warm_up=5)
    >>> na.Rounds(taught, 3, finish=na.label_functions.Hard()).times().tolist()
    [5.0, 15.0, 25.0, 35.0, inf]
    """

    supervision: Supervision
    n_rounds: int = eqx.field(converter=as_number)
    finish: LabelFunctionLike | None = None

    def __check_init__(self):
        check_kind("supervision", self.supervision, Supervision)
        check_whole_number("n_rounds", self.n_rounds)
        if self.finish is not None:
            check_callable("finish", self.finish)
        teacher, schedule = self.supervision.teacher, self.supervision.schedule
        if not isinstance(teacher, Restart | LastEpoch):
            raise ValueError(
                "supervision must have a teacher that changes once an epoch, Restart or "
                f"LastEpoch; got {type(teacher).__name__}"
            )
        if self.supervision.weight_by == "step" and not isinstance(schedule, Constant):
            raise ValueError(
                "supervision must have a weight that stands still within an epoch, "
                f"weight_by='epoch'; got {type(schedule).__name__} by step"
            )

    @property
    def epoch_length(self) -> int:
        """E, steps in an epoch."""
        length = self.supervision.teacher.steps_per_epoch()
        return 1 if length is None else length

    @property
    def n_steps(self) -> int:
        """Steps before the finish."""
        return self.supervision.warm_up + self.n_rounds * self.epoch_length

    def finishing_supervision(self, outputs: Targets) -> Supervision:
        """What the final student learns, given the outputs (n_train, n_out) of the last round.

        Raises:
            ValueError: where there is no finish.
        """
        if self.finish is None:
            raise ValueError("finish must be a label function for a final student; got None")
        return Supervision(self.finish, Constant(0.0), Pretrained(outputs))

    def times(self) -> np.ndarray:
        """The ends of the warm-up and of each round, in steps; then the finish, at infinity."""
        ends = self.supervision.warm_up + self.epoch_length * np.arange(self.n_rounds + 1.0)
        return ends if self.finish is None else np.append(ends, np.inf)
