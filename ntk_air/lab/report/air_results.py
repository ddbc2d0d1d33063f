"""Spectrum and AIR as the numbers of ``results.json`` and the curves of ``arrays.npz``."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ntk_air._base.typing import AnyArray, Eigenvalues
from ntk_air.air import AirCurve, AirSpread, AirSummary, AirWindow, Spread
from ntk_air.spectrum.result import Spectrum

_TABLE_SIZES = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000, 2000, 5000)
_TABLE_MODES = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def spectrum_numbers(spectrum: Spectrum) -> dict[str, Any]:
    """What the decomposition found, and how far it can be trusted."""
    return {
        "lambda_max": spectrum.lambda_max,
        "lambda_min": spectrum.lambda_min,
        "condition_number": spectrum.condition_number,
        "modes_below_precision": spectrum.n_below_precision,
        "negative_eigenvalues": spectrum.n_negative,
        "max_relative_residual": float(np.max(spectrum.residuals)),
        "effective_rank": spectrum.effective_rank,
        "precision": spectrum.precision,
        "solver": spectrum.solver,
    }


def air_numbers(
    summary: AirSummary, spread: AirSpread, control: Spread | None, *, n_mode: int
) -> dict[str, Any]:
    """AIR in numbers: a table of energies, areas with their spread, window and half-lives."""
    sizes = [k for k in _TABLE_SIZES if k < n_mode] + [n_mode]
    modes = [mode for mode in _TABLE_MODES if mode <= n_mode]
    return {
        "learning_rate": summary.learning_rate,
        "energy": {
            "k": sizes,
            "clean": _at(sizes, summary.energy_clean),
            **_energies("noise_centred", sizes, spread.energy_noise_centred),
            **_energies("noise_raw", sizes, spread.energy_noise_raw),
            **_energies("noisy", sizes, spread.energy_noisy),
        },
        **spread_numbers("air_auc", spread.auc),
        **spread_numbers("air_auc_raw_noise", spread.auc_raw_noise),
        **spread_numbers("air_auc_random_labels", control),
        "air_window": _window(summary.window),
        "half_life": {"mode": modes, "steps": _at(modes, summary.half_lives)},
        "notes": list(dict.fromkeys(summary.notes + spread.notes)),
    }


def air_arrays(
    eigenvalues: Eigenvalues, summary: AirSummary, spread: AirSpread, control: AirCurve | None
) -> Mapping[str, AnyArray]:
    """The curves behind the figures; what compares with noise is absent where there is none."""
    return {
        "eigenvalues": eigenvalues,
        "half_life_steps": summary.half_lives,
        "energy_clean": summary.energy_clean,
        **_curves("energy_noise_centred", spread.energy_noise_centred),
        **_curves("energy_noise_raw", spread.energy_noise_raw),
        **_curves("energy_noisy", spread.energy_noisy),
        **_points("air", summary.curve),
        **_points("control", control),
    }


def spread_numbers(name: str, spread: Spread | None) -> dict[str, Any]:
    """Mean, standard deviation (null for a single draw) and single values of a number."""
    if spread is None:
        return {name: None, f"{name}_std": None, f"{name}_by_seed": None}
    return {
        name: float(spread.mean),
        f"{name}_std": None if spread.std is None else float(spread.std),
        f"{name}_by_seed": np.asarray(spread.values).tolist(),
    }


def _at(places: list[int], curve: AnyArray) -> list[float]:
    return np.asarray(curve)[np.asarray(places) - 1].tolist()


def _energies(name: str, sizes: list[int], spread: Spread | None) -> dict[str, Any]:
    if spread is None:
        return {name: None, f"{name}_std": None}
    std = None if spread.std is None else _at(sizes, spread.std)
    return {name: _at(sizes, spread.mean), f"{name}_std": std}


def _curves(name: str, spread: Spread | None) -> Mapping[str, AnyArray]:
    if spread is None:
        return {}
    curves = {name: spread.mean}
    return curves if spread.std is None else curves | {f"{name}_std": spread.std}


def _points(name: str, curve: AirCurve | None) -> Mapping[str, AnyArray]:
    if curve is None:
        return {}
    return {
        f"{name}_curve_steps": curve.times,
        f"{name}_curve_noise": curve.noise,
        f"{name}_curve_signal": curve.signal,
    }


def _window(window: AirWindow | None) -> dict[str, Any] | None:
    if window is None:
        return None
    first, last = window.steps or (None, None)
    return {
        "delta": window.delta,
        "delta_prime": window.delta_prime,
        "first_step": first,
        "last_step": last,
        "reason": window.reason or ("" if window.steps else "no whole step lies inside"),
    }
