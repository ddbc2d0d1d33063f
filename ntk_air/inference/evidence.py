"""How likely labels are under a kernel with noise, and which noise variance explains them best."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from ntk_air._base.checks import check_choice, check_kind
from ntk_air._base.typing import KernelMatrix, Targets
from ntk_air.inference.arguments import (
    Scalar,
    check_matrices,
    check_no_overflow,
    checked_factor,
)
from ntk_air.spectrum.result import Spectrum

Criterion = Literal["evidence", "leave-one-out", "gcv"]

_GRID = 61
"""Noise variances that are tried before the best is refined: four in a decade."""


def log_marginal_likelihood(
    kernel: Spectrum | KernelMatrix, targets: Targets, *, noise_variance: Scalar
) -> Float[Array, ""]:
    """ln p(ỹ) with ỹ ~ N(0, K + σ²), summed over outputs, in nats.

    −½·Σ ỹᵀ(K + σ²)⁻¹ỹ − ½·n_out·ln det(K + σ²) − ½·n·n_out·ln 2π (Rasmussen, Williams 2006,
    equation 2.30). Differentiable in a kernel matrix and in σ², so that any hyperparameter of a
    kernel can be fitted by it.

    Args:
        kernel: Kernel K of the training inputs, shape (n_train, n_train), or its complete spectrum.
        targets: Labels ỹ, shape (n_train, n_out).
        noise_variance: Variance σ² of the labels' noise, at least 0.

    Raises:
        ValueError: See ``gp_posterior``.

    Example:
        >>> import jax; jax.config.update("jax_enable_x64", True)
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> likelihood = na.inference.log_marginal_likelihood
        >>> kernel, targets = jnp.eye(2), jnp.ones((2, 1))
        >>> round(float(likelihood(kernel, targets, noise_variance=1.0)), 6)
        -3.031024
        >>> slope = jax.grad(lambda v: likelihood(kernel, targets, noise_variance=v))
        >>> float(slope(1.0))
        -0.25
    """
    factored = checked_factor(kernel, targets, noise_variance, {})
    n_train, n_out = targets.shape
    fit = jnp.sum(factored.half_solve(jnp.asarray(targets)) ** 2)
    found = -0.5 * (
        fit + n_out * factored.log_determinant() + n_train * n_out * float(np.log(2 * np.pi))
    )
    check_no_overflow("kernel and targets", found)
    return found


class LeftOut(eqx.Module):
    """What the other labels say of each label.

    Attributes:
        mean: Predictions of each row by a fit without it, shape (n_train, n_out).
        variance: Variances of these labels around the predictions, their noise included,
            shape (n_train,).
    """

    mean: Float[Array, "n_train n_out"]
    variance: Float[Array, " n_train"]

    def log_likelihood(self, targets: Targets) -> Float[Array, ""]:
        """Σ ln p(ỹ_i | the other labels), summed over rows and outputs, in nats."""
        scaled = (jnp.asarray(targets) - self.mean) ** 2 / self.variance[:, None]
        n_out = targets.shape[1]
        return -0.5 * jnp.sum(scaled) - 0.5 * n_out * jnp.sum(jnp.log(2 * jnp.pi * self.variance))


def left_out(
    kernel: Spectrum | KernelMatrix, targets: Targets, *, noise_variance: Scalar
) -> LeftOut:
    """Mean and variance of each label given all others, in closed form.

    With Q = (K + σ²)⁻¹ the mean is ỹ_i − (Qỹ)_i/Q_ii and the variance 1/Q_ii: n refits at the cost
    of one (Rasmussen, Williams 2006, equation 5.12).

    Args:
        kernel: Kernel K of the training inputs, shape (n_train, n_train), or its complete spectrum.
        targets: Labels ỹ, shape (n_train, n_out).
        noise_variance: Variance σ² of the labels' noise, at least 0.

    Raises:
        ValueError: See ``gp_posterior``.

    Example:
        >>> import jax; jax.config.update("jax_enable_x64", True)
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> kernel = jnp.array([[1.0, 0.5], [0.5, 1.0]])
        >>> found = na.inference.left_out(kernel, jnp.array([[1.0], [3.0]]), noise_variance=1.0)
        >>> [round(float(value), 9) for value in (*found.mean[:, 0], *found.variance)]
        [0.75, 0.25, 1.875, 1.875]
    """
    factored = checked_factor(kernel, targets, noise_variance, {})
    diagonal = factored.inverse_diagonal()
    targets = jnp.asarray(targets)
    found = LeftOut(targets - factored.solve(targets) / diagonal[:, None], 1 / diagonal)
    check_no_overflow("kernel and targets", found.mean, found.variance)
    return found


class ChosenNoise(eqx.Module):
    """A noise variance chosen by the labels.

    Attributes:
        noise_variance: Variance σ² chosen, in the labels' unit squared.
        criterion: Name of what it is the best of.
        score: Value of the criterion there: nats for the likelihoods, mean square for ``"gcv"``.
        judged: Variances tried first, ascending, shape (n_judged,).
        scores: Values of the criterion at these, shape (n_judged,).
        at_end: Whether the best is the least or the largest that was tried, so that a better one
            may lie beyond.
    """

    noise_variance: float
    criterion: Criterion = eqx.field(static=True)
    score: float
    judged: Float[np.ndarray, " n_judged"]
    scores: Float[np.ndarray, " n_judged"]
    at_end: bool


def choose_noise_variance(
    spectrum: Spectrum, targets: Targets, *, criterion: Criterion = "evidence"
) -> ChosenNoise:
    """Choose σ², which is kernel ridge regression's ridge, from the labels alone.

    Args:
        spectrum: Complete spectrum of the kernel.
        targets: Labels ỹ, shape (n_train, n_out).
        criterion: ``"evidence"``, the marginal likelihood; ``"leave-one-out"``, the likelihood of
            each label given all others; or ``"gcv"``, generalised cross-validation,
            (1/n)‖ỹ − f‖²/(1 − tr G/n)² per output (Craven, Wahba 1979).

    Returns:
        The best σ² from 10⁻¹²·λ₁ (but never below what rounding leaves of zero) to 10³·λ₁.

    Raises:
        ValueError: A truncated spectrum, labels that do not fit it, an unknown criterion.

    Example:
        >>> import jax; jax.config.update("jax_enable_x64", True)
        >>> import ntk_air as na
        >>> data = na.load_dataset("digits", n_train=60).normalised()
        >>> problem = na.make_problem(data, na.DenseNTK(depth=2))
        >>> chosen = na.inference.choose_noise_variance(problem.spectrum, problem.noisy)
        >>> chosen.at_end
        False
    """
    check_kind("spectrum", spectrum, Spectrum)
    check_choice("criterion", criterion, ("evidence", "leave-one-out", "gcv"))
    check_matrices(spectrum, targets, {})
    judge = {"evidence": _evidence, "leave-one-out": _left_out, "gcv": _minus_gcv}[criterion]

    @jax.jit
    def score(log_variance: Float[Array, ""]) -> Float[Array, ""]:
        return judge(spectrum, jnp.asarray(targets), jnp.exp(log_variance))

    least = max(1e-12 * spectrum.lambda_max, 4 * spectrum.zero_floor)
    grid = np.linspace(np.log(least), np.log(1e3 * spectrum.lambda_max), _GRID)
    dtype = spectrum.eigenvalues.dtype
    scores = np.asarray([float(score(jnp.asarray(point, dtype))) for point in grid])
    check_no_overflow("spectrum and targets", scores)
    best = int(np.argmax(scores))
    at_end = best in (0, _GRID - 1)
    value = float(grid[best])
    if not at_end:
        refined: Any = scipy.optimize.minimize_scalar(
            lambda point: -float(score(jnp.asarray(point, dtype))),
            bounds=(grid[best - 1], grid[best + 1]),
            method="bounded",
        )
        value = float(refined.x)
    sign = -1 if criterion == "gcv" else 1
    return ChosenNoise(
        noise_variance=float(np.exp(value)),
        criterion=criterion,
        score=sign * float(score(jnp.asarray(value, dtype))),
        judged=np.exp(grid),
        scores=sign * scores,
        at_end=at_end,
    )


def _evidence(spectrum: Spectrum, targets: Targets, variance: Scalar) -> Float[Array, ""]:
    return log_marginal_likelihood(spectrum, targets, noise_variance=variance)


def _left_out(spectrum: Spectrum, targets: Targets, variance: Scalar) -> Float[Array, ""]:
    return left_out(spectrum, targets, noise_variance=variance).log_likelihood(targets)


def _minus_gcv(spectrum: Spectrum, targets: Targets, variance: Scalar) -> Float[Array, ""]:
    shrunk = variance / (spectrum.eigenvalues + variance)  # 1 − g(λ)
    residual = shrunk[:, None] * (spectrum.eigenvectors.T @ targets)
    return -jnp.mean(jnp.sum(residual**2, 0)) / len(targets) / jnp.mean(shrunk) ** 2
