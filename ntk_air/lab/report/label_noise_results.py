"""Scores of ``experiments/label_noise.py`` as arrays and numbers, ready to be saved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ntk_air._base.typing import AnyArray
from ntk_air.lab.noise_scores import PEERS
from ntk_air.lab.report.seeds import over_seeds, paired

METHODS = {
    "noise_aware": "clean_labels",
    "default": "default schedule",
    "validation": "early stopping, noisy validation",
    "oracle": "early stopping, oracle",
    "grid": "grid, oracle",
    "clean_labels": "trained on clean labels, oracle",
}
"""Methods by the name of their scores, as a reader calls them."""


def scores_shape(
    draws: Sequence[Mapping[str, AnyArray]], *, n_seeds: int, n_noises: int
) -> dict[str, np.ndarray]:
    """The scores of all draws, (n_seed, n_noise) each."""
    return {
        name: np.reshape([float(draw[name]) for draw in draws], (n_seeds, n_noises))
        for name in draws[0]
    }


def label_noise_numbers(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Means and standard deviations over seeds, by noise; and who is ahead.

    Args:
        arrays: scores of ``scores_shape``.
    """
    numbers: dict[str, Any] = {}
    for name, values in arrays.items():
        numbers |= over_seeds(name, values)
    for other in ("default", "oracle"):
        difference = arrays["accuracy_noise_aware"] - arrays[f"accuracy_{other}"]
        numbers |= paired(f"gain_over_{other}", difference)
    peers = np.stack([arrays[f"{peer}_auc"] for peer in PEERS[:2]])
    best = np.where(np.isnan(peers).all(axis=0), np.nan, np.max(np.nan_to_num(peers), axis=0))
    return numbers | paired("ranking_ahead_of_cleanlab", arrays["ranking_auc"] - best)
