"""(K + σ²)⁻¹ỹ from products with the kernel alone, for kernels that no matrix is held of."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ntk_air._base.checks import (
    check_finite,
    check_floating,
    check_kind,
    check_positive,
    check_whole_number,
)
from ntk_air._base.typing import Targets
from ntk_air.inference.arguments import check_no_overflow
from ntk_air.kernels.operators.operator import KernelOperator, as_operator
from ntk_air.spectrum.result import Spectrum


class DualSolution(eqx.Module):
    """Dual coefficients by conjugate gradients, with how far they can be trusted.

    Attributes:
        dual: α with (K + σ²)α = ỹ, shape (n_train, n_out); predictions are K_*α.
        residuals: ‖ỹ − (K + σ²)α‖/‖ỹ‖ of each output, from a product of its own, shape (n_out,).
        n_products: Number of products with K that were taken.
        converged: Whether every residual is at most the tolerance.
    """

    dual: Float[np.ndarray, "n_train n_out"]
    residuals: Float[np.ndarray, " n_out"]
    n_products: int
    converged: bool


def solve_by_products(
    kernel: KernelOperator | Float[Any, "n_train n_train"],
    targets: Targets,
    *,
    noise_variance: float,
    top: Spectrum | None = None,
    tolerance: float = 1e-8,
    max_products: int = 1000,
) -> DualSolution:
    """Solve (K + σ²)α = ỹ by conjugate gradients, all outputs at a time.

    Preconditioned by the top modes where these are given: what is left then converges as
    √((λ_{k+1} + σ²)/σ²) instead of √((λ₁ + σ²)/σ²).

    Args:
        kernel: Kernel K of the training inputs, as an operator or a matrix (n_train, n_train).
        targets: Labels ỹ, shape (n_train, n_out).
        noise_variance: Variance σ² of the labels' noise, above 0.
        top: Leading modes of K, such as ``top_modes`` gives; ``None`` takes no preconditioner.
        tolerance: Largest relative residual that counts as converged.
        max_products: Most products that are taken before the loop gives up.

    Returns:
        α with its measured residuals; ``converged`` is false where ``max_products`` came first.

    Raises:
        ValueError: Labels that do not fit the kernel, numbers out of range.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> found = na.inference.solve_by_products(
        ...     np.diag([3.0, 1.0]), np.array([[4.0], [2.0]]), noise_variance=1.0
        ... )
        >>> found.dual[:, 0].round(9).tolist(), found.converged
        ([1.0, 1.0], True)
    """
    operator = as_operator(kernel, "kernel")
    check_positive("noise_variance", noise_variance)
    noise_variance = float(noise_variance)
    check_positive("tolerance", tolerance)
    check_whole_number("max_products", max_products, minimum=1)
    check_kind("top", top, Spectrum, type(None))
    check_floating("targets", targets)
    check_finite("targets", targets)
    n_train = operator.shape[0]
    if targets.ndim != 2 or targets.shape[0] != n_train:
        raise ValueError(
            f"targets must be (n_train, n_out) with n_train = {n_train}; got {targets.shape}"
        )
    if top is not None and top.n_train != n_train:
        raise ValueError(f"top must have {n_train} rows; got {top.n_train}")
    labels = np.asarray(targets)
    with np.errstate(over="ignore"):
        check_no_overflow("targets", np.sum(labels**2, axis=0))

    def product(vectors: np.ndarray) -> np.ndarray:
        return np.asarray(operator.matvec(vectors)) + noise_variance * vectors

    scale = np.linalg.norm(labels, axis=0)
    scale[scale == 0] = 1
    dual, n_products = _conjugate_gradients(
        product,
        functools.partial(_preconditioned, top=top, noise_variance=noise_variance),
        labels,
        least=tolerance * scale,
        max_products=max_products,
    )
    residuals = np.linalg.norm(labels - product(dual), axis=0) / scale
    check_no_overflow("kernel and targets", dual, residuals)
    return DualSolution(dual, residuals, n_products + 1, bool(np.all(residuals <= tolerance)))


def _conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    improve: Callable[[np.ndarray], np.ndarray],
    labels: np.ndarray,
    *,
    least: np.ndarray,
    max_products: int,
) -> tuple[np.ndarray, int]:
    """A solution with each column's residual at most ``least``, and the number of products."""
    dual, residual, done = np.zeros_like(labels), labels.copy(), 0
    direction = improved = improve(residual)
    size = np.sum(residual * improved, axis=0)
    while done < max_products and np.any(np.linalg.norm(residual, axis=0) > least):
        image = product(direction)
        done += 1
        curvature = np.sum(direction * image, axis=0)
        step = np.divide(size, curvature, out=np.zeros_like(size), where=curvature > 0)
        dual, residual = dual + step * direction, residual - step * image
        improved = improve(residual)
        previous, size = size, np.sum(residual * improved, axis=0)
        ratio = np.divide(size, previous, out=np.zeros_like(size), where=previous > 0)
        direction = improved + ratio * direction
    return dual, done


def _preconditioned(vectors: np.ndarray, top: Spectrum | None, noise_variance: float) -> np.ndarray:
    """M⁻¹ of vectors, M the top modes plus λ_k on all that lies outside of them, plus σ²."""
    if top is None:
        return vectors
    eigenvalues, modes = np.asarray(top.eigenvalues), np.asarray(top.eigenvectors)
    weights = 1 / (eigenvalues + noise_variance)
    rest = weights[-1]
    return rest * vectors + modes @ ((weights - rest)[:, None] * (modes.T @ vectors))
