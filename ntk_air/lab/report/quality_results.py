"""Qualities of kernels as arrays and numbers, ready to be saved."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import rankdata

from ntk_air._base.typing import AnyArray
from ntk_air.lab.kernel_quality import KernelQuality
from ntk_air.lab.report.seeds import over_seeds

QUALITIES = tuple(field.name for field in dataclasses.fields(KernelQuality))

GAINS = {
    "gain_over_oracle": ("default_accuracy", "oracle_accuracy"),
    "gain_over_end": ("default_accuracy", "end_accuracy"),
    "gain_in_distance": ("closest_distance", "default_distance"),
}
"""Each gain of self-distillation as a difference; above 0 it is ahead."""


def quality_arrays(quality: KernelQuality) -> dict[str, AnyArray]:
    """One kernel on one draw of noise."""
    return {name: np.array(float(value)) for name, value in dataclasses.asdict(quality).items()}


def quality_numbers(arrays: Mapping[str, AnyArray]) -> dict[str, Any]:
    """Means and standard deviations over seeds, of qualities and gains.

    Args:
        arrays: arrays of ``quality_arrays``, with leading axes (n_seed, n_kernel).
    """
    numbers: dict[str, Any] = {}
    for name in QUALITIES:
        numbers |= over_seeds(name, arrays[name], may_be_infinite=True)
    for name, values in gains(arrays).items():
        numbers |= over_seeds(name, values, may_be_infinite=True)
        numbers[f"{name}_seeds_ahead"] = np.sum(values > 0, axis=0).tolist()
    return numbers


def gains(arrays: Mapping[str, AnyArray]) -> dict[str, np.ndarray]:
    """Each of ``GAINS``, seed by seed, (n_seed, n_kernel)."""
    return {
        name: np.asarray(arrays[one]) - np.asarray(arrays[other])
        for name, (one, other) in GAINS.items()
    }


def rank_correlations(numbers: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Spearman's, over kernels, of AIR-AUC and eigengap with accuracy and gains.

    The kernels share their data, so that nothing is said of chance. ``None`` for fewer than
    three kernels, or where all are alike.
    """
    ends = ("default_accuracy", *GAINS)
    return {
        name: {end: _spearman(numbers[name], numbers[end]) for end in ends}
        for name in ("air_auc", "eigengap")
    }


def _spearman(one: list[float], other: list[float]) -> float | None:
    if len(one) < 3 or len(set(one)) == 1 or len(set(other)) == 1:
        return None
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
