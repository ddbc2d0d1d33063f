"""Figures and summary of ``experiments/label_noise.py``, from its saved results."""

import numpy as np
from rich.console import Group

from ntk_air.lab.plotting import COLOURS, Axes, Draw
from ntk_air.lab.report.label_noise_results import METHODS
from ntk_air.lab.report.layout import (
    Arrays,
    Figures,
    Results,
    caption,
    heading,
    number,
    spread_line,
    table,
    with_spread,
)

_COLOURS = {
    "noise_aware": ("self_distilled", "o"),
    "default": ("warm", "s"),
    "validation": ("control", "v"),
    "oracle": ("noisy", "^"),
    "clean_labels": ("clean", "_"),
}

_RANKINGS = {
    "ranking_auc": ("clean_labels", "self_distilled", "o"),
    "logistic_regression_auc": ("cleanlab, logistic regression", "noise", "v"),
    "nearest_neighbours_auc": ("cleanlab, nearest neighbours", "accent", "^"),
    "own_probabilities_auc": ("cleanlab on our probabilities", "light", "s"),
}

_FOUND = {
    "right": "cleaned right",
    "rate_error": "rate error",
    "rate_covered": "in interval",
    "transition_error": "T error",
    "ranking_auc": "AUC",
    "ranking_precision": "AP",
    "logistic_regression_auc": "cleanlab LR",
    "nearest_neighbours_auc": "cleanlab kNN",
    "own_probabilities_auc": "on ours",
}

_AHEAD = {
    "gain_over_default": "default schedule",
    "gain_over_oracle": "oracle",
    "ranking_ahead_of_cleanlab": "cleanlab, ranking",
}
"""Differences to others, seed by seed, by what they are to."""


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {
        "accuracy": lambda axes: _draw_accuracy(axes, results),
        "ranking": lambda axes: _draw_ranking(axes, results),
        "rate": lambda axes: _draw_rate(axes, results, arrays),
    }
    return Figures(panels, caption(results, spread_line(results)))


def summary(results: Results) -> Group:
    """The run in one screen."""
    accuracies = [
        (
            noise,
            *(
                with_spread(
                    results[f"accuracy_{method}"][index],
                    results[f"accuracy_{method}_std"][index],
                    ".3f",
                )
                for method in METHODS
            ),
        )
        for index, noise in enumerate(results["noises"])
    ]
    found = [
        (noise, *(number(results[name][index], ".3f") for name in _FOUND))
        for index, noise in enumerate(results["noises"])
    ]
    root = len(results["seeds"]) ** 0.5
    ahead = [
        (
            noise,
            *(
                with_spread(results[name][index], _over(results[f"{name}_std"][index], root), ".4f")
                for name in _AHEAD
            ),
        )
        for index, noise in enumerate(results["noises"])
    ]
    return Group(
        heading(results, f"kernel: {results['kernel']}", f"features: {results['features'] or '–'}"),
        "",
        table(("test accuracy", *METHODS.values()), accuracies),
        "",
        table(("what was found", *_FOUND.values()), found),
        "",
        table(("ahead by, ± standard error", *_AHEAD.values()), ahead),
    )


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    gains = [gain for gain in results["gain_over_oracle"] if gain is not None]
    ahead = sum(gain > 0 for gain in gains)
    errors = [abs(error) for error in results["rate_error"] if error is not None]
    return (
        f"clean_labels is ahead of early stopping by oracle in {ahead} of {len(gains)} settings of "
        f"noise ({min(gains, default=0.0):+.3f} to {max(gains, default=0.0):+.3f} of test "
        f"accuracy); shares of wrong labels are off by {max(errors, default=0.0):.3f} at most"
    )


def _over(value: float | None, root: float) -> float | None:
    return None if value is None else value / root


def _draw_accuracy(axes: Axes, results: Results) -> None:
    places = np.arange(len(results["noises"]))
    for shift, (method, (colour, marker)) in enumerate(_COLOURS.items()):
        if np.isnan(np.array(results[f"accuracy_{method}"], float)).all():
            continue
        axes.errorbar(
            places + 0.1 * (shift - 2),
            results[f"accuracy_{method}"],
            results[f"accuracy_{method}_std"],
            fmt=marker,
            markersize=3,
            linewidth=0.8,
            color=COLOURS[colour],
            label=METHODS[method],
        )
    _name_noises(axes, results)
    axes.set_ylabel("test accuracy")


def _draw_ranking(axes: Axes, results: Results) -> None:
    places = np.arange(len(results["noises"]))
    for shift, (name, (label, colour, marker)) in enumerate(_RANKINGS.items()):
        values = np.array(results[name], float)
        if np.isnan(values).all():
            continue
        axes.plot(
            places + 0.1 * (shift - 1.5),
            values,
            marker,
            markersize=3,
            color=COLOURS[colour],
            label=label,
        )
    _name_noises(axes, results)
    axes.set_ylabel("AUC of suspects")


def _draw_rate(axes: Axes, results: Results, arrays: Arrays) -> None:
    true = 1 - arrays["given_right"]
    found = (true + arrays["rate_error"]).ravel()
    axes.plot(true.ravel(), found, "o", markersize=2.5, label="a draw of noise")
    axes.axline((0, 0), slope=1, color=COLOURS["control"], linewidth=0.8, label="as it is")
    axes.set_aspect("equal")
    axes.set_xlabel("share of wrong labels")
    axes.set_ylabel("estimated share")


def _name_noises(axes: Axes, results: Results) -> None:
    places = np.arange(len(results["noises"]))
    axes.set_xticks(places, results["noises"], rotation=60, ha="right", fontsize=5)
    axes.set_xlim(-0.5, len(places) - 0.5)
