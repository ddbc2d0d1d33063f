"""Single numbers that say how well a kernel's large modes carry given labels."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air.air.energies import energy_shares
from ntk_air.spectrum.result import Spectrum
from ntk_air.typing import Targets


class AroraComplexity(eqx.Module):
    """√(2 yᵀΘ⁻¹y / n), with the modes that had no inverse."""

    value: float
    """∞ where the labels have energy in zero modes."""
    n_clipped: int
    """Modes at or below ``Spectrum.zero_floor``, left out of the inverse."""
    clipped_share: float
    """The share of the labels' energy in these modes."""
    reason: str = eqx.field(static=True)
    """Why the value is infinite, or on what it rests; empty where every mode was inverted."""


def arora_complexity(spectrum: Spectrum, labels: Targets) -> AroraComplexity:
    """√(2 tr(yᵀΘ⁻¹y) / n): bounds the test error of the converged network.

    Arora, Du, Hu, Li, Wang 2019 (arXiv 1901.08584), theorem 5.1, for one output; with several
    outputs the quadratic forms are added.

    Zero modes have no inverse. Where they carry no more energy than the rounding of eigenvectors
    can put there they are left out and counted; where they carry more the value is infinite.

    Args:
        spectrum: of Θ, complete.
        labels: y, (n_train, n_out).

    Raises:
        ValueError: for a truncated spectrum; see also ``energy_in_top``.
    """
    _require_complete(spectrum, "arora_complexity")
    shares = energy_shares(spectrum, labels)
    zero = spectrum.eigenvalues <= spectrum.zero_floor
    n_clipped, clipped = int(jnp.sum(zero)), float(jnp.sum(shares, where=zero))
    if clipped > _rounding_share(spectrum):
        reason = f"{clipped:.3g} of the labels' energy lies in {n_clipped} modes of eigenvalue 0"
        return AroraComplexity(math.inf, n_clipped, clipped, reason)
    energy = float(jnp.sum(jnp.asarray(labels) ** 2))
    quadratic = energy * float(_inverse_moment(spectrum.eigenvalues, shares, zero))
    reason = f"{n_clipped} zero modes, without label energy, were left out" if n_clipped else ""
    return AroraComplexity(math.sqrt(2 * quadratic / spectrum.n_train), n_clipped, clipped, reason)


def kernel_target_alignment(spectrum: Spectrum, labels: Targets) -> float:
    """⟨Θ, yyᵀ⟩ / (‖Θ‖_F ‖yyᵀ‖_F), in [−1, 1] and at least 0 for Θ ⪰ 0.

    Cristianini, Shawe-Taylor, Elisseeff, Kandola 2001; Θ is not centred.

    Args:
        spectrum: of Θ, complete.
        labels: y, (n_train, n_out), any unit.

    Raises:
        ValueError: for a truncated spectrum; see also ``energy_in_top``.
    """
    _require_complete(spectrum, "kernel_target_alignment")
    energies = energy_shares(spectrum, labels) * jnp.sum(jnp.asarray(labels) ** 2).astype(
        spectrum.eigenvalues.dtype
    )
    # ‖yyᵀ‖_F = ‖yᵀy‖_F, and the second is n_out × n_out.
    gram = np.asarray(labels).T @ np.asarray(labels)
    inner = float(jnp.sum(spectrum.eigenvalues * energies))
    return inner / (float(jnp.linalg.norm(spectrum.eigenvalues)) * float(np.linalg.norm(gram)))


def _require_complete(spectrum: Spectrum, function: str) -> None:
    if not spectrum.complete:
        raise ValueError(
            f"spectrum must be complete for {function}; got the top {spectrum.n_mode} of "
            f"{spectrum.n_train} modes: decompose without top_k"
        )


def _rounding_share(spectrum: Spectrum) -> float:
    """The energy that rounding moves into zero modes: (n·ε·λ₁/λ_min)², λ_min the least non-zero.

    Eigenvectors are rotated by at most the rounding of Θ over the gap (Davis, Kahan 1970).
    """
    above = spectrum.eigenvalues > spectrum.zero_floor
    smallest = float(jnp.min(spectrum.eigenvalues, where=above, initial=jnp.inf))
    return (spectrum.zero_floor / smallest) ** 2


@jax.jit
def _inverse_moment(
    eigenvalues: Float[Array, " n_mode"], shares: Float[Array, " n_mode"], zero: Array
) -> Float[Array, ""]:
    """Σ share_j/λ_j over the modes that are not zero."""
    return jnp.sum(jnp.where(zero, 0, shares / jnp.where(zero, 1, eigenvalues)))
