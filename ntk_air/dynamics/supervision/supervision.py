"""Supervision = label function × weight schedule × teacher (theory.md section 6)."""

from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntk_air._base.checks import as_number, check_choice, check_whole_number, is_function
from ntk_air._base.typing import AnyArray
from ntk_air.dynamics.supervision.label_functions import (
    Identity,
    LabelFunctionLike,
    Rows,
    trace_floats,
)
from ntk_air.dynamics.supervision.teachers import Clock, CurrentStep, Teacher
from ntk_air.dynamics.supervision.weights import Constant, FunctionOfIndex, WeightSchedule

_CHUNK = 4096
"""Weights are made for so many steps at once: one program for any number of steps."""

WeightBy: TypeAlias = Literal["step", "epoch"]


class Target(eqx.Module):
    """What one step is trained on.

    Attributes:
        target: αỹ + (1 − α)h(f_τ), (rows, n_out).
        weight: α.
    """

    target: Float[Array, "rows n_out"]
    weight: Float[Array, ""]


class Supervision(eqx.Module):
    """target_t = α_t ỹ + (1 − α_t) h(f_τ(t)), free of kernels and networks.

    For the first ``warm_up`` steps α = 1, plain descent, and the clocks of schedule and teacher
    stand at 0: the first epoch's teacher is the student at the end of the warm-up.

    Args:
        label_function: label function h, one of ``label_functions`` or any callable from rows
            (n, n_out) to rows with h(0) = 0.
        schedule: weights α in [0, 1], one of ``weights`` or any callable of the index alone.
        teacher: source of f_τ, one of ``teachers``; ``None`` is ``CurrentStep()``.
        warm_up: number of steps of plain descent before all else.
        weight_by: unit that the schedule's index counts: ``"epoch"`` (the default for a
            teacher that has epochs) or ``"step"``.

    Raises:
        ValueError: for parts of the wrong kind, a negative warm-up, and ``weight_by="epoch"``
            with a teacher that has no epochs.

    >>> import ntk_air as na
    >>> taught = na.Supervision(na.label_functions.Hard(), na.weights.Harmonic(4), warm_up=2)
    >>> [round(float(weight), 3) for weight in taught.weights([0, 1, 2, 3, 6])]
    [1.0, 1.0, 1.0, 0.8, 0.5]
    """

    label_function: LabelFunctionLike
    schedule: WeightSchedule
    teacher: Teacher
    warm_up: int
    weight_by: WeightBy = eqx.field(static=True)

    def __init__(
        self,
        label_function: LabelFunctionLike,
        schedule: WeightSchedule | LabelFunctionLike,
        teacher: Teacher | None = None,
        *,
        warm_up: int = 0,
        weight_by: WeightBy | None = None,
    ):
        teacher = CurrentStep() if teacher is None else teacher
        _check_kinds(label_function, schedule, teacher, warm_up)
        if weight_by is None:
            weight_by = "step" if teacher.steps_per_epoch() is None else "epoch"
        check_choice("weight_by", weight_by, ("step", "epoch"))
        if weight_by == "epoch" and teacher.steps_per_epoch() is None:
            raise ValueError(
                "weight_by='epoch' needs a teacher with epochs, LastEpoch or Restart; "
                f"got {type(teacher).__name__}"
            )
        self.label_function = label_function
        self.schedule = (
            schedule if isinstance(schedule, WeightSchedule) else FunctionOfIndex(schedule)
        )
        self.teacher = teacher
        self.warm_up = as_number(warm_up)
        self.weight_by = weight_by

    def observe(self, remembered: Rows, outputs: Rows, step: Clock) -> Float[Array, "rows n_out"]:
        """The teacher's outputs at this step: what ``target`` reads, and the next step remembers.

        Args:
            remembered: what this returned a step before; at step 0 the outputs themselves.
            outputs: the student's outputs f_t, (rows, n_out).
            step: t.
        """
        clock = jnp.maximum(step - self.warm_up, 0)
        return self.teacher(remembered, outputs, clock)

    def target(self, teacher_outputs: Rows, noisy: Rows, step: Clock) -> Target:
        """The target of this step.

        Args:
            teacher_outputs: f_τ(t), from ``observe``.
            noisy: the given labels ỹ, (rows, n_out).
            step: t.
        """
        noisy = jnp.asarray(noisy)
        weight = self.weight(teacher_outputs, noisy, step)
        labels = self.label_function(jnp.asarray(teacher_outputs))
        return Target(target=weight * noisy + (1.0 - weight) * labels, weight=weight)

    def weight(self, teacher_outputs: Rows, noisy: Rows, step: Clock) -> Float[Array, ""]:
        """α_t; arguments as of ``target``."""
        index = self.weight_index(step).astype(noisy.dtype)
        weight = jnp.asarray(self.schedule(index, teacher_outputs, noisy), noisy.dtype)
        return jnp.where(step < self.warm_up, 1.0, weight)

    def restarts_at(self, step: Clock) -> Array:
        """Whether the student goes back to f_0 before it takes this step."""
        length = self.teacher.steps_per_epoch()
        if length is None or not self.teacher.restarts_student():
            return jnp.zeros_like(step, dtype=bool)
        clock = step - self.warm_up
        return (clock >= 0) & (clock % length == 0)

    def weight_index(self, step: Int[Array, "..."]) -> Int[Array, "..."]:
        """The schedule's index at a step: steps or epochs since the warm-up."""
        clock = jnp.maximum(step - self.warm_up, 0)
        return clock // self._steps_per_index

    def weights(self, steps: Int[AnyArray, " n_step"]) -> Float[np.ndarray, " n_step"]:
        """α at the given steps, at least one, for a schedule that depends on the index alone.

        Raises:
            ValueError: for a schedule that depends on the run, or leaves [0, 1] at these steps.
        """
        if self.schedule.depends_on() != "index":
            raise ValueError(
                f"{type(self.schedule).__name__} depends on the run's "
                f"{self.schedule.depends_on()}: its weights are not known beforehand"
            )
        chunks = np.pad(np.asarray(steps), (0, -len(steps) % _CHUNK), mode="edge")
        traced = trace_floats(self)
        weights = np.concatenate(
            [np.asarray(_weights(traced, part)) for part in chunks.reshape(-1, _CHUNK)]
        )[: len(steps)]
        outside = np.flatnonzero(~((weights >= 0) & (weights <= 1)))
        if outside.size:
            raise ValueError(
                f"schedule must give weights in [0, 1]; got {float(weights[outside[0]])!r} at "
                f"step {int(steps[outside[0]])}"
            )
        return weights

    def non_increasing_from(self) -> int | None:
        """The first step from which α never grows; ``None`` where that is not known."""
        index = self.schedule.non_increasing_from()
        if not index:  # From index 0 on: the warm-up's α = 1 is never below what follows.
            return index
        return self.warm_up + index * self._steps_per_index

    def has_finite_sum(self) -> bool | None:
        """Whether Σα_t is finite; ``None`` where that is not known."""
        return self.schedule.has_finite_sum()

    @property
    def _steps_per_index(self) -> int:
        length = self.teacher.steps_per_epoch()
        return 1 if self.weight_by == "step" or length is None else length


def plain_descent() -> Supervision:
    """α = 1: the given labels and no teacher."""
    return Supervision(Identity(), Constant(1.0))


@eqx.filter_jit
def _weights(supervision: Supervision, steps: Int[AnyArray, " n_step"]) -> Float[Array, " n_step"]:
    steps = jnp.asarray(steps)
    index = supervision.weight_index(steps).astype(float)
    nothing = jnp.zeros((1, 1))
    weights = supervision.schedule(index, nothing, nothing)
    return jnp.where(steps < supervision.warm_up, 1.0, weights)


def _check_kinds(label_function: object, schedule: object, teacher: object, warm_up: int) -> None:
    if not is_function(label_function):
        raise ValueError(f"label_function must be callable, rows to rows; got {label_function!r}")
    if not is_function(schedule):
        raise ValueError(
            f"schedule must be a WeightSchedule or a callable of the index; got {schedule!r}"
        )
    if not isinstance(teacher, Teacher):
        raise ValueError(f"teacher must be a Teacher; got {teacher!r}")
    check_whole_number("warm_up", warm_up)
