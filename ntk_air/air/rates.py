"""How fast each mode is retrieved: rates per step, half-lives, retrieved fractions.

A mode of eigenvalue λ is retrieved to g_t(λ) = 1 − e^{−tμ} after t steps (theory.md section 2).
Gradient flow has μ = ηλ. Descent has μ = −ln(1 − ηλ), so that g_t = 1 − (1 − ηλ)ᵗ at whole t and
its only smooth interpolation between; μ = ∞ where ηλ = 1, a mode retrieved by the first step.
"""

from functools import partial
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_choice, check_kind, check_positive
from ntk_air._base.typing import AnyArray, Times
from ntk_air.spectrum.result import Spectrum

Dynamics: TypeAlias = Literal["descent", "flow"]

ModeRates: TypeAlias = Float[AnyArray, " n_mode"]


def retrieval_rates(
    spectrum: Spectrum, *, learning_rate: float | None = None, dynamics: Dynamics = "descent"
) -> ModeRates:
    """μ_j, the rate at which what is left of mode j decays, per step: (n_mode,), descending.

    Modes at or below ``spectrum.zero_floor`` have the rate 0: rounding gave their eigenvalues.

    Args:
        spectrum: spectrum of Θ, (n_train, n_train).
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.

    Returns:
        Rates per step, ∞ where ηλ_j = 1 under descent, (n_mode,).

    Raises:
        ValueError: for a rate that is not positive; for descent also if η·λ₁ > 1: modes above it
            overshoot, and what they have retrieved is neither monotone nor defined between steps.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import retrieval_rates
    >>> from ntk_air.spectrum.decomposition import decompose
    >>> retrieval_rates(decompose(np.diag([4.0, 2.0])), dynamics="flow").tolist()
    [1.0, 0.5]
    """
    check_choice("dynamics", dynamics, ("descent", "flow"))
    check_kind("spectrum", spectrum, Spectrum)
    rate = spectrum.default_learning_rate if learning_rate is None else learning_rate
    check_positive("learning_rate", rate)
    # The rounding of 1/λ₁ is forgiven.
    if dynamics == "descent" and rate * spectrum.lambda_max > 1 + 1e-6:
        raise ValueError(
            f"learning_rate must be at most 1/λ₁ = {spectrum.default_learning_rate:.6g}, where "
            f"the retrieved share is monotone in time; got {rate:.6g}: lower it or use "
            "dynamics='flow'"
        )
    return rates_of(spectrum.eigenvalues, rate, zero_floor=spectrum.zero_floor, dynamics=dynamics)


def rates_of(
    eigenvalues: Float[AnyArray, " n_mode"],
    learning_rate: float,
    *,
    zero_floor: float,
    dynamics: Dynamics,
) -> ModeRates:
    """μ_j of eigenvalues that nothing else is known of; those up to ``zero_floor`` count as 0."""
    scale, floor = (np.asarray(value, eigenvalues.dtype) for value in (learning_rate, zero_floor))
    return _rates(jnp.asarray(eigenvalues), scale, floor, dynamics == "descent")


def retrieval_half_lives(
    spectrum: Spectrum, learning_rate: float | None = None, *, dynamics: Dynamics = "descent"
) -> Float[Array, " n_mode"]:
    """Steps until half of each mode is retrieved: ln 2/μ_j = ln 2/−ln(1 − ηλ_j), (n_mode,).

    0 where ηλ_j = 1, for the first step retrieves such a mode wholly; ∞ for zero modes.

    Args:
        spectrum: spectrum of Θ, (n_train, n_train).
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.

    Returns:
        Half-lives in steps, ascending, (n_mode,).

    Raises:
        ValueError: a learning rate that is not positive, or above 1/λ₁ for descent.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import retrieval_half_lives
    >>> from ntk_air.spectrum.decomposition import decompose
    >>> retrieval_half_lives(decompose(np.diag([4.0, 2.0]))).tolist()
    [0.0, 1.0]
    """
    return _half_lives(retrieval_rates(spectrum, learning_rate=learning_rate, dynamics=dynamics))


def effective_dimension(
    spectrum: Spectrum,
    times: Times,
    *,
    learning_rate: float | None = None,
    dynamics: Dynamics = "descent",
) -> Float[Array, " n_time"]:
    """Σ_j g_t(λ_j): how many modes have been retrieved by each time, (n_time,).

    Args:
        spectrum: spectrum of Θ; modes that a truncated one lacks are not counted.
        times: times t in steps, at least 0, (n_time,).
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.

    Returns:
        Numbers of modes between 0 and n_mode, (n_time,).

    Raises:
        ValueError: a negative or NaN time; a learning rate that is not positive, or above 1/λ₁ for
            descent.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import effective_dimension
    >>> from ntk_air.spectrum.decomposition import decompose
    >>> effective_dimension(decompose(np.diag([4.0, 2.0])), np.array([0.0, 1.0, 2.0])).tolist()
    [0.0, 1.5, 1.75]
    """
    rates = retrieval_rates(spectrum, learning_rate=learning_rate, dynamics=dynamics)
    return _dimension(rates, checked_times(times, rates))


def checked_times(times: Times, rates: ModeRates) -> Float[Array, " n_time"]:
    """``times`` in the precision of ``rates``, none of them negative or NaN."""
    converted = np.asarray(times, rates.dtype)
    # Not `< 0`: NaN must not pass.
    if not (converted >= 0).all():
        raise ValueError(f"times must be at least 0 steps; the smallest is {converted.min()}")
    return jnp.asarray(converted)


def decayed(rates: ModeRates, time: Float[Array, ""]) -> Float[Array, " n_mode"]:
    """−tμ of each mode, the logarithm of what is left of it; rates and time may be 0 or ∞."""
    nothing_yet = (rates == 0) | (time == 0)
    return jnp.where(nothing_yet, 0, -time * jnp.where(nothing_yet, 1, rates))


def retrieved(rates: ModeRates, time: Float[Array, ""]) -> Float[Array, " n_mode"]:
    """g_t = 1 − e^{−tμ} of each mode."""
    return 0 - jnp.expm1(decayed(rates, time))  # 0 −, not −: no negative zeros at time 0


@partial(jax.jit, static_argnums=3)
def _rates(
    eigenvalues: Float[Array, " n_mode"],
    learning_rate: Float[Array, ""],
    floor: Float[Array, ""],
    descent: bool,
) -> ModeRates:
    scaled = learning_rate * jnp.where(eigenvalues > floor, eigenvalues, 0)
    if not descent:
        return scaled
    # Eigenvalues are known to n·ε·λ₁: at η = 1/λ₁ the top ones may fall just short of 1.
    at_once = scaled >= 1 - learning_rate * floor
    return jnp.where(at_once, jnp.inf, -jnp.log1p(-jnp.where(at_once, 0, scaled)))


@jax.jit
def _half_lives(rates: ModeRates) -> Float[Array, " n_mode"]:
    return jnp.log(jnp.asarray(2, rates.dtype)) / rates


@jax.jit
def _dimension(rates: ModeRates, times: Float[Array, " n_time"]) -> Float[Array, " n_time"]:
    return jax.lax.map(lambda time: jnp.sum(retrieved(rates, time)), times, batch_size=64)
