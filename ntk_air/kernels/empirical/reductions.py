"""How the output axes of an empirical NTK are reduced."""

from typing import Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Outputs: TypeAlias = Literal["mean", "full", "logit_sum"] | int
"""How the output axes of an empirical NTK are reduced."""


def check_outputs(outputs: Outputs, n_out: int) -> None:
    """Require a known reduction or the index of an output."""
    if outputs in ("mean", "full", "logit_sum"):
        return
    if isinstance(outputs, bool) or not isinstance(outputs, int) or not 0 <= outputs < n_out:
        raise ValueError(
            "outputs must be 'mean', 'full', 'logit_sum' or the index of one of the network's "
            f"{n_out} outputs; got {outputs!r}"
        )


def output_cotangents(outputs: Outputs, n_out: int, dtype: np.dtype) -> Float[Array, "k n_out"]:
    """The vectors v_k over outputs that a reduction needs gradients of, ∂(v_k·f)/∂θ.

    ``"full"`` keeps every pair of them; all others are Σ_k v_kᵀ Θ v_k, and ``"mean"`` divides
    that by n_out.
    """
    if outputs == "logit_sum":
        return jnp.ones((1, n_out), dtype)
    each = jnp.eye(n_out, dtype=dtype)
    return each if outputs in ("mean", "full") else each[outputs : outputs + 1]
