"""Figures and summary of ``experiments/architectures.py``, from its saved results."""

from collections.abc import Mapping

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
    draw_three_scores,
    heading,
    number,
    spread_line,
    table,
    with_spread,
)

_TIES = 0.0005

_ACCURACIES = {
    "default": ("self-distillation, default", "self_distilled", "o"),
    "oracle": ("early stopping by oracle", "clean", "s"),
    "end": ("no stopping", "noise", "x"),
}
_DISTANCES = {
    "default": _ACCURACIES["default"],
    "closest": ("early stopping at its closest", "clean", "s"),
    "end": _ACCURACIES["end"],
}
_FAMILIES = {
    "dense": "clean",
    "nngp": "accent",
    "empirical": "warm",
    "convolutional": "self_distilled",
    "other": "noise",
}
_GAINS = {
    "gain_over_oracle": "gain in test accuracy over the oracle",
    "gain_over_end": "gain in test accuracy over the end",
}


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {
        "accuracy": lambda axes: _draw_scores(axes, results, _ACCURACIES, "accuracy"),
        "distance": lambda axes: _draw_scores(axes, results, _DISTANCES, "distance"),
        "air": lambda axes: _draw_rows(axes, results, "air_auc", "AIR-AUC"),
        "eigengap": lambda axes: _draw_gaps(axes, results),
        "gain_over_oracle": lambda axes: _draw_gain(axes, results, "gain_over_oracle"),
        "gain_over_end": lambda axes: _draw_gain(axes, results, "gain_over_end"),
    }
    height = 1.2 + 0.15 * len(results["architectures"])
    rate = float(np.mean(results["noise_rate"]))
    return Figures(panels, caption(results, spread_line(results), noise_rate=rate), height)


def summary(results: Results) -> Group:
    """The run in one screen: every architecture's numbers, and where self-distillation loses."""
    explained = (
        f"mean ± standard deviation over {len(results['seeds'])} seeds of test accuracy: default "
        "is self-distillation's, oracle\nand end are plain descent's; gain of default over oracle, "
        "and seeds ahead; λ gap: the eigengap"
    )
    head = heading(results, explained, noise_rate=float(np.mean(results["noise_rate"])))
    lines = [_verdict(results, "gain_over_oracle", "early stopping by oracle")]
    lines += [_verdict(results, "gain_over_end", "no stopping")]
    lines += [_correlations(results), results["larger_run"]]
    return Group(head, "", _table(results), "", Text("\n".join(lines)))


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    gains, names = results["gain_over_oracle"], results["architectures"]
    best, worst = int(np.argmax(gains)), int(np.argmin(gains))
    ahead = sum(gain > _TIES for gain in gains)
    return (
        f"self-distillation with nothing tuned is ahead of early stopping by oracle with {ahead} "
        f"of {len(gains)} architectures, from {gains[worst]:+.3f} of test accuracy ({names[worst]})"
        f" to {gains[best]:+.3f} ({names[best]})"
    )


def _table(results: Results) -> Table:
    n_seeds, rows = len(results["seeds"]), []
    for index, name in enumerate(results["architectures"]):
        cells = [f"{results['air_auc'][index]:.3f}", _gap(results["eigengap"][index])]
        for who in ("default_accuracy", "oracle_accuracy"):
            cells.append(with_spread(results[who][index], results[f"{who}_std"][index], ".3f"))
        cells += [f"{results['end_accuracy'][index]:.3f}"]
        cells += [f"{results['gain_over_oracle'][index]:+.3f}"]
        ahead = results["gain_over_oracle_seeds_ahead"][index]
        rows.append((name, *cells, f"{ahead}/{n_seeds}"))
    columns = ("architecture", "AIR-AUC", "λ gap", "default", "oracle", "end", "gain", "ahead")
    return table(columns, rows, no_wrap=True)


def _gap(value: float | None) -> str:
    # JSON holds no infinity: a gap to a mode that is zero to rounding is null there.
    return "∞" if value is None or not np.isfinite(value) else f"{value:.2f}"


def _verdict(results: Results, gain: str, whom: str) -> str:
    lost = [
        f"{name} ({value:+.4f} ± {spread:.4f})"
        for name, value, spread in zip(
            results["architectures"], results[gain], results[f"{gain}_std"], strict=True
        )
        if value < _TIES
    ]
    outcome = "loses or ties with " + "; ".join(lost) if lost else "ahead with every architecture"
    return f"self-distillation by default against {whom}: {outcome}"


def _correlations(results: Results) -> str:
    ends = {
        "default_accuracy": "accuracy of self-distillation",
        "gain_over_oracle": "gain over the oracle",
        "gain_over_end": "gain over the end",
    }
    parts = []
    for name, label in (("air_auc", "AIR-AUC"), ("eigengap", "eigengap")):
        values = results["rank_correlation"][name]
        shown = [f"{text} {number(values[end], '+.2f')}" for end, text in ends.items()]
        parts.append(f"{label} with {', '.join(shown)}")
    return "rank correlation over architectures, on the same data: " + "; ".join(parts)


def _numbered(results: Results) -> list[str]:
    return [f"{name}  {index}" for index, name in enumerate(results["architectures"], start=1)]


def _rows(axes: Axes, results: Results) -> np.ndarray:
    rows = np.arange(len(results["architectures"]))
    axes.set_yticks(rows, _numbered(results), fontsize=5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    return rows


def _draw_scores(
    axes: Axes, results: Results, shown: Mapping[str, tuple[str, str, str]], what: str
) -> None:
    _rows(axes, results)
    draw_three_scores(axes, results, shown, what)
    axes.set_xlabel(
        "test accuracy" if what == "accuracy" else "RMS distance to the clean labels $d$"
    )


def _draw_rows(axes: Axes, results: Results, name: str, label: str) -> None:
    rows = _rows(axes, results)
    for row in rows:
        axes.errorbar(
            results[name][row],
            row,
            xerr=results[f"{name}_std"][row],
            marker="o",
            markersize=3,
            elinewidth=0.7,
            color=COLOURS[_family(results["architectures"][row])[1]],
        )
    axes.set_xlabel(label)


def _draw_gaps(axes: Axes, results: Results) -> None:
    rows = _rows(axes, results)
    for row in rows:
        value = results["eigengap"][row]
        colour = COLOURS[_family(results["architectures"][row])[1]]
        if value is None or not np.isfinite(value):
            axes.text(1.0, row, " ∞", color=colour, va="center", fontsize=6)
            continue
        spread = results["eigengap_std"][row]
        axes.errorbar(value, row, xerr=spread, marker="o", markersize=3, color=colour)
    n_classes = results["n_classes"]
    axes.set_xlabel(f"eigengap $λ_{{{n_classes}}}/λ_{{{n_classes + 1}}}$")


def _draw_gain(axes: Axes, results: Results, gain: str) -> None:
    """Gain against AIR-AUC; numbers are those of the rows of the other figures."""
    seen = set()
    for index, name in enumerate(results["architectures"]):
        family, colour = _family(name)
        x, y = results["air_auc"][index], results[gain][index]
        axes.errorbar(
            x,
            y,
            xerr=results["air_auc_std"][index],
            yerr=results[f"{gain}_std"][index],
            marker="o",
            markersize=3,
            elinewidth=0.5,
            alpha=0.8,
            color=COLOURS[colour],
            label=None if family in seen else family,
        )
        axes.annotate(str(index + 1), (x, y), (2, 2), textcoords="offset points", fontsize=5)
        seen.add(family)
    axes.axhline(0, color=COLOURS["control"], linestyle=":", linewidth=0.9)
    axes.set_xlabel("AIR-AUC")
    axes.set_ylabel(_GAINS[gain])


def _family(name: str) -> tuple[str, str]:
    """The kind of kernel, and its colour."""
    kernel = name.split(":")[0]
    family = next((key for key in _FAMILIES if kernel.startswith(key)), "other")
    return family, _FAMILIES[family]
