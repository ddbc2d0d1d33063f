"""A comparison of methods for noisy labels on networks as arrays and numbers, ready to be saved."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ntk_air._base.typing import AnyArray
from ntk_air.lab.report.seeds import over_seeds, paired
from ntk_air.networks.studies.noisy_comparison import MethodRun

METHODS = {
    "self_distillation": "self-distillation, default",
    "cleaned_labels": "cleaned labels (clean_labels)",
    "early_learning": "ELR",
    "co_teaching": "co-teaching, true rate",
    "forward_correction": "forward correction, true T",
    "distance": "distance to start",
    "hard_bootstrapping": "bootstrapping, hard",
    "soft_bootstrapping": "bootstrapping, soft",
    "progressive": "PS-KD",
    "label_smoothing": "label smoothing",
    "cross_entropy": "cross-entropy",
    "early_stopping": "early stopping, validation",
    "warm_up": "control: warm-up alone",
    "square_loss": "control: square loss",
}
"""Every method that is trained, and its name for a reader."""

LAST = 10
"""Records that the mean over the last is taken of; each an epoch of training."""

_CURVES = ("test_accuracy", "clean_accuracy", "memorised_share")


def run_arrays(runs: Mapping[str, MethodRun], *, length: int) -> dict[str, AnyArray]:
    """Curves of every method, NaN behind their ends, (length,), and the scores they are judged by.

    ``final``, ``best`` (an oracle on the clean test labels) and ``last`` (the mean over the last
    ten records) of test accuracy; the last accuracy on the training inputs' clean labels and the
    share of flipped labels that is predicted there.
    """
    arrays: dict[str, AnyArray] = {}
    for name, run in runs.items():
        trajectory = run.trajectory
        assert trajectory.held_out is not None
        curves = {
            "passes": run.passes,
            "test_accuracy": np.asarray(trajectory.held_out.accuracy, float),
            "clean_accuracy": 1.0 - np.asarray(trajectory.train.zero_one_error, float),
            "memorised_share": np.asarray(trajectory.train.memorised_share, float),
        }
        for what, curve in curves.items():
            arrays[f"{name}_{what}_curve"] = np.append(curve, np.full(length - len(curve), np.nan))
        accuracy = curves["test_accuracy"]
        scores = {
            "final": accuracy[-1],
            "best": accuracy.max(),
            "last": accuracy[-LAST:].mean(),
            "best_passes": run.passes[int(np.argmax(accuracy))],
            "passes": run.passes[-1],
            "clean_accuracy": curves["clean_accuracy"][-1],
            "memorised_share": curves["memorised_share"][-1],
        }
        arrays |= {f"{name}_{what}": np.array(float(score)) for what, score in scores.items()}
    return arrays


def comparison_numbers(arrays: Mapping[str, AnyArray], settings: list[str]) -> dict[str, Any]:
    """Means and standard deviations over seeds, by setting.

    Args:
        arrays: arrays of ``run_arrays``, with leading axes (n_seed, n_setting).
        settings: names of the kinds and rates of noise.
    """
    whats = ("final", "best", "last", "best_passes", "passes", "clean_accuracy", "memorised_share")
    own = np.asarray(arrays["self_distillation_final"])
    trained = [name for name in METHODS if f"{name}_final" in arrays]
    return {
        "settings": settings,
        **over_seeds("noise_rate", arrays["noise_rate"]),
        "methods": {
            name: {
                key: value
                for what in whats
                for key, value in over_seeds(what, arrays[f"{name}_{what}"]).items()
            }
            for name in trained
        },
        "self_distillation_final_minus": {
            name: {
                key: value
                for what in ("final", "best")
                for key, value in paired(what, own - arrays[f"{name}_{what}"]).items()
            }
            for name in trained[1:]
        },
        "infinite_width": over_seeds("final", arrays["infinite_width_final"]),
        "choices": {
            key: value
            for name in ("noise_rate_estimate", "warm_up_steps", "epoch_steps", "rounds")
            for key, value in over_seeds(name, arrays[name]).items()
        },
    }
