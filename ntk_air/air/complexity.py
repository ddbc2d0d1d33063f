"""Single numbers that say how well a kernel's large modes carry given labels."""

import math

import equinox as eqx
import numpy as np

from ntk_air._base.checks import check_kind
from ntk_air._base.typing import Targets
from ntk_air.air.energies import energy_shares
from ntk_air.spectrum.result import Spectrum


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
        spectrum: complete spectrum of Θ, (n_train, n_train).
        labels: label matrix y, (n_train, n_out).

    Returns:
        The value, and what was left out of the inverse.

    Raises:
        ValueError: a truncated spectrum; labels of another number of rows, not finite or all zero.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import arora_complexity
    >>> from ntk_air.spectrum.decomposition import decompose
    >>> arora_complexity(decompose(np.diag([4.0, 1.0])), np.array([[2.0], [0.0]])).value
    1.0
    """
    _require_complete(spectrum, "arora_complexity")
    shares = energy_shares(spectrum, labels)
    zero = np.asarray(spectrum.eigenvalues) <= spectrum.zero_floor
    n_clipped, clipped = int(np.sum(zero)), float(np.sum(np.asarray(shares)[zero]))
    if clipped > _rounding_share(spectrum):
        reason = f"{clipped:.3g} of the labels' energy lies in {n_clipped} modes of eigenvalue 0"
        return AroraComplexity(math.inf, n_clipped, clipped, reason)
    energy = float(np.sum(np.asarray(labels) ** 2))
    shares, values = np.asarray(shares)[~zero], np.asarray(spectrum.eigenvalues)[~zero]
    quadratic = energy * float(np.sum(shares / values))
    reason = f"{n_clipped} zero modes, without label energy, were left out" if n_clipped else ""
    return AroraComplexity(math.sqrt(2 * quadratic / spectrum.n_train), n_clipped, clipped, reason)


def kernel_target_alignment(spectrum: Spectrum, labels: Targets) -> float:
    """⟨Θ, yyᵀ⟩ / (‖Θ‖_F ‖yyᵀ‖_F), in [−1, 1] and at least 0 for Θ ⪰ 0.

    Cristianini, Shawe-Taylor, Elisseeff, Kandola 2001; Θ is not centred.

    Args:
        spectrum: complete spectrum of Θ, (n_train, n_train).
        labels: label matrix y, (n_train, n_out), in any unit.

    Returns:
        The cosine between Θ and yyᵀ.

    Raises:
        ValueError: a truncated spectrum; labels of another number of rows, not finite or all zero.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> labels = np.array([[1.0], [-1.0]])
    >>> spectrum = na.decompose(labels @ labels.T + np.eye(2))
    >>> round(na.kernel_target_alignment(spectrum, labels) ** 2, 12)
    0.9
    """
    _require_complete(spectrum, "kernel_target_alignment")
    values, shares = np.asarray(spectrum.eigenvalues), np.asarray(energy_shares(spectrum, labels))
    # ‖yyᵀ‖_F = ‖yᵀy‖_F, and the second is n_out × n_out; the alignment has no unit.
    scaled = np.ldexp(np.asarray(labels, np.float64), -np.frexp(np.max(np.abs(labels)))[1])
    gram = scaled.T @ scaled
    inner = float(values @ shares) * float(np.trace(gram))
    return inner / float(np.linalg.norm(values) * np.linalg.norm(gram))


def _require_complete(spectrum: Spectrum, function: str) -> None:
    check_kind("spectrum", spectrum, Spectrum)
    if not spectrum.complete:
        raise ValueError(
            f"spectrum must be complete for {function}; got the top {spectrum.n_mode} of "
            f"{spectrum.n_train} modes: decompose without top_k"
        )


def _rounding_share(spectrum: Spectrum) -> float:
    """The energy that rounding moves into zero modes: (n·ε·λ₁/λ_min)², λ_min the least non-zero.

    Eigenvectors are rotated by at most the rounding of Θ over the gap (Davis, Kahan 1970).
    """
    values = np.asarray(spectrum.eigenvalues)
    return (spectrum.zero_floor / float(values[values > spectrum.zero_floor][-1])) ** 2
