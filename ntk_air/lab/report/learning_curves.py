"""Figures and summary of ``experiments/learning_curves.py``, from its saved results."""

import numpy as np
from rich.console import Group

from ntk_air.lab.plotting import COLOURS, Axes
from ntk_air.lab.report.layout import (
    Arrays,
    Figures,
    Results,
    caption,
    heading,
    kernel_line,
    spread_line,
    table,
    with_spread,
)


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels = {
        "learning_curve": lambda axes: _draw_curve(axes, results),
        "ratio": lambda axes: _draw_ratio(axes, results),
    }
    return Figures(panels, caption(results, spread_line(results)))


def summary(results: Results) -> Group:
    """The run in one screen."""
    numbers = zip(
        results["sizes"],
        results["predicted"],
        results["measured"],
        results["measured_std"],
        strict=True,
    )
    rows = [
        (str(n), f"{foretold:.4f}", with_spread(mean, spread, ".4f"), f"{mean / foretold - 1:+.1%}")
        for n, foretold, mean, spread in numbers
    ]
    return Group(
        heading(results, kernel_line(results), ""),
        table(("points", "predicted error", "measured", "measured against it"), rows),
    )


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    ratios = _ratios(results)
    return (
        f"from {results['sizes'][0]} to {results['sizes'][-1]} points the measured error is "
        f"{ratios.min():.2f} to {ratios.max():.2f} times the one predicted from spectrum and labels"
    )


def _ratios(results: Results) -> np.ndarray:
    return np.array(results["measured"]) / np.array(results["predicted"])


def _draw_curve(axes: Axes, results: Results) -> None:
    axes.loglog(results["sizes"], results["predicted"], color=COLOURS["clean"], label="predicted")
    axes.errorbar(
        results["sizes"],
        results["measured"],
        yerr=results["measured_std"],
        linestyle="none",
        marker="o",
        markersize=3,
        color=COLOURS["noisy"],
        label="measured",
    )
    axes.set_xlabel("training points $n$")
    axes.set_ylabel("mean square error over the population")


def _draw_ratio(axes: Axes, results: Results) -> None:
    predicted = np.array(results["predicted"])
    axes.errorbar(
        results["sizes"],
        _ratios(results),
        yerr=np.array(results["measured_std"]) / predicted,
        linestyle="none",
        marker="o",
        markersize=3,
        color=COLOURS["noisy"],
        label="measured over predicted",
    )
    axes.axhline(1.0, color=COLOURS["clean"], linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("training points $n$")
    axes.set_ylabel("measured / predicted error")
