"""Supervision = label function × weight schedule × teacher: what a student is trained on.

Pure functions of arrays, free of kernels: the same objects supervise kernel-regime dynamics and
finite networks.
"""

from ntk_air.dynamics.supervision.label_functions import Hard, Identity, LabelFunction, Sharpened
from ntk_air.dynamics.supervision.rounds import Rounds
from ntk_air.dynamics.supervision.supervision import Supervision, Target, plain_descent
from ntk_air.dynamics.supervision.teachers import (
    CurrentStep,
    ExponentialMovingAverage,
    LastEpoch,
    Pretrained,
    Restart,
    Teacher,
)
from ntk_air.dynamics.supervision.weights import (
    Agreement,
    Constant,
    FunctionOfIndex,
    Geometric,
    Harmonic,
    Linear,
    Power,
    WeightSchedule,
)

__all__ = [
    "Agreement",
    "Constant",
    "CurrentStep",
    "ExponentialMovingAverage",
    "FunctionOfIndex",
    "Geometric",
    "Hard",
    "Harmonic",
    "Identity",
    "LabelFunction",
    "LastEpoch",
    "Linear",
    "Power",
    "Pretrained",
    "Restart",
    "Rounds",
    "Sharpened",
    "Supervision",
    "Target",
    "Teacher",
    "WeightSchedule",
    "plain_descent",
]
