"""Distillation and self-distillation with linear labels, in closed form (theory.md section 5).

All of these act on each eigenmode by itself. ``initial`` predictions f_0 are where every student
starts; filters act on ỹ − f_0.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import (
    as_float,
    as_number,
    check_at_least,
    check_fraction,
    check_positive,
    check_whole_number,
)
from ntk_air.dynamics.filters.spectral import (
    Response,
    SpectralFilter,
    Values,
    as_values,
    check_descent,
    decay,
    geometric_sum,
)


class StoppedTeacher(SpectralFilter):
    """A student trained on the outputs of a teacher stopped at T: filter g_t·g_T (5a–5c).

    At t → ∞ the student is the teacher; a converged teacher, T → ∞, passes on nothing.

    Args:
        student: the rule that student and teacher train by.
        teacher_steps: T, at least 0.

    Raises:
        ValueError: for teacher_steps below 0.
    """

    student: SpectralFilter
    teacher_steps: float
    learning_rate: float

    def __init__(self, student: SpectralFilter, *, teacher_steps: float | int):
        check_at_least("teacher_steps", teacher_steps, 0.0)
        self.student = student
        self.teacher_steps = float(teacher_steps)
        self.learning_rate = student.learning_rate

    @property
    def description(self) -> str:
        """The rule in words."""
        return f"student of a teacher stopped at {self.teacher_steps:g}; {self.student.description}"

    def check(self, steps: np.ndarray, largest_eigenvalue: float, allow_divergence: bool) -> None:
        """As the student's rule; see ``SpectralRule.check``."""
        steps = np.append(steps, self.teacher_steps)
        self.student.check(steps, largest_eigenvalue, allow_divergence)

    def response(self, eigenvalues: Values, steps: Values) -> Response:
        """1 − g_t·g_T = r_T + g_T·r_t and (g_t/λ)·g_T; see ``SpectralFilter.response``."""
        teacher = self.student.response(eigenvalues, self.teacher_steps)
        retrieved = jnp.maximum(as_values(eigenvalues), 0) * teacher.dual
        student = self.student.response(eigenvalues, steps)
        return Response(
            residual=teacher.residual + retrieved * student.residual,
            dual=student.dual * retrieved,
        )


class DistillationRounds(SpectralFilter):
    """Round after round of T steps, each from f_0 on the last round's outputs: g_Tᴿ (5c).

    Time counts the steps of all rounds; inside round k + 1, m steps in, the filter is g_m·g_Tᵏ.

    Args:
        student: the rule of every round.
        round_steps: T, at least 1.

    Raises:
        ValueError: for round_steps below 1.
    """

    student: SpectralFilter
    round_steps: int
    learning_rate: float

    def __init__(self, student: SpectralFilter, *, round_steps: int):
        check_whole_number("round_steps", round_steps, minimum=1)
        self.student = student
        self.round_steps = as_number(round_steps)
        self.learning_rate = student.learning_rate

    @property
    def description(self) -> str:
        """The rule in words."""
        return f"distillation in rounds of {self.round_steps} steps; {self.student.description}"

    def check(self, steps: np.ndarray, largest_eigenvalue: float, allow_divergence: bool) -> None:
        """As the student's rule; see ``SpectralRule.check``."""
        self.student.check(steps, largest_eigenvalue, allow_divergence)

    def response(self, eigenvalues: Values, steps: Values) -> Response:
        """1 − g_m·g_Tᵏ and (g_m/λ)·g_Tᵏ; see ``SpectralFilter.response``."""
        steps = as_values(steps)
        rounds = jnp.maximum(jnp.ceil(steps / self.round_steps) - 1, 0)
        inside = self.student.response(eigenvalues, steps - rounds * self.round_steps)
        whole = self.student.response(eigenvalues, jnp.full_like(steps, self.round_steps))
        passed_on = decay(whole.residual, rounds)
        lost = whole.residual * geometric_sum(whole.residual, rounds)
        return Response(residual=lost + passed_on * inside.residual, dual=inside.dual * passed_on)


class _Part(eqx.Module):
    retrieved: Float[Array, "..."]
    dual: Float[Array, "..."]


def _descent_parts(learning_rate: Values, eigenvalues: Values, steps: Values) -> _Part:
    eigenvalues = jnp.maximum(as_values(eigenvalues), 0)
    rate = as_values(learning_rate)
    dual = rate * geometric_sum(rate * eigenvalues, steps)
    return _Part(retrieved=eigenvalues * dual, dual=dual)


class _EpochTeacher(SpectralFilter):
    """A teacher that changes every ``epoch_steps`` steps, by gradient descent."""

    learning_rate: float = eqx.field(converter=as_float)
    epoch_steps: int = eqx.field(converter=as_number)
    weight: float = eqx.field(converter=as_float)

    def __check_init__(self):
        check_positive("learning_rate", self.learning_rate)
        check_whole_number("epoch_steps", self.epoch_steps, minimum=1)
        check_fraction("weight", self.weight)

    def check(self, steps: np.ndarray, largest_eigenvalue: float, allow_divergence: bool) -> None:
        """Whole steps, ηλ₁ < 2; see ``SpectralRule.check``."""
        check_descent(self.learning_rate, steps, largest_eigenvalue, allow_divergence)

    def _parts(
        self, eigenvalues: Values, steps: Values, *, end_counts: bool = False
    ) -> tuple[Float[Array, "..."], _Part, _Part]:
        """Finished epochs, one whole epoch's filter, and that of the steps since."""
        steps = as_values(steps)
        length = self.epoch_steps
        epochs = jnp.maximum(jnp.ceil(steps / length) - 1, 0) if end_counts else steps // length
        inside = _descent_parts(self.learning_rate, eigenvalues, steps - epochs * length)
        whole = _descent_parts(self.learning_rate, eigenvalues, jnp.full_like(steps, length))
        return epochs, whole, inside


class LastEpochTeacher(_EpochTeacher):
    """Target αỹ + (1 − α)·(last epoch's output), the student goes on: (I − αM)ᵉ r_0 (5e).

    M = I − (I − ηΘ)ᴱ; k steps into an epoch a factor 1 − α·g_k follows. It still memorises.

    Args:
        learning_rate: η, absolute.
        epoch_steps: E, at least 1.
        weight: α in [0, 1].

    Raises:
        ValueError: for epoch_steps or a weight out of range.
    """

    @property
    def description(self) -> str:
        """The rule in words."""
        return (
            f"identity self-distillation, teacher of the last {self.epoch_steps} steps, "
            f"weight {self.weight:g}, exact"
        )

    def response(self, eigenvalues: Values, steps: Values) -> Response:
        """(1 − αM)ᵉ(1 − αg_k) and its dual weight; see ``SpectralFilter.response``."""
        epochs, whole, inside = self._parts(eigenvalues, steps)
        epoch_rate = self.weight * whole.retrieved
        before = decay(epoch_rate, epochs)
        in_epochs = self.weight * whole.dual * geometric_sum(epoch_rate, epochs)
        return Response(
            residual=before * (1 - self.weight * inside.retrieved),
            dual=in_epochs + before * self.weight * inside.dual,
        )


class RestartedStudent(_EpochTeacher):
    """As ``LastEpochTeacher``, the student back at f_0 each epoch: limit αM/(I − (1 − α)M) (5e).

    A permanent regulariser: after e epochs F_e = αM·Σ_{s<e} ((1 − α)M)ˢ, and k ≥ 1 steps into
    the next one g_k·(α + (1 − α)F_e). The first epoch's teacher is f_0.

    Args:
        learning_rate: η, absolute.
        epoch_steps: E, at least 1.
        weight: α in [0, 1].

    Raises:
        ValueError: for epoch_steps or a weight out of range.
    """

    @property
    def description(self) -> str:
        """The rule in words."""
        return (
            f"identity self-distillation, restarted every {self.epoch_steps} steps, "
            f"weight {self.weight:g}, exact"
        )

    def response(self, eigenvalues: Values, steps: Values) -> Response:
        """1 − g_k(α + (1 − α)F_e) and its dual weight; see ``SpectralFilter.response``."""
        # A record at the end of an epoch is taken before the student goes back to f_0.
        epochs, whole, inside = self._parts(eigenvalues, steps, end_counts=True)
        kept = (1 - self.weight) * whole.retrieved
        teacher = self.weight * whole.retrieved * geometric_sum(1 - kept, epochs)
        aim = self.weight + (1 - self.weight) * teacher
        return Response(residual=1 - inside.retrieved * aim, dual=inside.dual * aim)

    def limit(self, eigenvalues: Values) -> Float[Array, "..."]:
        """αM/(1 − (1 − α)M), the filter after infinitely many epochs; α > 0."""
        rule = _descent_parts(self.learning_rate, eigenvalues, self.epoch_steps)
        return self.weight * rule.retrieved / (1 - (1 - self.weight) * rule.retrieved)
