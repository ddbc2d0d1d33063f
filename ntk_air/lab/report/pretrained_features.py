"""Figures and summary of ``experiments/pretrained_features.py``, from its saved results."""

import numpy as np
from rich.console import Group
from rich.text import Text

from ntk_air._base.typing import AnyArray
from ntk_air.air import air_curve, air_summary
from ntk_air.lab.plotting import COLOURS, Axes, Draw
from ntk_air.lab.report.layout import (
    Arrays,
    Figures,
    Results,
    caption,
    draw_three_scores,
    heading,
    number,
    spread_line,
    table,
    with_spread,
)
from ntk_air.problem import Problem

SHARES = np.linspace(0, 1, 101)
"""Shares of the noise retrieved, and of all eigenspaces, at which curves are kept."""

_KERNELS = {
    "pixels": ("pixels, dense", "noise"),
    "convolutional": ("pixels, convolutional", "warm"),
    "features": ("features, dense", "clean"),
    "features_linear": ("features, linear", "light"),
    "whole_network": ("the whole network", "self_distilled"),
}

_SCORES = {
    "default": ("self-distillation, default", "self_distilled", "o"),
    "oracle": ("early stopping by oracle", "clean", "s"),
    "end": ("no stopping", "noise", "x"),
}


def curves(problem: Problem) -> dict[str, AnyArray]:
    """The AIR curve and the energy of clean labels of one draw of noise, at ``SHARES``."""
    energy = np.append(0.0, np.asarray(air_summary(problem).energy_clean))
    modes = np.linspace(0, 1, len(energy))
    noise = problem.noisy - problem.dataset.expected_noisy_targets()
    air = air_curve(problem.spectrum, problem.clean, noise)
    return {
        "air_curve": np.interp(SHARES, np.asarray(air.noise), np.asarray(air.signal)),
        "energy_clean_curve": np.interp(SHARES, modes, energy),
        "energy_clean_top_tenth": np.array(energy[(len(energy) - 1) // 10]),
    }


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    shares = arrays["shares"]

    def air(axes: Axes) -> None:
        _draw_curves(axes, results, shares, arrays["air_curve"])
        axes.plot([0, 1], [0, 1], color=COLOURS["control"], linestyle=":", linewidth=0.9)
        axes.set_xlabel("noise retrieved $R_t(ζ)$")
        axes.set_ylabel("clean labels retrieved $R_t(y)$")

    def energy(axes: Axes) -> None:
        _draw_curves(axes, results, shares, arrays["energy_clean_curve"])
        axes.axvline(0.1, color=COLOURS["control"], linestyle=":", linewidth=0.9)
        axes.set_xlabel("share of the eigenspaces, from the top")
        axes.set_ylabel("energy of the clean labels")

    panels: dict[str, Draw] = {
        "air": air,
        "energy": energy,
        "accuracy": lambda axes: _draw_scores(axes, results),
        "gain": lambda axes: _draw_gain(axes, results),
    }
    rate = float(np.mean(results["noise_rate"]))
    return Figures(panels, caption(results, spread_line(results), noise_rate=rate))


def summary(results: Results) -> Group:
    """The run in one screen."""
    side, n_seeds, size = results["side"], len(results["seeds"]), results["network_size"]
    whole = f"; the whole network on {size} × {size}" if size else ""
    explained = (
        f"features: {results['features']}; convolutional kernel of {side} × {side} "
        f"pixels{whole};\n"
        f"mean ± standard deviation over {n_seeds} draws of noise of test accuracy: default is\n"
        "self-distillation's, oracle and end are plain descent's; gain of default over oracle"
    )
    rows = []
    for index, name in enumerate(results["kernels"]):
        spreads = [
            with_spread(results[what][index], results[f"{what}_std"][index], ".3f")
            for what in ("default_accuracy", "oracle_accuracy")
        ]
        rows.append((
            _KERNELS[name][0],
            str(results["kernel_n_train"][index]),
            number(results["energy_clean_top_tenth"][index], ".2f"),
            number(results["air_auc"][index], ".3f"),
            *spreads,
            number(results["end_accuracy"][index], ".3f"),
            number(results["gain_over_oracle"][index], "+.3f"),
            number(results["noise_rate_estimate"][index], ".2f"),
        ))  # fmt: skip
    columns = ("kernel", "inputs", "top tenth", "AIR-AUC", "default", "oracle", "end", "gain", "ρ̂")
    return Group(
        heading(results, explained, noise_rate=float(np.mean(results["noise_rate"]))),
        "",
        table(columns, rows, no_wrap=True),
        "",
        Text(results["larger_run"]),
    )


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    accuracy, names = results["default_accuracy"], _names(results)
    best, gain = int(np.argmax(accuracy)), results["gain_over_oracle"]
    other = f", against {accuracy[0]:.3f} with {names[0]}" if best else ""
    return (
        f"self-distillation is best with {names[best]}: test accuracy {accuracy[best]:.3f}"
        f"{other}; it gains {gain[best]:+.3f} ± "
        f"{results['gain_over_oracle_std'][best]:.3f} there on early stopping by oracle"
    )


def _draw_curves(axes: Axes, results: Results, shares: np.ndarray, values: np.ndarray) -> None:
    """Means over draws of noise; kernels on fewer images are dashed."""
    most = max(results["kernel_n_train"])
    for index, (name, n) in enumerate(
        zip(results["kernels"], results["kernel_n_train"], strict=True)
    ):
        label, colour = _KERNELS[name]
        axes.plot(
            shares,
            values[:, index].mean(axis=0),
            linestyle="-" if n == most else "--",
            linewidth=1.0,
            color=COLOURS[colour],
            label=f"{label}, {n}",
        )


def _draw_scores(axes: Axes, results: Results) -> None:
    rows = np.arange(len(results["kernels"]))
    draw_three_scores(axes, results, _SCORES, "accuracy")
    axes.set_yticks(rows, _names(results), fontsize=5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("test accuracy")


def _draw_gain(axes: Axes, results: Results) -> None:
    """What self-distillation gains, against AIR-AUC."""
    most = max(results["kernel_n_train"])
    for index, name in enumerate(results["kernels"]):
        label, colour = _KERNELS[name]
        n = results["kernel_n_train"][index]
        axes.errorbar(
            results["air_auc"][index],
            results["gain_over_oracle"][index],
            xerr=results["air_auc_std"][index],
            yerr=results["gain_over_oracle_std"][index],
            marker="o" if n == most else "^",
            markersize=3,
            elinewidth=0.5,
            linestyle="none",
            color=COLOURS[colour],
            label=f"{label}, {n}",
        )
    axes.axhline(0, color=COLOURS["control"], linestyle=":", linewidth=0.9)
    axes.set_xlabel("AIR-AUC")
    axes.set_ylabel("gain in test accuracy over the oracle")


def _names(results: Results) -> list[str]:
    pairs = zip(results["kernels"], results["kernel_n_train"], strict=True)
    return [f"{_KERNELS[name][0]}, {n}" for name, n in pairs]
