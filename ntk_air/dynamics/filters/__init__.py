"""Spectral rules: what descent, its flow and linear self-distillation do to each eigenmode."""

from ntk_air.dynamics.filters.distillation import (
    DistillationRounds,
    LastEpochTeacher,
    RestartedStudent,
    StoppedTeacher,
)
from ntk_air.dynamics.filters.momentum import HeavyBall
from ntk_air.dynamics.filters.scheduled import HardPatternTail, IdentityDistillation
from ntk_air.dynamics.filters.spectral import (
    GradientDescent,
    GradientFlow,
    SpectralFilter,
    SpectralRule,
)

__all__ = [
    "DistillationRounds",
    "GradientDescent",
    "GradientFlow",
    "HardPatternTail",
    "HeavyBall",
    "IdentityDistillation",
    "LastEpochTeacher",
    "RestartedStudent",
    "SpectralFilter",
    "SpectralRule",
    "StoppedTeacher",
]
