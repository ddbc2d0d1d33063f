"""What kernels in closed form share: their inputs' precision, mirrored halves, overflow."""

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_inputs
from ntk_air._base.precision import Precision, as_precision
from ntk_air._base.typing import AnyArray


def as_kernel_inputs(name: str, x: AnyArray) -> Float[Array, "n *features"]:
    """Check inputs, their values too where they are known, and keep their precision.

    Raises:
        ValueError: inputs that are empty, not finite, neither float32 nor float64, or float64
            where JAX runs in 32 bits.
    """
    if not isinstance(x, jax.core.Tracer):
        check_inputs(name, x)
    if x.dtype not in (jnp.float32, jnp.float64):
        raise ValueError(f"{name} must be float32 or float64; got dtype {x.dtype}")
    precision: Precision = "float64" if x.dtype == jnp.float64 else "float32"
    return as_precision(x, precision, what=f"the kernel of {name}, which is float64,")


def check_no_overflow(name: str, values: Float[Array, " n"], *, depth: int) -> None:
    """Refuse inputs so large that their kernel is not finite, by one value for each row."""
    if isinstance(values, jax.core.Tracer):
        return
    finite = np.isfinite(np.asarray(values))
    if not finite.all():
        first = int(np.flatnonzero(~finite)[0])
        raise ValueError(
            f"{name} must be small enough for the kernel of depth {depth} to be finite in "
            f"{values.dtype}; got overflow in {(~finite).sum()} of {len(finite)} rows, the first "
            f"of them row {first}"
        )


def check_no_underflow(
    name: str, x: Float[Array, "n *features"], variances: Float[Array, " n"], *, depth: int
) -> None:
    """Refuse inputs other than 0 of whose outputs' variance in a layer too little is left."""
    if any(isinstance(part, jax.core.Tracer) for part in (x, variances)):
        return
    # Parts that are smaller by ε, such as those of a distance, must still be normal numbers.
    least = jnp.finfo(variances.dtype).tiny / jnp.finfo(variances.dtype).eps
    lost = np.flatnonzero(np.asarray(variances) < least)
    lost = [int(row) for row in lost if np.any(np.asarray(x[row]))]
    if lost:
        raise ValueError(
            f"{name} must be large enough for the kernel of depth {depth} to be above {least:.1e}, "
            f"the least whose parts {variances.dtype} holds in full; got underflow in {len(lost)} "
            f"of {len(x)} rows, the first of them row {lost[0]}"
        )


@jax.jit
def mirrored(matrix: Float[Array, "n n"], diagonal: Float[Array, " n"]) -> Float[Array, "n n"]:
    """The part above the diagonal, its mirror image, and the diagonal given.

    Compiled apart: in one program with a recursion, XLA computes that twice, once transposed.
    """
    row, column = jnp.arange(matrix.shape[0])[:, None], jnp.arange(matrix.shape[0])
    return jnp.where(row == column, diagonal, jnp.where(row < column, matrix, matrix.T))


@jax.jit
def row_means(matrix: Float[Array, "n1 n2"]) -> Float[Array, " n1"]:
    """Means of absolute values: finite where all of the row is."""
    return jnp.sum(jnp.abs(matrix) / matrix.shape[1], axis=1)
