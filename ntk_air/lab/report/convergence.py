"""Figures and summary of ``experiments/convergence.py``, from its saved results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ntk_air.lab.plotting import COLOURS, Draw, draw_figure, draw_panels, save_figure

Results = Mapping[str, Any]
Arrays = Mapping[str, np.ndarray]

RUNS = {
    "gradient_descent": ("gradient descent", "noisy", "-"),
    "self_distillation_identity": ("self-distillation, identity", "light", "--"),
    "self_distillation_sharpened": ("self-distillation, sharpened", "warm", "-."),
    "self_distillation_hard": ("self-distillation, hard", "self_distilled", "-"),
}


def save_figures(results: Results, arrays: Arrays, folder: Path) -> list[str]:
    """Draw each figure and the overview; return their names."""
    panels: dict[str, Draw] = {
        "distance": lambda axes: _draw_distance(axes, results, arrays),
        "zero_one_error": lambda axes: _draw_zero_one_error(axes, results, arrays),
        "margin": lambda axes: _draw_margin(axes, results, arrays),
    }
    if "gradient_descent_test_accuracy" in arrays:
        panels["test_accuracy"] = lambda axes: _draw_test_accuracy(axes, results, arrays)
    for name, draw in panels.items():
        save_figure(draw_figure(draw), folder, name)
    save_figure(draw_panels(list(panels.values())), folder, "overview")
    return [*panels, "overview"]


def summary(results: Results) -> Group:
    """The run in one screen."""
    heading = Text(
        f"{results['dataset']}: {results['n_train']} inputs, {results['n_classes']} classes, "
        f"{results['noise_rate']:.0%} {results['noise_kind']} label noise\n"
        f"kernel: {results['kernel']}, {results['precision']}\n"
        f"predicted: floor of early stopping {_number(results['floor_predicted'])}, "
        f"memorised {_number(results['memorised_predicted'])}"
    )
    table = Table("run", box=None, pad_edge=False)
    columns = ("best RMS", "at step", "0–1 there", "final RMS", "0–1", "least margin", "test acc.")
    for column in columns:
        table.add_column(column, justify="right")
    for key, (label, _, _) in RUNS.items():
        numbers = results[key]
        names = ("best_rms", "best_step", "zero_one_at_best", "final_rms", "zero_one_final")
        cells = [numbers[name] for name in (*names, "final_margin_min", "test_accuracy_final")]
        table.add_row(label, *(_number(cell) for cell in cells))
    return Group(heading, "", table, "", Text(_certificate_text(results)))


def _certificate_text(results: Results) -> str:
    certificate = results["certificate"]
    agreement = (
        "largest difference between exact and simulated distances: "
        f"{results['closed_form_max_abs_error']:.1e}"
    )
    if not certificate["issued"]:
        return f"no certificate: {certificate['reason']}\n{agreement}"
    return (
        f"certified at step {certificate['step']}: the hard labels are the clean ones for ever, "
        f"distance at most {certificate['bound_rms_at_step']:.3g} "
        f"(rounding allowance {certificate['rounding_allowance']:.1e})\n{agreement}"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _draw_runs(axes: Axes, arrays: Arrays, curve: str) -> None:
    for key, (label, colour, dash) in RUNS.items():
        steps = arrays[f"{key}_steps"]
        shown = steps <= arrays["self_distillation_hard_steps"][-1]
        values = arrays[f"{key}_{curve}"]
        axes.plot(steps[shown], values[shown], dash, color=COLOURS[colour], label=label)
        points = arrays.get(f"simulated_{key}_{curve}")
        if points is not None:
            at = arrays[f"simulated_{key}_steps"]
            axes.plot(at, points, "o", color=COLOURS[colour], markersize=2.5, fillstyle="none")
    axes.set_xscale("log")
    axes.set_xlabel("steps of gradient descent")


def _mark_certificate(axes: Axes, results: Results) -> None:
    certificate = results["certificate"]
    if certificate["issued"]:
        axes.axvline(certificate["step"], color=COLOURS["accent"], linewidth=0.8, label="certified")


def _draw_distance(axes: Axes, results: Results, arrays: Arrays) -> None:
    _draw_runs(axes, arrays, "rms_distance")
    axes.set_yscale("log")
    lines = (
        ("floor_predicted", "predicted floor", ":"),
        ("memorised_predicted", "memorised", "-."),
    )
    for key, label, dash in lines:
        if results[key]:
            axes.axhline(
                results[key], linestyle=dash, color=COLOURS["noise"], linewidth=0.9, label=label
            )
    _mark_certificate(axes, results)
    axes.set_ylabel("RMS distance to clean labels")
    axes.legend(loc="lower left", fontsize=5.5)


def _draw_zero_one_error(axes: Axes, results: Results, arrays: Arrays) -> None:
    _draw_runs(axes, arrays, "zero_one_error")
    _mark_certificate(axes, results)
    axes.set_ylabel("zero–one error against clean labels")


def _draw_margin(axes: Axes, results: Results, arrays: Arrays) -> None:
    _draw_runs(axes, arrays, "margin_min")
    axes.axhline(0, color=COLOURS["control"], linewidth=0.6)
    _mark_certificate(axes, results)
    axes.set_ylabel("smallest margin")


def _draw_test_accuracy(axes: Axes, results: Results, arrays: Arrays) -> None:
    _draw_runs(axes, arrays, "test_accuracy")
    _mark_certificate(axes, results)
    axes.set_ylabel("held-out accuracy")
