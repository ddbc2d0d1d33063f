"""What is saved of networks compared with their kernel at several widths and seeds."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ntk_air._base.typing import AnyArray
from ntk_air.networks.studies.finite_width import PowerLaw, WidthRun, fit_power_law


def width_arrays(runs: Sequence[Sequence[WidthRun]]) -> dict[str, np.ndarray]:
    """Distances (n_width, n_seed) and curves (n_width, n_seed, n_time) of runs [width][seed]."""

    def collect(value: Any) -> np.ndarray:
        return np.asarray([[value(run) for run in row] for row in runs])

    return {
        "kernel_distance": collect(lambda run: run.kernel_distance),
        "kernel_drift": collect(lambda run: run.kernel_drift),
        "function_gap": collect(lambda run: run.function_gap),
        "network_rms_distance": collect(lambda run: run.network.train.rms_distance),
        "kernel_rms_distance": np.asarray(runs[0][0].kernel.train.rms_distance),
    }


def width_numbers(
    common: Mapping[str, AnyArray], measured: Mapping[str, AnyArray], *, early: int
) -> dict[str, Any]:
    """Slopes with 95 % intervals; of the gap up to an early step and up to the last."""
    gaps = np.asarray(measured["function_gap"])
    at = int(np.flatnonzero(np.asarray(common["steps"]) == early)[0])
    widths = np.asarray(common["widths"])
    quantities = {
        "kernel_distance": measured["kernel_distance"],
        "kernel_drift": measured["kernel_drift"],
        "function_gap_early": gaps[..., at],
        "function_gap_late": gaps[..., -1],
    }
    numbers: dict[str, Any] = {
        name: dataclasses.asdict(fit(widths, values)) for name, values in quantities.items()
    }
    return numbers | {
        f"{name}_at_widest": float(np.mean(np.asarray(values)[-1]))
        for name, values in quantities.items()
    }


def fit(widths: AnyArray, values: AnyArray) -> PowerLaw:
    """The law of values (n_width, n_seed) over all widths and seeds."""
    values = np.asarray(values)
    return fit_power_law(np.repeat(np.asarray(widths), values.shape[1]), values.ravel())
