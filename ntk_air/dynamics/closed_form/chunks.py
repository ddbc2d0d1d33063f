"""Long axes in chunks of equal length, for ``jax.lax.scan``."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.typing import AnyArray


def chunk_length(total: int, largest: int) -> int:
    """The length of equal chunks, none above ``largest``, that pad ``total`` the least."""
    return -(-total // -(-total // max(1, min(total, largest))))


def in_chunks(values: Float[AnyArray, "n_time *rest"], length: int) -> Float[Array, "..."]:
    """The values as (n_chunk, length, *rest), the last one repeated to fill the last chunk."""
    values = jnp.asarray(values)
    padding = [(0, -len(values) % length)] + [(0, 0)] * (values.ndim - 1)
    return jnp.pad(values, padding, mode="edge").reshape(-1, length, *values.shape[1:])
