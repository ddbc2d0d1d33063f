"""Teachers: whose outputs the label function reads.

A teacher is a function of its own last outputs, the student's outputs and a clock that counts
steps from 0. What it returns is all it remembers, so it runs inside ``lax.scan``.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ntk_air._base.checks import (
    as_float,
    as_number,
    check_finite,
    check_floating,
    check_fraction,
    check_whole_number,
)
from ntk_air._base.typing import AnyArray
from ntk_air.dynamics.supervision.label_functions import Rows

Clock = Int[Array, ""]


class Teacher(eqx.Module):
    """The source of f_τ(t)."""

    @abc.abstractmethod
    def __call__(self, remembered: Rows, outputs: Rows, clock: Clock) -> Float[Array, "rows n_out"]:
        """The teacher's outputs at this step.

        Args:
            remembered: its outputs one step before; at clock 0 they are not read, or f_0.
            outputs: the student's outputs f_t, (rows, n_out).
            clock: steps since supervision began.
        """

    def steps_per_epoch(self) -> int | None:
        """Steps between two changes of the teacher; ``None`` if it has no epochs."""
        return None

    def restarts_student(self) -> bool:
        """Whether the student goes back to f_0 at the start of each epoch."""
        return False


class CurrentStep(Teacher):
    """f_τ(t) = f_t: the student is its own teacher at every step."""

    def __call__(self, remembered: Rows, outputs: Rows, clock: Clock) -> Float[Array, "rows n_out"]:
        """The student's outputs."""
        return jnp.asarray(outputs)


class _EpochTeacher(Teacher):
    """The student's outputs at the end of the last epoch; in the first, those it began with."""

    epoch_length: int = eqx.field(converter=as_number)

    def __check_init__(self):
        check_whole_number("epoch_length", self.epoch_length, minimum=1)

    def __call__(self, remembered: Rows, outputs: Rows, clock: Clock) -> Float[Array, "rows n_out"]:
        """The outputs at the last multiple of the epoch's length."""
        return jnp.where(clock % self.epoch_length == 0, outputs, remembered)

    def steps_per_epoch(self) -> int | None:
        """The epoch's length."""
        return self.epoch_length


class LastEpoch(_EpochTeacher):
    """The student's outputs at the end of the last epoch; in the first, those it began with.

    Args:
        epoch_length: steps of an epoch, at least 1.

    Raises:
        ValueError: an epoch's length that is no whole number or below 1.
    """


class Restart(_EpochTeacher):
    """As ``LastEpoch``, and the student starts again from f_0 in each epoch (5e).

    Args:
        epoch_length: steps of an epoch, at least 1.

    Raises:
        ValueError: an epoch's length that is no whole number or below 1.
    """

    def restarts_student(self) -> bool:
        """Yes."""
        return True


class ExponentialMovingAverage(Teacher):
    """m_t = decay·m_{t−1} + (1 − decay)·f_t, m_0 = f_0: decay 0 is the current step."""

    decay: float = eqx.field(converter=as_float)

    def __check_init__(self):
        check_fraction("decay", self.decay)
        if self.decay == 1:
            raise ValueError("decay must lie below 1: at 1 the average never moves from f_0")

    def __call__(self, remembered: Rows, outputs: Rows, clock: Clock) -> Float[Array, "rows n_out"]:
        """The average, this step included."""
        average = self.decay * remembered + (1.0 - self.decay) * outputs
        return jnp.where(clock == 0, outputs, average)


class Pretrained(Teacher):
    """A teacher that is finished: the same outputs at every step, as in two-stage distillation.

    Args:
        outputs: teacher's outputs at the student's training inputs, (n_train, n_out).

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> teacher = na.Problem(na.Labels(np.array([[1.0]])), np.array([[2.0]]))
    >>> run = na.solve(teacher, na.Descent(), [1])
    >>> across = np.array([[1.0], [3.0]])  # the teacher's own kernel, from other inputs to its own
    >>> taught = na.teachers.Pretrained.elsewhere(across, run.final.dual)
    >>> student = na.Problem(na.Labels(np.zeros((2, 1))), np.diag([2.0, 1.0]))
    >>> alone = na.Supervision(na.label_functions.Identity(), na.weights.Constant(0.0), taught)
    >>> na.solve(student, alone, [100]).final.predictions.round(3).tolist()
    [[0.5], [1.5]]
    """

    outputs: Float[Array, "rows n_out"] = eqx.field(converter=jnp.asarray)

    @classmethod
    def elsewhere(
        cls, cross_kernel: AnyArray, dual: AnyArray, *, initial: AnyArray | None = None
    ) -> "Pretrained":
        """A teacher of another kernel that was trained on other inputs: f_0 + Θ_T(x, X_T)c.

        Args:
            cross_kernel: teacher's kernel from the student's training inputs to the teacher's,
                (n_train, n_teacher).
            dual: teacher's dual variables c, (n_teacher, n_out), as ``run.final.dual``.
            initial: teacher's f_0 at the student's inputs, (n_train, n_out); ``None`` is 0.

        Raises:
            ValueError: arrays that are not finite floating-point, or do not fit together.
        """
        arrays = {"cross_kernel": cross_kernel, "dual": dual}
        for name, array in (arrays | ({} if initial is None else {"initial": initial})).items():
            check_floating(name, array)
            check_finite(name, array)
        if cross_kernel.ndim != 2 or dual.ndim != 2 or cross_kernel.shape[1] != dual.shape[0]:
            raise ValueError(
                "cross_kernel and dual must have shapes (n_train, n_teacher) and (n_teacher, "
                f"n_out); got {cross_kernel.shape} and {dual.shape}"
            )
        outputs = jnp.matmul(cross_kernel, dual, precision="highest")
        if initial is not None and initial.shape != outputs.shape:
            raise ValueError(f"initial must have shape {outputs.shape}; got {initial.shape}")
        return cls(outputs if initial is None else outputs + initial)

    def __call__(self, remembered: Rows, outputs: Rows, clock: Clock) -> Float[Array, "rows n_out"]:
        """Its own outputs."""
        return self.outputs
