"""A run's arrays in one precision, and its labels in the eigenbasis of the kernel."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air.dynamics.filters.spectral import ModeLabels
from ntk_air.problem import HeldOut


class EigenFrame(eqx.Module):
    """All arrays of a run, in one precision."""

    eigenvalues: Float[Array, " n_mode"]
    eigenvectors: Float[Array, "n_train n_mode"]
    initial: Float[Array, "n_train n_out"]
    clean: Float[Array, "n_train n_out"]
    noisy: Float[Array, "n_train n_out"]
    held_out: HeldOut | None


class Outside(eqx.Module):
    """What a truncated basis does not span, and so never moves: squares and one product."""

    from_clean: Float[Array, ""]
    from_noisy: Float[Array, ""]
    noise_aligned: Float[Array, ""]


class Basis(eqx.Module):
    """The run's labels in the eigenbasis, and the way back.

    Attributes:
        labels: Vᵀf_0, Vᵀy, Vᵀỹ.
        outside: what V lacks of them.
        values: λ, those below 0 as 0: from modes of c_t to those of f_t − f_0.
        held_out: Θ(x, X)·V, from modes of c_t to held-out predictions.
    """

    labels: ModeLabels
    outside: Outside
    values: Float[Array, " n_mode"]
    held_out: Float[Array, "n_test n_mode"] | None


@jax.jit
def project(frame: EigenFrame) -> Basis:
    """Bring labels and held-out inputs into the eigenbasis, once for all that follows."""
    with jax.default_matmul_precision("highest"):
        vectors, n_out = frame.eigenvectors, frame.clean.shape[1]
        # One product for the three: it is the reading of V that takes the time.
        modes = vectors.T @ jnp.concatenate([frame.initial, frame.clean, frame.noisy], axis=1)
        initial, clean, noisy = (modes[:, i * n_out : (i + 1) * n_out] for i in range(3))
        labels = ModeLabels(initial=initial, clean=clean, noisy=noisy)
        held = frame.held_out
        return Basis(
            labels=labels,
            outside=_outside(frame, labels),
            values=jnp.maximum(frame.eigenvalues, 0),
            held_out=None if held is None else jnp.asarray(held.cross_kernel) @ vectors,
        )


def _outside(frame: EigenFrame, labels: ModeLabels) -> Outside:
    n_train, n_mode = frame.eigenvectors.shape
    if n_mode == n_train:
        zero = jnp.zeros((), frame.clean.dtype)
        return Outside(from_clean=zero, from_noisy=zero, noise_aligned=zero)
    initial, clean, noisy = labels.initial, labels.clean, labels.noisy
    from_clean = frame.initial - frame.clean - frame.eigenvectors @ (initial - clean)
    from_noisy = frame.initial - frame.noisy - frame.eigenvectors @ (initial - noisy)
    noise = frame.noisy - frame.clean - frame.eigenvectors @ (noisy - clean)
    return Outside(
        from_clean=jnp.sum(from_clean**2),
        from_noisy=jnp.sum(from_noisy**2),
        noise_aligned=jnp.sum(from_clean * noise),
    )
