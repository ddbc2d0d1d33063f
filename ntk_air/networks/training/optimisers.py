"""Optimisers: optax transformations with their rate on show, and no program for each new rate."""

import abc
from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import optax

from ntk_air._base.checks import check_fraction, check_positive

Schedule: TypeAlias = Callable[[Any], Any]
"""From the number of steps taken to a learning rate, traceable by JAX, such as optax's."""

Rate: TypeAlias = float | int | Schedule


class Optimiser(eqx.Module):
    """How gradients become steps. Fields of type ``float`` are traced."""

    @abc.abstractmethod
    def transformation(self) -> optax.GradientTransformation:
        """The optax transformation, made anew inside the compiled step."""

    @abc.abstractmethod
    def rate_at_start(self) -> float:
        """The learning rate of the first step."""

    @abc.abstractmethod
    def describe(self) -> str:
        """The method in words."""


class Descent(Optimiser):
    """Gradient descent, stochastic on minibatches: v ← βv − η∇L, θ ← θ + v (Polyak 1964).

    Args:
        learning_rate: η, above 0, or a schedule of it.
        momentum: β, in [0, 1).

    Raises:
        ValueError: for a rate that is not a finite number above 0 and a momentum outside [0, 1).
    """

    learning_rate: Rate = eqx.field(converter=lambda rate: _checked(rate))
    momentum: float = eqx.field(default=0.0, converter=float, kw_only=True)

    def __check_init__(self):
        check_fraction("momentum", self.momentum)
        if self.momentum == 1:
            raise ValueError("momentum must lie below 1: at 1 no motion ever comes to rest")

    def transformation(self) -> optax.GradientTransformation:
        """optax's ``sgd`` with its trace of momentum."""
        return optax.sgd(self.learning_rate, momentum=self.momentum)

    def rate_at_start(self) -> float:
        """η."""
        return _at_start(self.learning_rate)

    def describe(self) -> str:
        """Descent or heavy ball."""
        return "gradient descent" if self.momentum == 0 else f"heavy ball ({self.momentum:g})"


class Adam(Optimiser):
    """Adam (Kingma, Ba 2015, algorithm 1).

    Args:
        learning_rate: above 0, or a schedule of it.
        decay_mean: β₁.
        decay_square: β₂.

    Raises:
        ValueError: for a rate that is not a finite number above 0 and decays outside [0, 1].
    """

    learning_rate: Rate = eqx.field(converter=lambda rate: _checked(rate))
    decay_mean: float = eqx.field(default=0.9, converter=float, kw_only=True)
    decay_square: float = eqx.field(default=0.999, converter=float, kw_only=True)

    def __check_init__(self):
        check_fraction("decay_mean", self.decay_mean)
        check_fraction("decay_square", self.decay_square)

    def transformation(self) -> optax.GradientTransformation:
        """optax's ``adam``."""
        return optax.adam(self.learning_rate, b1=self.decay_mean, b2=self.decay_square)

    def rate_at_start(self) -> float:
        """The learning rate."""
        return _at_start(self.learning_rate)

    def describe(self) -> str:
        """Adam."""
        return "Adam"


class OptaxOptimiser(Optimiser):
    """Any optax transformation, with what a reader is told of it.

    Args:
        optax_transformation: a new object is a new program: keep it for several runs.
        name: for a reader.
        learning_rate: for a reader.
    """

    optax_transformation: optax.GradientTransformation
    name: str = eqx.field(kw_only=True, static=True)
    learning_rate: float = eqx.field(kw_only=True, static=True)

    def transformation(self) -> optax.GradientTransformation:
        """The transformation itself."""
        return self.optax_transformation

    def rate_at_start(self) -> float:
        """The rate as it was given."""
        return self.learning_rate

    def describe(self) -> str:
        """The name as it was given."""
        return self.name


def _checked(rate: Rate) -> Rate:
    if callable(rate):
        return rate
    check_positive("learning_rate", rate)
    return float(rate)


def _at_start(rate: Rate) -> float:
    return float(rate(jnp.zeros((), jnp.int32))) if callable(rate) else float(rate)
