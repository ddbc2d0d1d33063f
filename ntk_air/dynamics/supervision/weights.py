"""Weight schedules α: how much of the target is the given, noisy label.

A schedule is indexed by step or by epoch, whichever its ``Supervision`` says; the index is a
float 0, 1, 2, … in the precision of the run. Fields of type ``float`` are traced, so that a grid
of schedules compiles once: a schedule of your own that branches on one declares it
``eqx.field(static=True)``.
"""

import abc
from collections.abc import Callable
from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.checks import (
    as_float,
    check_at_least,
    check_fraction,
    check_positive,
    check_whole_number,
    is_function,
)
from ntk_air.dynamics.supervision.label_functions import Hard, Rows

Index: TypeAlias = Float[Array, "..."]
DependsOn: TypeAlias = Literal["index", "pattern", "outputs"]


class WeightSchedule(eqx.Module):
    """α in [0, 1] as a function of the index and, for some, of the teacher's outputs."""

    @abc.abstractmethod
    def __call__(self, index: Index, outputs: Rows, noisy: Rows) -> Index:
        """The weight α.

        Args:
            index: number of the step or epoch, a float from 0; of any shape if α depends on it
                alone.
            outputs: the teacher's outputs f_τ, (rows, n_out).
            noisy: the given labels ỹ, (rows, n_out).
        """

    @abc.abstractmethod
    def depends_on(self) -> DependsOn:
        """What α depends on.

        The ``"index"`` alone; the hard-label ``"pattern"`` of the teacher's outputs as well; or
        these ``"outputs"`` themselves. Events are known for the first two.
        """

    @abc.abstractmethod
    def non_increasing_from(self) -> int | None:
        """The first index from which α never grows, as the tail certificate (6c) asks.

        ``None`` where that is not known. Such a tail converges: see ``limit``.
        """

    @abc.abstractmethod
    def has_finite_sum(self) -> bool | None:
        """Whether Σα is finite (5d); ``None`` where that is not known."""

    @abc.abstractmethod
    def limit(self) -> float | None:
        """α at infinity; ``None`` where that is not known."""


class Constant(WeightSchedule):
    """α = weight: 1 is plain descent, 0 listens to the teacher alone."""

    weight: float = eqx.field(converter=as_float)

    def __check_init__(self):
        check_fraction("weight", self.weight)

    def __call__(self, index: Index, outputs: Rows, noisy: Rows) -> Index:
        """The weight."""
        return jnp.full_like(index, self.weight)

    def depends_on(self) -> DependsOn:
        """The index alone."""
        return "index"

    def non_increasing_from(self) -> int | None:
        """0."""
        return 0

    def has_finite_sum(self) -> bool | None:
        """Only where the weight is 0."""
        return self.weight == 0

    def limit(self) -> float | None:
        """The weight."""
        return self.weight


class Linear(WeightSchedule):
    """α = start + (end − start)·min(index/over, 1): a ramp, up or down, then flat."""

    over: float = eqx.field(converter=as_float)
    start: float = eqx.field(default=1.0, converter=as_float, kw_only=True)
    end: float = eqx.field(default=0.0, converter=as_float, kw_only=True)

    def __check_init__(self):
        check_positive("over", self.over)
        check_fraction("start", self.start)
        check_fraction("end", self.end)

    def __call__(self, index: Index, outputs: Rows, noisy: Rows) -> Index:
        """The weight on the ramp."""
        share = jnp.minimum(index / self.over, 1.0)
        return self.start * (1.0 - share) + self.end * share

    def depends_on(self) -> DependsOn:
        """The index alone."""
        return "index"

    def non_increasing_from(self) -> int | None:
        """0 for a ramp down, its end for a ramp up."""
        return 0 if self.end <= self.start else int(-(-self.over // 1))

    def has_finite_sum(self) -> bool | None:
        """Where it ends at 0."""
        return self.end == 0

    def limit(self) -> float | None:
        """Its end."""
        return self.end


class Geometric(WeightSchedule):
    """α = start · decay^index, with a finite sum for decay < 1."""

    decay: float = eqx.field(converter=as_float)
    start: float = eqx.field(default=1.0, converter=as_float, kw_only=True)

    def __check_init__(self):
        check_fraction("decay", self.decay)
        check_fraction("start", self.start)

    def __call__(self, index: Index, outputs: Rows, noisy: Rows) -> Index:
        """The weight."""
        return self.start * self.decay**index

    def depends_on(self) -> DependsOn:
        """The index alone."""
        return "index"

    def non_increasing_from(self) -> int | None:
        """0."""
        return 0

    def has_finite_sum(self) -> bool | None:
        """For decay < 1."""
        return self.decay < 1 or self.start == 0

    def limit(self) -> float | None:
        """0 for decay < 1."""
        return 0.0 if self.decay < 1 else self.start


class Power(WeightSchedule):
    """α = start · (1 + index/scale)^−exponent, with a finite sum for exponent > 1."""

    exponent: float = eqx.field(converter=as_float)
    scale: float = eqx.field(default=1.0, converter=as_float, kw_only=True)
    start: float = eqx.field(default=1.0, converter=as_float, kw_only=True)

    def __check_init__(self):
        check_at_least("exponent", self.exponent, 0.0)
        check_positive("scale", self.scale)
        check_fraction("start", self.start)

    def __call__(self, index: Index, outputs: Rows, noisy: Rows) -> Index:
        """The weight."""
        return self.start * (1.0 + index / self.scale) ** -self.exponent

    def depends_on(self) -> DependsOn:
        """The index alone."""
        return "index"

    def non_increasing_from(self) -> int | None:
        """0."""
        return 0

    def has_finite_sum(self) -> bool | None:
        """For exponent > 1."""
        return self.exponent > 1 or self.start == 0

    def limit(self) -> float | None:
        """0 for exponent > 0."""
        return 0.0 if self.exponent > 0 else self.start


class Harmonic(WeightSchedule):
    """α = start / (1 + index/scale): goes to 0, but its sum has no end."""

    scale: float = eqx.field(default=1.0, converter=as_float)
    start: float = eqx.field(default=1.0, converter=as_float, kw_only=True)

    def __check_init__(self):
        check_positive("scale", self.scale)
        check_fraction("start", self.start)

    def __call__(self, index: Index, outputs: Rows, noisy: Rows) -> Index:
        """The weight."""
        return self.start / (1.0 + index / self.scale)

    def depends_on(self) -> DependsOn:
        """The index alone."""
        return "index"

    def non_increasing_from(self) -> int | None:
        """0."""
        return 0

    def has_finite_sum(self) -> bool | None:
        """No, unless it starts at 0."""
        return self.start == 0

    def limit(self) -> float | None:
        """0."""
        return 0.0


class Agreement(WeightSchedule):
    """α = 1 − share of rows whose hard label is the given one (theory.md sections 6 and 6f).

    A tied row agrees with nothing, so α = 1, plain descent, at f_0 = 0.
    """

    def __call__(self, index: Index, outputs: Rows, noisy: Rows) -> Index:
        """The weight at the teacher's outputs."""
        hard = Hard()
        agrees = jnp.all(hard(outputs) == hard(noisy), axis=1)
        # A share of counts: a mean that is rounded above 1 would give a negative weight.
        differs = jnp.sum(~agrees, dtype=index.dtype)
        return differs / jnp.full_like(index, noisy.shape[0])

    def depends_on(self) -> DependsOn:
        """The hard labels of the teacher's outputs."""
        return "pattern"

    def non_increasing_from(self) -> int | None:
        """Not known: it depends on the run."""
        return None

    def has_finite_sum(self) -> bool | None:
        """Not known: it depends on the run."""
        return None

    def limit(self) -> float | None:
        """Not known: it depends on the run."""
        return None


class FunctionOfIndex(WeightSchedule):
    """A user's own α = function(index), with what the user knows of its tail.

    Args:
        function: from a float index to a weight in [0, 1], traceable by JAX and elementwise.
        tail_from: first index from which it never grows; ``None`` if not known.
        finite_sum: whether Σα is finite; ``None`` if not known.
        tends_to: α at infinity; ``None`` if not known.
    """

    function: Callable[[Array], Array]
    tail_from: int | None = eqx.field(default=None, kw_only=True)
    finite_sum: bool | None = eqx.field(default=None, kw_only=True)
    tends_to: float | None = eqx.field(default=None, kw_only=True, static=True)

    def __check_init__(self):
        if not is_function(self.function):
            raise ValueError(f"function must be callable, from an index to α; got {self.function}")
        if self.tail_from is not None:
            check_whole_number("tail_from", self.tail_from)
        if self.tends_to is not None:
            check_fraction("tends_to", self.tends_to)

    def __call__(self, index: Index, outputs: Rows, noisy: Rows) -> Index:
        """The function's value."""
        return self.function(index)

    def depends_on(self) -> DependsOn:
        """The index alone."""
        return "index"

    def non_increasing_from(self) -> int | None:
        """As the user says."""
        return self.tail_from

    def has_finite_sum(self) -> bool | None:
        """As the user says."""
        return self.finite_sum

    def limit(self) -> float | None:
        """As the user says."""
        return self.tends_to
