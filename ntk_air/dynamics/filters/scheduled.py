"""Self-distillation whose weight α_t changes from step to step, mode by mode (theory.md 5d, 6b).

Each mode follows a scalar recursion of its own; Θ is never multiplied by.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_fraction
from ntk_air._base.typing import AnyArray
from ntk_air.dynamics.filters.spectral import (
    ModeLabels,
    ModeStates,
    Response,
    SpectralRule,
    check_descent,
    decay,
    filtered,
    geometric_sum,
)


class IdentityDistillation(SpectralRule):
    """Target α_tỹ + (1 − α_t)m_t with the identity as label function, mode by mode (5d).

    With the current output as teacher, m_t = f_t, this is plain descent on another clock:
    f_t − ỹ = Π_{s<t}(I − ηα_sΘ) r_0. A decay β makes m_t = βm_{t−1} + (1 − β)f_t, m_0 = f_0.

    Args:
        learning_rate: η, absolute.
        weights: α_0, α_1, …, (n_step,), each in [0, 1]; the run may take as many steps.
        decay: β of the teacher's moving average in [0, 1); 0 is the current step.

    Raises:
        ValueError: for weights or a decay out of range.
    """

    learning_rate: float
    weights: Float[Array, " n_step"]
    average_decay: float

    def __init__(
        self,
        learning_rate: float,
        weights: float | Sequence[float] | AnyArray,
        *,
        average_decay: float = 0.0,
    ):
        check_fraction("average_decay", average_decay)
        self.learning_rate = float(learning_rate)
        self.weights = _checked_weights(weights)
        self.average_decay = float(average_decay)

    @property
    def description(self) -> str:
        """The rule in words."""
        teacher = f"average of decay {self.average_decay:g}" if self.average_decay else "itself"
        return f"identity self-distillation, teacher {teacher}, exact"

    def check(self, steps: np.ndarray, largest_eigenvalue: float, allow_divergence: bool) -> None:
        """Whole steps, no more than there are weights, ηλ₁ < 2; see ``SpectralRule.check``."""
        check_descent(self.learning_rate, steps, largest_eigenvalue, allow_divergence)
        _check_covered(steps, self.weights)

    def begin(self, eigenvalues: Float[Array, " n_mode"]) -> Any:
        """Step 0: residuals of student and teacher 1, dual weight 0."""
        one = jnp.ones_like(eigenvalues)
        return jnp.zeros((), jnp.int32), (one, one, jnp.zeros_like(eigenvalues))

    def advance(
        self,
        carry: Any,
        eigenvalues: Float[Array, " n_mode"],
        labels: ModeLabels,
        steps: Float[Array, " n_step"],
    ) -> tuple[Any, ModeStates]:
        """Residuals p of the student and m of the teacher, dual weight q, from step to step."""
        weights = self.weights.astype(eigenvalues.dtype)
        rate = self.learning_rate * jnp.maximum(eigenvalues, 0)

        def one_step(step, modes):
            student, teacher, dual = modes
            pull = student - teacher + weights[step] * teacher
            student = student - rate * pull
            teacher = self.average_decay * teacher + (1 - self.average_decay) * student
            return student, teacher, dual + self.learning_rate * pull

        carry, (student, _, dual) = _follow(carry, one_step, steps)
        return carry, filtered(Response(residual=student, dual=dual), labels)


class HardPatternTail(SpectralRule):
    """Hard labels from the moment their pattern is y: e_{t+1} = (I − ηΘ)e_t + ηα_tΘξ (6b).

    Exact and linear for as long as h(f) = y holds, which is for the certificate to say. Time
    counts from that moment and ``initial`` is f then; ``clean`` is the pattern that holds.

    Args:
        learning_rate: η, absolute.
        weights: α from that moment on, (n_step,), each in [0, 1].

    Raises:
        ValueError: for weights out of range.
    """

    learning_rate: float
    weights: Float[Array, " n_step"]

    def __init__(self, learning_rate: float, weights: float | Sequence[float] | AnyArray):
        self.learning_rate = float(learning_rate)
        self.weights = _checked_weights(weights)

    @property
    def description(self) -> str:
        """The rule in words."""
        return "self-distillation with a hard pattern that holds, exact"

    def check(self, steps: np.ndarray, largest_eigenvalue: float, allow_divergence: bool) -> None:
        """Whole steps, no more than there are weights, ηλ₁ < 2; see ``SpectralRule.check``."""
        check_descent(self.learning_rate, steps, largest_eigenvalue, allow_divergence)
        _check_covered(steps, self.weights)

    def begin(self, eigenvalues: Float[Array, " n_mode"]) -> Any:
        """Step 0: no noise taken up yet."""
        return jnp.zeros((), jnp.int32), jnp.zeros_like(eigenvalues)

    def advance(
        self,
        carry: Any,
        eigenvalues: Float[Array, " n_mode"],
        labels: ModeLabels,
        steps: Float[Array, " n_step"],
    ) -> tuple[Any, ModeStates]:
        """(1 − ηλ)ᵗ(f_0 − y) by formula; the noise taken up, v_{t+1} = (1 − ηλ)v_t + ηα_t."""
        weights = self.weights.astype(eigenvalues.dtype)
        eigenvalues = jnp.maximum(eigenvalues, 0)
        rate = self.learning_rate * eigenvalues

        def one_step(step, taken_up):
            return (1 - rate) * taken_up + self.learning_rate * weights[step]

        carry, taken_up = _follow(carry, one_step, steps)
        signal = filtered(
            Response(
                residual=decay(rate, steps[:, None]),
                dual=self.learning_rate * geometric_sum(rate, steps[:, None]),
            ),
            ModeLabels(initial=labels.initial, clean=labels.clean, noisy=labels.clean),
        )
        noise = jnp.asarray(labels.noisy) - labels.clean
        dual = taken_up[:, :, None] * noise
        from_clean = signal.from_clean + eigenvalues[None, :, None] * dual
        return carry, ModeStates(
            dual=signal.dual + dual, from_clean=from_clean, from_noisy=from_clean - noise
        )


def _follow(carry: Any, one_step: Any, steps: Float[Array, " n_step"]) -> tuple[Any, Any]:
    """Run ``one_step(step, modes)`` from where ``carry`` stands, noting the modes at ``steps``."""

    def to_next(carry, stop):
        start, modes = carry
        modes = jax.lax.fori_loop(start, stop, one_step, modes)
        return (stop, modes), modes

    return jax.lax.scan(to_next, carry, steps.astype(jnp.int32))


def _checked_weights(weights: float | Sequence[float] | AnyArray) -> Float[Array, " n_step"]:
    """Weights as a vector of values in [0, 1], or ``ValueError``."""
    array = np.asarray(weights, dtype=float)
    if array.ndim != 1 or not ((array >= 0) & (array <= 1)).all():
        raise ValueError(
            "weights must be a vector of values in [0, 1]; got shape "
            f"{array.shape}, from {array.min(initial=np.inf)} to {array.max(initial=-np.inf)}"
        )
    return jnp.asarray(array)


def _check_covered(steps: np.ndarray, weights: Float[Array, " n_step"]) -> None:
    """Require one weight for every step to be taken."""
    if len(steps) and steps[-1] > len(weights):
        raise ValueError(
            f"times must not go beyond the {len(weights)} weights given; got {steps[-1]:g}"
        )
