"""What inference is given, checked; and (K + σ²)⁻¹ in a form that products are taken from."""

import math
from collections.abc import Mapping
from typing import TypeAlias

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import (
    as_float,
    check_at_least,
    check_finite,
    check_floating,
    check_same_dtype,
    shown,
)
from ntk_air._base.typing import AnyArray, KernelMatrix, Targets
from ntk_air.spectrum.result import Spectrum

Scalar: TypeAlias = Float[Array, ""] | np.floating | float | int
"""A number, which may be traced."""


def is_traced(value: object) -> bool:
    """Whether a value is one of a function being traced by JAX, which cannot be inspected."""
    return isinstance(value, jax.core.Tracer)


def check_variance(name: str, value: Scalar) -> Scalar:
    """Require a finite number of at least 0, where it can be inspected; return it as a float."""
    if is_traced(value):
        return value
    check_at_least(name, value, 0)
    return as_float(value)


def check_level(level: float) -> None:
    """Require a number strictly between 0 and 1."""
    check_at_least("level", level, 0)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {shown(level)}")


def check_matrices(
    kernel: Spectrum | KernelMatrix, targets: Targets, others: Mapping[str, AnyArray]
) -> None:
    """Require matrices that fit a kernel of n_train inputs: finite, floating, of one dtype.

    Args:
        kernel: The kernel of the training inputs, or its complete spectrum.
        targets: Labels, shape (n_train, n_out).
        others: Further matrices by argument's name: those whose name ends in ``cross`` or
            ``cross_kernel`` are (n_test, n_train), the others (n_test, n_test).
    """
    if isinstance(kernel, Spectrum):
        if not kernel.complete:
            raise ValueError(
                f"spectrum must hold all modes; got {kernel.n_mode} of {kernel.n_train}"
            )
        n_train, anchor = kernel.n_train, kernel.eigenvectors
    else:
        check_floating("kernel", kernel)
        n_train, anchor = kernel.shape[0], kernel
        if kernel.shape != (n_train, n_train):
            raise ValueError(f"kernel must be (n_train, n_train); got shape {kernel.shape}")
    for name, array in {"kernel": anchor, "targets": targets, **others}.items():
        check_floating(name, array)
        if not is_traced(array):
            check_finite(name, array)
        check_same_dtype("kernel", anchor, name, array)
    n_test = next((len(array) for array in others.values() if array.ndim), 0)
    wanted = {
        name: (n_test, n_train if name.endswith(("cross", "cross_kernel")) else n_test)
        for name in others
    }
    for name, shape in wanted.items():
        if others[name].shape != shape:
            raise ValueError(f"{name} must have shape {shape}; got {others[name].shape}")
    if targets.ndim != 2 or targets.shape[0] != n_train:
        raise ValueError(
            f"targets must have one row for each of the {n_train} training inputs, "
            f"(n_train, n_out); got shape {targets.shape}"
        )


def check_no_overflow(names: str, *results: AnyArray) -> None:
    """Require results that can be inspected to be finite: finite arguments may overflow."""
    for result in results:
        if not is_traced(result) and not np.all(np.isfinite(np.asarray(result))):
            raise ValueError(
                f"{names} must be of a size at which the result is finite in {result.dtype}; got "
                "values whose products or squares overflow"
            )


class Factored(eqx.Module):
    """K + σ² = WWᵀ: ``half_solve(b)`` is W⁻¹b, so that (W⁻¹a)ᵀ(W⁻¹b) = aᵀ(K + σ²)⁻¹b."""

    lower: Float[Array, "n_train n_train"] | None
    spectrum: Spectrum | None
    noise_variance: Scalar

    @property
    def _scale(self) -> Float[Array, " n_train"]:
        """1/√(λ + σ²) of each mode."""
        assert self.spectrum is not None
        return jax.lax.rsqrt(self.spectrum.eigenvalues + self.noise_variance)

    def half_solve(self, right: Float[Array, "n_train columns"]) -> Float[Array, "n_train columns"]:
        """W⁻¹b."""
        if self.lower is not None:
            return jax.scipy.linalg.solve_triangular(self.lower, right, lower=True)
        assert self.spectrum is not None
        return self._scale[:, None] * (self.spectrum.eigenvectors.T @ right)

    def inverse_diagonal(self) -> Float[Array, " n_train"]:
        """The diagonal of (K + σ²)⁻¹."""
        if self.spectrum is not None:
            weights = 1 / (self.spectrum.eigenvalues + self.noise_variance)
            return self.spectrum.eigenvectors**2 @ weights
        assert self.lower is not None
        return jnp.sum(self.half_solve(jnp.eye(len(self.lower), dtype=self.lower.dtype)) ** 2, 0)

    def solve(self, right: Float[Array, "n_train columns"]) -> Float[Array, "n_train columns"]:
        """(K + σ²)⁻¹b."""
        half = self.half_solve(right)
        if self.lower is not None:
            return jax.scipy.linalg.solve_triangular(self.lower, half, lower=True, trans=1)
        assert self.spectrum is not None
        return self.spectrum.eigenvectors @ (self._scale[:, None] * half)

    def log_determinant(self) -> Float[Array, ""]:
        """ln det(K + σ²)."""
        if self.lower is not None:
            return 2 * jnp.sum(jnp.log(jnp.diagonal(self.lower)))
        assert self.spectrum is not None
        return jnp.sum(jnp.log(self.spectrum.eigenvalues + self.noise_variance))


def checked_factor(
    kernel: Spectrum | KernelMatrix,
    targets: Targets,
    noise_variance: Scalar,
    others: Mapping[str, AnyArray],
) -> Factored:
    """Factor K + σ², all arguments checked: see ``check_matrices``.

    Raises:
        ValueError: What does not fit, a σ² below 0, K + σ² that is not positive definite to
            rounding.
    """
    noise_variance = check_variance("noise_variance", noise_variance)
    check_matrices(kernel, targets, others)
    if isinstance(kernel, Spectrum):
        least = kernel.eigenvalues[-1] + noise_variance
        if not is_traced(least) and not float(least) > kernel.zero_floor:
            raise ValueError(_not_definite(noise_variance, f"least eigenvalue {float(least):.3g}"))
        return Factored(None, kernel, noise_variance)
    matrix = jnp.asarray(kernel)
    shifted = matrix + jnp.asarray(noise_variance, matrix.dtype) * jnp.eye(
        len(matrix), dtype=matrix.dtype
    )
    lower = jnp.linalg.cholesky(shifted)
    if not is_traced(lower) and not math.isfinite(float(jnp.sum(lower))):
        raise ValueError(_not_definite(noise_variance, "no Cholesky factor"))
    return Factored(lower, None, noise_variance)


def _not_definite(noise_variance: Scalar, found: str) -> str:
    return (
        "noise_variance must make the kernel plus noise_variance positive definite beyond "
        f"rounding; got {noise_variance} and {found}: a larger one does"
    )
