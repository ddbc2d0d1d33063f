"""Spectral filters: what one mode has retrieved after t steps (theory.md section 1).

A filter is known by its residual 1 − g_t(λ) and its dual weight g_t(λ)/λ: each is computed
directly, so that neither loses digits where the other is near 0 or 1, and no eigenvalue is
divided by. Eigenvalues at or below 0 take the limits at λ = 0: residual 1, dual weight ηt.
"""

import abc
from typing import Any, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ntk_air._base.checks import as_float, check_positive
from ntk_air._base.typing import AnyArray
from ntk_air.dynamics.run.learning_rate import absolute_rate

Values: TypeAlias = Float[AnyArray, "..."] | np.floating | float | int
"""Eigenvalues, rates or steps: arrays that broadcast, or one number."""


def as_values(values: Values) -> Float[Array, "..."]:
    """The values as an array; a Python number takes the precision of what it meets."""
    return jnp.asarray(float(values) if isinstance(values, int) else values)


def decay(rate: Values, steps: Values) -> Float[Array, "..."]:
    """(1 − x)ᵗ for a rate x and steps t ≥ 0, by t·log1p(−x); its sign alternates for x > 1.

    Args:
        rate: x, dimensionless; broadcast against ``steps``.
        steps: t; whole numbers wherever x > 1.
    """
    rate, steps = as_values(rate), as_values(steps)
    at_one = rate == 1
    size = jnp.where(rate < 1, -jnp.where(rate < 1, rate, 0), jnp.where(at_one, 0, rate - 2))
    power = jnp.exp(steps * jnp.log1p(size))
    alternating = jnp.where((rate > 1) & (jnp.mod(steps, 2) == 1), -power, power)
    return jnp.where(at_one, jnp.where(steps == 0, 1.0, 0.0), alternating)


def geometric_sum(rate: Values, steps: Values) -> Float[Array, "..."]:
    """Σ_{s<t} (1 − x)ˢ = (1 − (1 − x)ᵗ)/x, by expm1 and log1p; its limit at x = 0 is t.

    Args:
        rate: x, dimensionless; broadcast against ``steps``.
        steps: t ≥ 0; whole numbers wherever x > 1.
    """
    rate, steps = as_values(rate), as_values(steps)
    divides, safe = _divisor(rate)
    below_one = safe < 1
    log_decay = jnp.log1p(-jnp.where(below_one, safe, 0))
    retrieved = jnp.where(below_one, -jnp.expm1(steps * log_decay), 1 - decay(rate, steps))
    return jnp.where(divides, retrieved / safe, steps)


def exponential_mean(rate: Values, time: Values) -> Float[Array, "..."]:
    """(1 − e^{−λs})/λ, by expm1; its limit at λ = 0 is s.

    Args:
        rate: λ ≥ 0; broadcast against ``time``.
        time: s ≥ 0, in the inverse unit of λ.
    """
    rate, time = as_values(rate), as_values(time)
    divides, safe = _divisor(rate)
    return jnp.where(divides, -jnp.expm1(-safe * time) / safe, time)


class Response(eqx.Module):
    """What a filter has done to modes of eigenvalue λ by step t.

    Attributes:
        residual: 1 − g_t(λ).
        dual: g_t(λ)/λ, in the unit of a learning rate.
    """

    residual: Float[Array, "..."]
    dual: Float[Array, "..."]


class ModeLabels(eqx.Module):
    """Initial predictions and labels in the eigenbasis: Vᵀf_0, Vᵀy, Vᵀỹ."""

    initial: Float[AnyArray, "n_mode n_out"]
    clean: Float[AnyArray, "n_mode n_out"]
    noisy: Float[AnyArray, "n_mode n_out"]


class ModeStates(eqx.Module):
    """A run in the eigenbasis at several steps.

    Each difference is carried by itself, so that a small one keeps its digits.

    Attributes:
        dual: Vᵀc_t.
        from_clean: Vᵀ(f_t − y).
        from_noisy: Vᵀ(f_t − ỹ).
    """

    dual: Float[AnyArray, "n_step n_mode n_out"]
    from_clean: Float[AnyArray, "n_step n_mode n_out"]
    from_noisy: Float[AnyArray, "n_step n_mode n_out"]


class SpectralRule(eqx.Module):
    """A training rule that acts on each eigenmode by itself, followed from step to step.

    Attributes:
        learning_rate: η, absolute.
    """

    learning_rate: eqx.AbstractVar[float]

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """What the rule is, for a reader."""

    @abc.abstractmethod
    def check(self, steps: np.ndarray, largest_eigenvalue: float, allow_divergence: bool) -> None:
        """Raise ``ValueError`` for steps the rule does not define, or a rate that diverges."""

    @abc.abstractmethod
    def begin(self, eigenvalues: Float[Array, " n_mode"]) -> Any:
        """The state before step 0 that ``advance`` carries."""

    @abc.abstractmethod
    def advance(
        self,
        carry: Any,
        eigenvalues: Float[Array, " n_mode"],
        labels: ModeLabels,
        steps: Float[Array, " n_step"],
    ) -> tuple[Any, ModeStates]:
        """Follow the modes through ascending ``steps``, none before the last ones asked for.

        What each mode does is linear in its labels.
        """


class SpectralFilter(SpectralRule):
    """A rule whose response at any step is a formula: it fits the noisy labels by a filter."""

    @abc.abstractmethod
    def response(self, eigenvalues: Values, steps: Values) -> Response:
        """Residual and dual weight of modes of the given eigenvalues at the given steps.

        Args:
            eigenvalues: λ; broadcast against ``steps``. Below 0 counts as 0.
            steps: t ≥ 0.
        """

    def retrieved(self, eigenvalues: Values, steps: Values) -> Float[Array, "..."]:
        """g_t(λ): the share of a mode of the labels that has been fitted."""
        return jnp.maximum(as_values(eigenvalues), 0) * self.response(eigenvalues, steps).dual

    def begin(self, eigenvalues: Float[Array, " n_mode"]) -> tuple[()]:
        """Nothing is carried: every step is a formula of its own."""
        return ()

    def advance(
        self,
        carry: tuple[()],
        eigenvalues: Float[Array, " n_mode"],
        labels: ModeLabels,
        steps: Float[Array, " n_step"],
    ) -> tuple[tuple[()], ModeStates]:
        """The modes at ``steps``: f_t − ỹ = (1 − g_t)(f_0 − ỹ), c_t = −(g_t/λ)(f_0 − ỹ)."""
        return (), filtered(self.response(eigenvalues[None, :], steps[:, None]), labels)


def filtered(response: Response, labels: ModeLabels) -> ModeStates:
    """The states of a run that fits the noisy labels by a filter.

    Args:
        response: each leaf (n_step, n_mode).
        labels: each leaf (n_mode, n_out).
    """
    start = jnp.asarray(labels.initial) - labels.noisy
    from_noisy = response.residual[:, :, None] * start
    return ModeStates(
        dual=-response.dual[:, :, None] * start,
        from_clean=from_noisy + (jnp.asarray(labels.noisy) - labels.clean),
        from_noisy=from_noisy,
    )


class GradientDescent(SpectralFilter):
    """f ← f − ηΘ(f − ỹ): g_t(λ) = 1 − (1 − ηλ)ᵗ (theory.md section 1)."""

    learning_rate: float = eqx.field(converter=as_float)

    def check(self, steps: np.ndarray, largest_eigenvalue: float, allow_divergence: bool) -> None:
        """Whole steps, ηλ₁ < 2; see ``SpectralRule.check``."""
        check_descent(self.learning_rate, steps, largest_eigenvalue, allow_divergence)

    @property
    def description(self) -> str:
        """The rule in words."""
        return "gradient descent, exact"

    def response(self, eigenvalues: Values, steps: Values) -> Response:
        """(1 − ηλ)ᵗ and η Σ_{s<t} (1 − ηλ)ˢ; see ``SpectralFilter.response``."""
        rate = self.learning_rate * jnp.maximum(as_values(eigenvalues), 0)
        return Response(
            residual=decay(rate, steps), dual=self.learning_rate * geometric_sum(rate, steps)
        )


class GradientFlow(SpectralFilter):
    """df/ds = −Θ(f − ỹ), s = ηt: g_t(λ) = 1 − e^{−sλ} (theory.md section 1).

    The learning rate only sets the clock that puts the flow on descent's axis of steps.
    """

    learning_rate: float = eqx.field(converter=as_float)

    def check(self, steps: np.ndarray, largest_eigenvalue: float, allow_divergence: bool) -> None:
        """Every time and every positive rate will do; see ``SpectralRule.check``."""
        check_positive("learning_rate", self.learning_rate)

    @property
    def description(self) -> str:
        """The rule in words."""
        return "gradient flow, exact"

    def response(self, eigenvalues: Values, steps: Values) -> Response:
        """e^{−sλ} and (1 − e^{−sλ})/λ at s = ηt; see ``SpectralFilter.response``."""
        rate = jnp.maximum(as_values(eigenvalues), 0)
        time = self.learning_rate * as_values(steps)
        return Response(residual=jnp.exp(-rate * time), dual=exponential_mean(rate, time))


def check_descent(
    learning_rate: float,
    steps: np.ndarray,
    largest_eigenvalue: float,
    allow_divergence: bool,
    *,
    momentum: float = 0.0,
) -> None:
    """Require whole steps and a stable rate, as rules made of descent steps do.

    Raises:
        ValueError: for fractional steps, and for a rate that ``absolute_rate`` refuses.
    """
    fractional = np.flatnonzero(steps != np.floor(steps))
    if len(fractional):
        raise ValueError(
            f"times must be whole numbers of steps; got {steps[fractional[0]]} at index "
            f"{fractional[0]} (gradient flow takes any time)"
        )
    absolute_rate(
        learning_rate,
        largest_eigenvalue=largest_eigenvalue,
        momentum=momentum,
        allow_divergence=allow_divergence,
    )


def _divisor(
    rate: Float[Array, "..."],
) -> tuple[Bool[Array, "..."], Float[Array, "..."]]:
    """Where a rate is large enough to divide by, and the rate made safe to divide by."""
    # Below this, products with the rate are subnormal and accelerators flush them to 0.
    info = jnp.finfo(rate.dtype)
    divides = jnp.abs(rate) > info.tiny / info.eps
    return divides, jnp.where(divides, rate, 1)
