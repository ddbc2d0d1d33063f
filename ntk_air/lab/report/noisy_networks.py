"""Figures and summary of ``experiments/noisy_networks.py``, from its saved results."""

from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ntk_air.lab.plotting import COLOURS, Axes, Draw
from ntk_air.lab.report.layout import (
    Arrays,
    Figures,
    Results,
    caption,
    heading,
    spread_line,
    table,
    with_spread,
)
from ntk_air.lab.report.network_results import METHODS

# Colour and dash of each method that has a curve of its own.
_LOOKS = {
    "self_distillation": ("self_distilled", "-"),
    "cleaned_labels": ("self_distilled", "--"),
    "early_learning": ("warm", "-"),
    "co_teaching": ("accent", "-"),
    "forward_correction": ("light", "-"),
    "distance": ("clean", "--"),
    "hard_bootstrapping": ("noise", "--"),
    "progressive": ("accent", ":"),
    "label_smoothing": ("control", "--"),
    "cross_entropy": ("noisy", "-"),
    "square_loss": ("control", ":"),
}
_SHOWN_TIES = 0.0005


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {}
    for index, setting in enumerate(results["settings"]):
        panels[f"curves_{setting.replace(' ', '_')}"] = _curves_of(arrays, index, setting)
    panels["final_and_best"] = lambda axes: _draw_scores(axes, results)
    panels["memorised"] = lambda axes: _draw_memorised(axes, results)
    what = "curves: self-distillation seed by seed, means of others; bars"
    return Figures(panels, caption(results, spread_line(results, what=what)), 3.2)


def summary(results: Results) -> Group:
    """The run in one screen: every method's scores, and where self-distillation loses."""
    lines = (
        f"network: {results['network']}; schedule from: {results['kernel']}",
        f"mean ± standard deviation over {len(results['seeds'])} seeds; best is an oracle on "
        "clean test labels",
    )
    parts: list[Any] = [heading(results, *lines)]
    for index, setting in enumerate(results["settings"]):
        parts += ["", _table(results, index, setting)]
    parts += ["", _choices(results), "", Text("\n".join(_verdicts(results)))]
    parts += ["", Text(results["larger_run"])]
    return Group(*parts)


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    differences = results["self_distillation_final_minus"]
    settings = results["settings"]
    first = [
        setting
        for index, setting in enumerate(settings)
        if all(other["final"][index] > 0 for other in differences.values())
    ]
    at = f" ({'; '.join(first)})" if first else ""
    return (
        "the last epoch of self-distillation with nothing tuned has the best mean test accuracy "
        f"of {len(differences) + 1} methods in {len(first)} of {len(settings)} settings{at}"
    )


def _table(results: Results, index: int, setting: str) -> Table:
    rows = []
    for name, numbers in results["methods"].items():
        cells = [
            with_spread(numbers[what][index], numbers[f"{what}_std"][index], ".3f")
            for what in ("final", "best")
        ]
        cells += [
            f"{numbers[what][index]:.3f}" for what in ("last", "clean_accuracy", "memorised_share")
        ]
        rows.append((METHODS[name], *cells, f"{numbers['passes'][index]:.0f}"))
    kernel = results["infinite_width"]
    cell = with_spread(kernel["final"][index], kernel["final_std"][index], ".3f")
    rows.append(("kernel limit, same schedule", cell))
    columns = ("final", "best", "last ten", "train, clean", "memorised", "passes")
    return table((setting, *columns), rows)


def _choices(results: Results) -> Table:
    choices = results["choices"]
    rows = [
        (
            setting,
            f"{results['noise_rate'][index]:.1%}",
            f"{choices['noise_rate_estimate'][index]:.1%}",
            *(f"{choices[name][index]:.0f}" for name in ("warm_up_steps", "epoch_steps", "rounds")),
        )
        for index, setting in enumerate(results["settings"])
    ]
    columns = ("true noise", "estimated", "warm-up", "epoch", "rounds")
    return table(("chosen for self-distillation", *columns), rows)


def _verdicts(results: Results) -> list[str]:
    """Against whom self-distillation's last epoch loses, at the other's last and best."""
    lines = []
    differences = results["self_distillation_final_minus"]
    n_seeds = len(results["seeds"])
    for index, setting in enumerate(results["settings"]):
        for what, where in (("final", "last epoch"), ("best", "best epoch, an oracle's")):
            lost = [
                f"{METHODS[name]} ({differences[name][what][index]:+.4f} ± "
                f"{differences[name][f'{what}_std'][index]:.4f}, ahead in "
                f"{differences[name][f'{what}_seeds_ahead'][index]} of {n_seeds} seeds)"
                for name in differences
                if differences[name][what][index] < _SHOWN_TIES
            ]
            outcome = "loses to or ties with " + "; ".join(lost) if lost else "ahead of all"
            lines.append(f"{setting}, against each at its {where}: {outcome}")
    return lines


def _curves_of(arrays: Arrays, index: int, setting: str) -> Draw:
    return lambda axes: _draw_curves(axes, arrays, index, setting)


def _draw_curves(axes: Axes, arrays: Arrays, index: int, setting: str) -> None:
    """Test accuracy against passes through the training set: every seed of self-distillation,
    means of the others.
    """
    for name, (colour, dash) in _LOOKS.items():
        if f"{name}_final" not in arrays:
            continue
        passes = arrays[f"{name}_passes_curve"][:, index]
        accuracy = arrays[f"{name}_test_accuracy_curve"][:, index]
        style = {"color": COLOURS[colour], "linestyle": dash, "linewidth": 1.1}
        if np.allclose(passes, passes[0], equal_nan=True):
            axes.semilogx(passes[0], accuracy.mean(axis=0), label=METHODS[name], **style)
            continue
        for seed, (when, curve) in enumerate(zip(passes, accuracy, strict=True)):
            label = METHODS[name] if seed == 0 else None
            axes.semilogx(when, curve, alpha=0.6, label=label, **style)
    axes.set_xlabel("passes through the training set")
    axes.set_ylabel(f"test accuracy, {setting}")
    axes.set_ylim(0, 1.02)


def _draw_scores(axes: Axes, results: Results) -> None:
    """Last and best epoch of each method, one column a setting's mean."""
    names = list(results["methods"])
    n_settings = len(results["settings"])
    for index, setting in enumerate(results["settings"]):
        offset = 0.7 * ((index + 0.5) / n_settings - 0.5)
        rows = np.arange(len(names)) + offset
        shade = _shade(index, n_settings)
        for what, face in (("final", shade), ("best", "none")):
            axes.errorbar(
                [results["methods"][name][what][index] for name in names],
                rows,
                xerr=[results["methods"][name][f"{what}_std"][index] for name in names],
                linestyle="none",
                marker="o",
                markersize=3,
                color=shade,
                markerfacecolor=face,
                elinewidth=0.7,
                label=setting if what == "final" else None,
            )
    axes.set_yticks(range(len(names)), [METHODS[name] for name in names], fontsize=5)
    axes.invert_yaxis()
    axes.set_xlabel("test accuracy")
    axes.set_xlim(0, 1.02)
    axes.plot([], [], "o", color=COLOURS["control"], markersize=3, label="last epoch")
    axes.plot(
        [], [], "o", color=COLOURS["control"], markerfacecolor="none", markersize=3, label="best"
    )


def _draw_memorised(axes: Axes, results: Results) -> None:
    """What is left of the flipped labels at the end, and what is right of the training inputs."""
    names = list(results["methods"])
    n_settings = len(results["settings"])
    for index, setting in enumerate(results["settings"]):
        offset = 0.7 * ((index + 0.5) / n_settings - 0.5)
        axes.barh(
            np.arange(len(names)) + offset,
            [results["methods"][name]["memorised_share"][index] for name in names],
            height=0.7 / n_settings,
            color=_shade(index, n_settings),
            label=setting,
        )
    axes.set_yticks(range(len(names)), [METHODS[name] for name in names], fontsize=5)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("flipped labels predicted at the end")


def _shade(index: int, count: int) -> str:
    palette = ("clean", "noise", "self_distilled", "accent", "warm")
    return COLOURS[palette[index % len(palette)]] if count > 1 else COLOURS["clean"]
