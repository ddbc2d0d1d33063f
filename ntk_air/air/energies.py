"""Where in the spectrum a label matrix lies: E_k(u) = ‖V_kᵀu‖²/‖u‖² (theory.md section 2)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_array, check_finite, check_kind
from ntk_air._base.typing import AnyArray, Targets
from ntk_air.spectrum.result import Spectrum

LabelDraws = Float[AnyArray, "n_draw n_train n_out"]
Shares = Float[AnyArray, "n_draw n_mode"]


def energy_in_top(spectrum: Spectrum, labels: Targets) -> Float[Array, " n_mode"]:
    """E_k(u) for k = 1 … n_mode: the share of the labels' energy in the top k modes.

    E_n = 1 to rounding where the spectrum is complete. Within a group of equal eigenvalues the
    single E_k depend on the basis that the solver chose; at the group's ends they do not.

    Args:
        spectrum: spectrum of Θ, (n_train, n_train).
        labels: label matrix u, (n_train, n_out), in any unit.

    Returns:
        E_1 … E_n_mode in [0, 1], ascending, (n_mode,).

    Raises:
        ValueError: if ``labels`` has another number of rows, is not finite, or is all zero.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> spectrum = na.decompose(np.diag([4.0, 2.0, 1.0]))
    >>> na.energy_in_top(spectrum, np.array([[3.0], [4.0], [0.0]])).tolist()
    [0.36, 1.0, 1.0]
    """
    return jnp.cumsum(energy_shares(spectrum, labels))


def energy_shares(spectrum: Spectrum, labels: Targets, *, name: str = "labels") -> Array:
    """‖v_jᵀu‖²/‖u‖², the share of the labels' energy in each mode: (n_mode,).

    Args:
        spectrum: spectrum of Θ, (n_train, n_train).
        labels: label matrix u, (n_train, n_out), in any unit.
        name: name of the labels in errors.

    Raises:
        ValueError: if ``labels`` has another number of rows, is not finite, or is all zero.
    """
    return batched_energy_shares(spectrum, one_draw(name, labels), name=name)[0]


def one_draw(name: str, labels: Targets) -> LabelDraws:
    """A label matrix as the only one of several, (1, n_train, n_out)."""
    check_array(name, labels)
    if labels.ndim != 2:
        raise ValueError(f"{name} must have shape (n_train, n_out); got {labels.shape}")
    return labels[None]


def batched_energy_shares(spectrum: Spectrum, draws: LabelDraws, *, name: str = "draws") -> Shares:
    """``energy_shares`` of several label matrices, in one product with the eigenvectors.

    Args:
        spectrum: spectrum of Θ, (n_train, n_train).
        draws: label matrices, (n_draw, n_train, n_out), in any unit.
        name: name of the label matrices in errors.

    Raises:
        ValueError: if one has another number of rows, is not finite, or is all zero.
    """
    check_kind("spectrum", spectrum, Spectrum)
    if draws.shape[1] != spectrum.n_train:
        raise ValueError(
            f"{name} must have one row for each of the {spectrum.n_train} training inputs; "
            f"got {draws.shape[1]} rows"
        )
    check_finite(name, draws)
    if not np.any(np.asarray(draws), axis=(1, 2)).all():
        raise ValueError(f"{name} must not be all zero: zero has no energy to share out")
    # Shares have no unit: of labels of any size no square over- or underflows.
    values = np.asarray(draws, np.float64)
    largest = np.abs(values).max(axis=(1, 2), keepdims=True)
    scaled = np.ldexp(values, -np.frexp(largest)[1])
    return _shares(spectrum.eigenvectors, jnp.asarray(scaled, spectrum.eigenvectors.dtype))


@jax.jit
def _shares(
    eigenvectors: Float[Array, "n_train n_mode"], draws: Float[Array, "n_draw n_train n_out"]
) -> Shares:
    # Accelerators would otherwise round float32 factors to 10 or 7 bits.
    coefficients = jnp.einsum("im,dio->dmo", eigenvectors, draws, precision="highest")
    return jnp.sum(coefficients**2, axis=2) / jnp.sum(draws**2, axis=(1, 2))[:, None]
