"""Optimisers: optax transformations with their rate on show, and no program for each new rate.

``Descent`` itself is that of the kernel regime, with an absolute rate or a schedule of it.
"""

import abc
from typing import TypeAlias

import equinox as eqx
import jax.numpy as jnp
import optax

from ntk_air._base.checks import as_float, check_callable, check_fraction, check_positive
from ntk_air.dynamics.rules import Descent, RateSchedule
from ntk_air.dynamics.run.learning_rate import RelativeRate

NetworkRate: TypeAlias = float | int | RateSchedule
"""A learning rate, or a schedule from the number of steps taken to rates."""


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


class Adam(Optimiser):
    """Adam (Kingma, Ba 2015, algorithm 1).

    Args:
        rate: learning rate, above 0, or a schedule from steps to rates.
        decay_mean: decay β₁ of the gradient's running mean, in [0, 1].
        decay_square: decay β₂ of the squared gradient's running mean, in [0, 1].

    Raises:
        ValueError: for a rate that is not a finite number above 0 and decays outside [0, 1].

    >>> import ntk_air as na
    >>> na.networks.Adam(1e-3).rate_at_start()
    0.001
    """

    rate: NetworkRate = eqx.field(converter=lambda rate: _checked(rate))
    decay_mean: float = eqx.field(default=0.9, converter=as_float, kw_only=True)
    decay_square: float = eqx.field(default=0.999, converter=as_float, kw_only=True)

    def __check_init__(self):
        check_fraction("decay_mean", self.decay_mean)
        check_fraction("decay_square", self.decay_square)

    def transformation(self) -> optax.GradientTransformation:
        """optax's ``adam``."""
        return optax.adam(self.rate, b1=self.decay_mean, b2=self.decay_square)

    def rate_at_start(self) -> float:
        """The learning rate of the first step."""
        return _at_start(self.rate)

    def describe(self) -> str:
        """Adam."""
        return "Adam"


class OptaxOptimiser(Optimiser):
    """Any optax transformation, with what a reader is told of it.

    Args:
        optax_transformation: transformation from gradients to updates. A new object is a new
            program: keep it for several runs.
        name: name of the method, for a reader.
        rate: learning rate of the first step, for a reader.

    >>> import optax
    >>> import ntk_air as na
    >>> na.networks.OptaxOptimiser(optax.lion(1e-4), name="Lion", rate=1e-4).describe()
    'Lion'
    """

    optax_transformation: optax.GradientTransformation
    name: str = eqx.field(kw_only=True, static=True)
    rate: float = eqx.field(kw_only=True, static=True)

    def transformation(self) -> optax.GradientTransformation:
        """The transformation itself."""
        return self.optax_transformation

    def rate_at_start(self) -> float:
        """The rate as it was given."""
        return self.rate

    def describe(self) -> str:
        """The name as it was given."""
        return self.name


class _DescentSteps(Optimiser):
    """``Descent`` by optax: v ← βv − η∇L, θ ← θ + v."""

    rate: NetworkRate
    momentum: float

    def transformation(self) -> optax.GradientTransformation:
        """optax's ``sgd`` with its trace of momentum."""
        return optax.sgd(self.rate, momentum=self.momentum)

    def rate_at_start(self) -> float:
        """η of the first step."""
        return _at_start(self.rate)

    def describe(self) -> str:
        """Descent or heavy ball."""
        return "gradient descent" if self.momentum == 0 else f"heavy ball ({self.momentum:g})"


def as_optimiser(optimiser: Descent | Optimiser) -> Optimiser:
    """What training steps with.

    Raises:
        ValueError: for a ``Descent`` at a rate relative to a kernel's largest eigenvalue.
    """
    if isinstance(optimiser, Optimiser):
        return optimiser
    if isinstance(optimiser.rate, RelativeRate):
        raise ValueError(
            "rate must be a number or a schedule for a network, whose kernel's largest eigenvalue "
            f"is not known: divide by it; got {optimiser.rate!r}"
        )
    return _DescentSteps(_checked(optimiser.rate), optimiser.momentum)


def _checked(rate: NetworkRate) -> NetworkRate:
    if callable(rate):
        check_callable("rate", rate)
        return rate
    check_positive("rate", rate)
    return float(rate)


def _at_start(rate: NetworkRate) -> float:
    return float(rate(jnp.zeros((), jnp.int32))) if callable(rate) else float(rate)
