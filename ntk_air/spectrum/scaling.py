"""Kernels so large or small that squares of them leave the range of floating point.

A power of two brings them into range and back without rounding, so that norms of residuals are
what they are, and eigenvalues those of the kernel as it was given.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.precision import Precision
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.operators.operator import DenseKernel, KernelOperator

_IN_RANGE = {"float32": 30, "float64": 400}
"""Exponents of entries whose squares, and those of their rounding, are normal numbers."""


def binary_exponent(
    operator: KernelOperator, diagonal: Float[AnyArray, " n"], precision: Precision
) -> int:
    """The exponent e by which Θ/2ᵉ is in range; 0 where Θ itself is."""
    entries = operator.matrix if isinstance(operator, DenseKernel) else diagonal
    largest = float(_largest(jnp.asarray(entries)))
    if not math.isfinite(largest):  # refused where the entries are checked
        return 0
    exponent = math.frexp(largest)[1]
    return exponent if abs(exponent) > _IN_RANGE[precision] else 0


def scaled_down(operator: KernelOperator, exponent: int) -> KernelOperator:
    """Θ/2ᵉ; a matrix as a copy."""
    if exponent != 0 and isinstance(operator, DenseKernel):
        return DenseKernel(_times_power_of_two(operator.matrix, -exponent))
    return scaled_products(operator, exponent)


def scaled_products(operator: KernelOperator, exponent: int) -> KernelOperator:
    """Θ/2ᵉ, with products scaled one by one."""
    return operator if exponent == 0 else _ScaledKernel(operator, exponent)


def exponent_of_products(
    products: Float[np.ndarray, "n p"], dtype: np.dtype, *, divided_by: int = 0
) -> int:
    """The same from products of Θ/2^``divided_by`` with unit vectors, computed in this dtype."""
    exponent = math.frexp(float(np.max(np.abs(products), initial=0)))[1] + divided_by
    return exponent if abs(exponent) > _IN_RANGE[dtype.name] else 0


def far_down(dtype: np.dtype) -> int:
    """An exponent that no sum of numbers of this dtype overflows after dividing by."""
    return 2 * _IN_RANGE[dtype.name]


def check_representable(largest: float, trace: float, precision: Precision) -> None:
    """Require λ₁, 1/λ₁ and the trace to be numbers of the precision.

    Raises:
        ValueError: they are not.
    """
    limits = np.finfo(precision)
    if not (1 / limits.max < largest <= limits.max and abs(trace) <= np.finfo(float).max):
        raise ValueError(
            f"kernel must have eigenvalues and a trace that {precision} holds, inverses too; "
            f"got λ₁ = {largest:.3g}, trace {trace:.3g}: divide the kernel by a constant"
        )


def scaled_back(values: Float[AnyArray, "..."] | float, exponent: int) -> Float[np.ndarray, "..."]:
    """Values·2ᵉ, infinite where that overflows."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(np.asarray(values), exponent))


@jax.jit
def _largest(entries: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.maximum(jnp.max(entries), -jnp.min(entries))


def _times_power_of_two(values: Float[Array, "..."], exponent: int) -> Float[Array, "..."]:
    # In two steps, each of a normal number; in one program XLA would make one of them.
    half = exponent // 2
    return (values * 2.0**half) * 2.0 ** (exponent - half)


class _ScaledKernel(KernelOperator):
    """Products with Θ/2ᵉ."""

    operator: KernelOperator
    exponent: int = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.operator.shape

    @property
    def dtype(self) -> jnp.dtype:
        """The kernel's own precision."""
        return self.operator.dtype

    def matvec(self, vectors: Float[AnyArray, "n k"]) -> Float[Array, "n k"]:
        """The product Θ·vectors/2ᵉ."""
        # Half of it before the product, whose terms would leave the range as well.
        half = self.exponent // 2
        products = self.operator.matvec(jnp.asarray(vectors) * 2.0**-half)
        return jnp.asarray(products) * 2.0 ** (half - self.exponent)

    def to_dense(self) -> Float[Array, "n n"]:
        """The whole matrix, scaled."""
        return _times_power_of_two(jnp.asarray(self.operator.to_dense()), -self.exponent)

    def diagonal(self) -> Float[Array, " n"]:
        """The diagonal, scaled."""
        return _times_power_of_two(jnp.asarray(self.operator.diagonal()), -self.exponent)
