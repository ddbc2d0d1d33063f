"""Held-out inputs, as the dynamics sees them: a kernel block, clean labels, initial predictions."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.checks import check_finite, check_floating
from ntk_air._base.typing import CrossKernel, Targets, TestTargets


class HeldOut(eqx.Module):
    """What held-out predictions f_t(x) = f_0(x) + Θ(x, X)c_t and their metrics need.

    Args:
        cross_kernel: Θ(x, X), (n_test, n_train).
        targets: clean labels, (n_test, n_out).
        initial: f_0(x), (n_test, n_out); ``None`` is 0.

    Raises:
        ValueError: for arrays that are not finite floating-point, or disagree in n_test or n_out.
    """

    cross_kernel: CrossKernel
    targets: TestTargets
    initial: TestTargets

    def __init__(
        self,
        cross_kernel: CrossKernel,
        targets: TestTargets,
        *,
        initial: TestTargets | None = None,
    ):
        initial = jnp.zeros_like(targets) if initial is None else initial
        named = {"cross_kernel": cross_kernel, "targets": targets, "initial": initial}
        for name, array in named.items():
            check_floating(f"held_out {name}", array)
            check_finite(f"held_out {name}", array)
        if cross_kernel.shape[0] != targets.shape[0] or initial.shape != targets.shape:
            raise ValueError(
                "held_out arrays must share n_test and n_out; got cross_kernel "
                f"{cross_kernel.shape}, targets {targets.shape}, initial {initial.shape}"
            )
        self.cross_kernel = cross_kernel
        self.targets = targets
        self.initial = initial

    def predictions(self, dual: Targets) -> Float[Array, "n_test n_out"]:
        """f_t(x) at dual variables c_t, in the unit of the outputs."""
        return jnp.asarray(self.initial) + jnp.matmul(self.cross_kernel, dual, precision="highest")

    def astype(self, dtype: jnp.dtype) -> "HeldOut":
        """The same in another precision."""
        return HeldOut(
            jnp.asarray(self.cross_kernel, dtype),
            jnp.asarray(self.targets, dtype),
            initial=jnp.asarray(self.initial, dtype),
        )
