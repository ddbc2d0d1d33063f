"""A comparison of schedules as arrays and numbers, ready to be saved."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ntk_air._base.typing import AnyArray
from ntk_air.air import AirSummary
from ntk_air.dynamics.label_noise.schedule_comparison import Comparison
from ntk_air.lab.report.seeds import over_seeds

METHODS = {
    "default": "self-distillation, default",
    "first_try": "self-distillation, first try",
    "validation": "early stopping, noisy validation",
    "leave_one_out": "early stopping, leave-one-out",
    "memorised": "no stopping",
    "oracle": "early stopping by oracle",
    "closest": "early stopping at its closest",
    "grid": "self-distillation by oracle",
    "clean_labels": "clean labels, stopped by oracle",
}
"""Every method that is compared, and its name for a reader; oracles see clean labels."""

_MOST_RECORDS = 32
"""Rounds, warm-up and finish of a run, at most."""

_ENERGY_POINTS = 60


def comparison_arrays(comparison: Comparison) -> dict[str, AnyArray]:
    """Scores, choices and curves of one draw of noise."""
    schedule, noise = comparison.schedule, comparison.schedule.noise
    arrays: dict[str, AnyArray] = {}
    for name in METHODS:
        score = comparison.scores[name]
        arrays[f"{name}_test_accuracy"] = np.array(score.test_accuracy)
        arrays[f"{name}_rms_distance"] = np.array(score.rms_distance)
        arrays[f"{name}_steps"] = np.array(score.steps)
    best = max(schedule.hidden_log_likelihoods)
    choices = {
        "noise_rate_estimate": noise.noise_rate,
        "noise_rate_std_error": noise.noise_rate_std_error,
        "temperature": noise.temperature,
        "warm_up_steps": noise.steps,
        "epoch_steps": schedule.rounds.epoch_length,
        "rounds": schedule.rounds.n_rounds,
        "hidden_gain_nats": best - schedule.plain_log_likelihood,
    }
    arrays |= {name: np.array(float(value)) for name, value in choices.items()}
    for prefix, run in (("descent", comparison.descent), ("rounds", comparison.default_run)):
        if run.held_out is None:
            continue
        curves = {
            "test_accuracy": run.held_out.accuracy,
            "rms_distance": run.train.rms_distance,
            "steps": run.times,
        }
        length = len(run.times) if prefix == "descent" else _MOST_RECORDS
        for name, curve in curves.items():
            missing = np.full(length - len(run.times), np.nan)
            arrays[f"{prefix}_{name}_curve"] = np.append(np.asarray(curve), missing)
    return arrays


def air_arrays(air: AirSummary) -> dict[str, AnyArray]:
    """How well the spectrum tells clean labels from centred noise; NaN where there is no noise."""
    clean = np.asarray(air.energy_clean)
    noise = air.energy_noise_centred
    modes = np.unique(np.geomspace(1, len(clean), _ENERGY_POINTS).round()).astype(int)
    curves = {
        "energy_clean": clean,
        "energy_noise_centred": np.full(len(clean), np.nan) if noise is None else np.asarray(noise),
    }
    tenth = len(clean) // 10 - 1
    return {
        "air_auc": np.array(np.nan if air.auc is None else air.auc),
        "energy_modes": modes,
        **{f"{name}_curve": curve[modes - 1] for name, curve in curves.items()},
        **{f"{name}_top_tenth": curve[tenth] for name, curve in curves.items()},
    }


def comparison_numbers(arrays: Mapping[str, AnyArray]) -> dict[str, Any]:
    """Means and standard deviations over seeds, by noise rate.

    Args:
        arrays: arrays of ``comparison_arrays`` and ``air_arrays``, with leading axes
            (n_seed, n_rate).
    """
    names = ("noise_rate_estimate", "noise_rate_std_error", "temperature", "warm_up_steps")
    names += ("epoch_steps", "rounds", "hidden_gain_nats")
    return {
        **over_seeds("noise_rate", arrays["noise_rate"]),
        "methods": {
            name: {
                key: value
                for what in ("test_accuracy", "rms_distance", "steps")
                for key, value in over_seeds(what, arrays[f"{name}_{what}"]).items()
            }
            for name in METHODS
        },
        "choices": {
            key: value for name in names for key, value in over_seeds(name, arrays[name]).items()
        },
        "air": {
            key: value
            for name in ("air_auc", "energy_clean_top_tenth", "energy_noise_centred_top_tenth")
            for key, value in over_seeds(name, arrays[name]).items()
        },
        "default_minus_oracle": {
            **over_seeds(
                "test_accuracy",
                arrays["default_test_accuracy"] - arrays["oracle_test_accuracy"],
            ),
            **over_seeds(
                "rms_distance", arrays["default_rms_distance"] - arrays["closest_rms_distance"]
            ),
        },
    }


def phase_numbers(phase: Mapping[str, AnyArray], *, n_classes: int) -> dict[str, Any]:
    """Where the default schedule succeeds, and where success is predicted."""
    succeeds = np.asarray(phase["error"]) < SUCCESS
    predicted = np.asarray(phase["predicted_error"]) < SUCCESS
    return {
        "n_classes": n_classes,
        "noise_rates": np.asarray(phase["rates"]).tolist(),
        "spreads": np.asarray(phase["spreads"]).tolist(),
        "error": np.asarray(phase["error"]).tolist(),
        "rms_distance": np.asarray(phase["distance"]).tolist(),
        "predicted_error": np.asarray(phase["predicted_error"]).tolist(),
        "success_below_error": SUCCESS,
        "agreement": float(np.mean(succeeds == predicted)),
        "succeeds_beyond_prediction": int(np.sum(succeeds & ~predicted)),
        "fails_within_prediction": int(np.sum(~succeeds & predicted)),
    }


SUCCESS = 0.05
"""A run that leaves fewer wrong rows than this has succeeded."""
