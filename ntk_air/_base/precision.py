"""The precision a computation runs in.

The library never changes JAX's setting: a computation that needs float64 while JAX is at its
default of float32 is refused with the line that switches it on.
"""

from typing import TYPE_CHECKING, Literal, TypeAlias

from ntk_air._base.checks import check_choice

if TYPE_CHECKING:  # an option can name a precision before JAX is needed
    import jax

Precision: TypeAlias = Literal["float32", "float64"]


def as_precision(array: object, precision: Precision, *, what: str) -> "jax.Array":
    """Return ``array`` as a JAX array of the given precision.

    Raises ``ValueError`` where float64 is wanted for ``what`` and JAX runs in 32 bits.
    """
    import jax.numpy as jnp

    check_choice("precision", precision, ("float32", "float64"))
    if precision == "float64" and jnp.result_type(float) != jnp.float64:
        raise ValueError(
            f"{what} runs in float64 and JAX is set to 32 bits: call "
            'jax.config.update("jax_enable_x64", True) first, or pass precision="float32"'
        )
    return jnp.asarray(array, dtype=precision)
