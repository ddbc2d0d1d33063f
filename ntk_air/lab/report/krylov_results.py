"""What is saved of label quadratures and top modes: arrays, and numbers for ``results.json``."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ntk_air.air.enclosures import AirCurveEnclosure
from ntk_air.spectrum.krylov.enclosure import Enclosure
from ntk_air.spectrum.krylov.measure import SpectralMeasure
from ntk_air.spectrum.krylov.top_modes import TopModes

N_TIMES = 20
"""Times that ``results.json`` lists; the arrays have them all."""

ENERGY_RANKS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000)


def enclosure_arrays(name: str, enclosure: Enclosure) -> dict[str, np.ndarray]:
    """Bounds and estimate."""
    return {
        f"{name}_lower": enclosure.lower,
        f"{name}_upper": enclosure.upper,
        f"{name}_estimate": enclosure.estimate,
    }


def air_enclosure_arrays(air: AirCurveEnclosure) -> dict[str, np.ndarray]:
    """Times, and shares of signal and noise retrieved by each."""
    return {
        "steps": air.times,
        **enclosure_arrays("signal", air.signal),
        **enclosure_arrays("noise", air.noise),
    }


def air_enclosure_numbers(air: AirCurveEnclosure, *, n_products: int) -> dict[str, Any]:
    """The curve at a few times in equal ratios, and its area."""
    chosen = np.unique(np.linspace(0, len(air.times) - 1, N_TIMES).round().astype(int))
    curves = {name: array[chosen] for name, array in air_enclosure_arrays(air).items()}
    area = {name: float(values[0]) for name, values in enclosure_arrays("auc", air.area).items()}
    return {
        **area,
        "n_products": n_products,
        "largest_width_signal": float(air.signal.width.max()),
        "largest_width_noise": float(air.noise.width.max()),
        "by_time": curves,
    }


def width_by_products(widths: Mapping[int, Mapping[str, Enclosure]]) -> dict[str, list[float]]:
    """The widest and the median enclosure against the number of products.

    Args:
        widths: enclosures ``signal``, ``noise`` and ``auc`` of each number of products.
    """
    columns: dict[str, list[float]] = {"n_products": list(widths)}
    for enclosures in widths.values():
        for name, found in enclosures.items():
            columns.setdefault(name, []).append(float(found.width.max()))
            columns.setdefault(f"{name}_median", []).append(float(np.median(found.width)))
    return columns


def training_curve_arrays(measure: SpectralMeasure, steps: np.ndarray) -> dict[str, np.ndarray]:
    """‖(I − ηΘ)ᵗỹ‖²/‖ỹ‖²: the training loss of gradient descent over its first."""
    return enclosure_arrays("training_loss", measure.decay(2 * steps))


def mode_numbers(modes: TopModes) -> dict[str, Any]:
    """Eigenvalues with residuals, and how far they can be trusted."""
    return {
        "k": len(modes.eigenvalues),
        "eigenvalues": modes.eigenvalues,
        "residuals": modes.residuals,
        "max_relative_residual": float(modes.residuals.max()),
        "next_eigenvalue": modes.next_eigenvalue,
        "subspace_sine": modes.subspace_sine,
        "accuracy": modes.accuracy,
        "n_products": modes.n_products,
        "notes": list(modes.notes),
    }


def energy_arrays(modes: TopModes, labels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """E_k = ‖V_kᵀu‖²/‖u‖² of each label matrix for every k (theory.md section 2)."""
    return {
        f"energy_{name}": np.cumsum(np.sum((modes.eigenvectors.T @ matrix) ** 2, axis=1))
        / np.sum(matrix**2)
        for name, matrix in labels.items()
    }


def energy_numbers(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Energies in the top k at round k."""
    n_mode = len(arrays["energy_signal"])
    ranks = [k for k in ENERGY_RANKS if k <= n_mode]
    at = np.array(ranks, int) - 1
    return {
        "k": ranks,
        **{name: arrays[f"energy_{name}"][at] for name in ("signal", "noise", "noisy")},
    }
