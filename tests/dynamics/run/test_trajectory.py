"""The result type: its names, its shapes, its best and last steps."""

import numpy as np
import pytest

from ntk_air.dynamics.run.metrics import HeldOutMetrics, TrainMetrics
from ntk_air.dynamics.run.trajectory import FinalState, Trajectory

FIELDS = tuple(TrainMetrics.__dataclass_fields__)


def a_trajectory(distances, *, held_out=None, times=None):
    distances = np.asarray(distances, dtype=float)
    curves = {name: distances + shift for shift, name in enumerate(FIELDS)}
    return Trajectory(
        times=np.arange(len(distances)) * 1e11 if times is None else times,
        train=TrainMetrics(**curves),
        held_out=held_out,
        final=FinalState(predictions=np.zeros((2, 1))),
        learning_rate=0.5,
        rule="made up",
    )


def test_best_is_the_nearest_step_and_last_the_last():
    trajectory = a_trajectory([3.0, 1.0, 1.0, 2.0])
    assert trajectory.best().step == 1e11
    assert trajectory.best().train.rms_distance == 1.0
    assert trajectory.last().step == 3e11
    assert trajectory.last().held_out is None


def test_best_passes_over_steps_that_diverged():
    assert a_trajectory([4.0, 2.0, np.inf, np.nan]).best().step == 1e11
    with pytest.raises(ValueError, match="no finite train_rms_distance among 2 recorded times"):
        a_trajectory([np.nan, np.inf]).best()


def test_curves_are_named_by_part():
    held_out = HeldOutMetrics(accuracy=np.array([0.1, 0.9]), rms_distance=np.array([1.0, 0.2]))
    trajectory = a_trajectory([1.0, 2.0], held_out=held_out)
    assert set(trajectory.curves()) == {f"train_{name}" for name in FIELDS} | {
        "held_out_accuracy",
        "held_out_rms_distance",
    }
    assert trajectory.last().held_out.accuracy == 0.9


def test_curves_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"train_rms_distance must have one value.*\(2,\)"):
        a_trajectory([1.0, 2.0], times=np.arange(3.0))
