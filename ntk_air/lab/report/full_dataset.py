"""Figures and summary of ``experiments/full_dataset.py``, from its saved results."""

from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ntk_air import plot
from ntk_air._base.memory import format_bytes
from ntk_air.lab.plotting import COLOURS, Axes, Draw
from ntk_air.lab.report.layout import (
    MISSING,
    Arrays,
    Figures,
    Results,
    caption,
    heading,
    how_early,
    table,
)

_LABELS = {"signal": ("clean labels", "clean"), "noise": ("centred noise", "noise")}


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {
        "retrieved_shares": lambda axes: _draw_shares(axes, arrays),
        "air_curve": lambda axes: _draw_air_curve(axes, results, arrays),
        "width_by_products": lambda axes: _draw_widths(axes, results),
        "training_loss": lambda axes: _draw_training_loss(axes, arrays),
    }
    if "eigenvalues" in arrays:
        panels["eigenvalues"] = lambda axes: _draw_eigenvalues(axes, arrays)
        panels["energy"] = lambda axes: _draw_energy(axes, arrays)
    if "distilled_steps" in arrays:
        panels["self_distillation"] = lambda axes: _draw_distilled(axes, arrays)
    return Figures(panels, caption(results))


def summary(results: Results) -> Group:
    """The run in one screen."""
    kernel = (
        f"kernel: {results['kernel']}, {results['operator']}, {results['precision']} with products "
        f"in {results['product_precision']}"
    )
    parts: list[Any] = [heading(results, kernel, _area_text(results)), "", _time_table(results)]
    if "top_modes" in results:
        parts += ["", _modes_text(results), _energy_table(results)]
    if "self_distillation" in results:
        run = results["self_distillation"]
        parts += [
            "",
            Text(
                f"self-distillation, {run['steps']} steps: distance {run['final_rms']:.4g}, "
                f"0–1 error {run['zero_one_final']:.4g}, memorised {run['memorised_share']:.4g}"
            ),
        ]
    return Group(*parts, "", _stage_table(results))


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    air = results["air"]
    return (
        f"on {results['n_train']} inputs clean labels are retrieved {how_early(air['auc_lower'])} "
        f"label noise: the AIR-AUC lies between {air['auc_lower']:.4f} and {air['auc_upper']:.4f}"
    )


def _area_text(results: Results) -> str:
    air = results["air"]
    return (
        f"AIR-AUC between {air['auc_lower']:.4f} and {air['auc_upper']:.4f}, about "
        f"{air['auc_estimate']:.4f}, from {air['n_products']} products"
    )


def _time_table(results: Results) -> Table:
    by_time = results["air"]["by_time"]
    rows = []
    for index, step in enumerate(by_time["steps"]):
        cells = (
            f"{by_time[f'{name}_lower'][index]:.4f} … {by_time[f'{name}_upper'][index]:.4f}"
            for name in _LABELS
        )
        rows.append((f"{step:.0f}", *cells))
    return table(("step", "clean labels retrieved", "centred noise retrieved"), rows, n_left=0)


def _modes_text(results: Results) -> Text:
    modes = results["top_modes"]
    values = modes["eigenvalues"]
    notes = "".join(f"\n{note}" for note in modes["notes"])
    return Text(
        f"top {modes['k']} eigenvalues: {values[0]:.6g} … {values[-1]:.6g}, residuals at most "
        f"{modes['max_relative_residual']:.1e} of the largest, eigenspace to a sine of "
        f"{modes['subspace_sine']:.1e}, {modes['n_products']} passes{notes}"
    )


def _energy_table(results: Results) -> Table:
    energy = results["energy"]
    numbers = zip(*(energy[name] for name in ("k", "signal", "noise", "noisy")), strict=True)
    rows = [(str(k), *(f"{value:.4f}" for value in values)) for k, *values in numbers]
    columns = ("energy in the top k", "clean labels", "centred noise", "noisy labels")
    return table(columns, rows, n_left=0)


def _stage_table(results: Results) -> Table:
    rows = []
    for name, stage in results["stages"].items():
        cells = []
        for cost in (stage, results["estimate"].get(name)):
            cells.append(MISSING if cost is None else f"{cost['seconds']:.1f}")
            cells.append(MISSING if cost is None else format_bytes(cost["peak_bytes"]))
        rows.append((name, *cells))
    columns = ("stage", "seconds", "peak", "seconds estimated", "peak estimated")
    return table(columns, rows, n_left=0)


def _draw_shares(axes: Axes, arrays: Arrays) -> None:
    steps = arrays["steps"]
    for name, (label, colour) in _LABELS.items():
        _draw_enclosure(axes, arrays, name, label=label, colour=COLOURS[colour])
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, steps[-1])
    axes.set_xlabel("steps of gradient descent")
    axes.set_ylabel("retrieved share")


def _draw_enclosure(axes: Axes, arrays: Arrays, name: str, *, label: str, colour: str) -> None:
    steps = arrays["steps"]
    lower, upper = arrays[f"{name}_lower"], arrays[f"{name}_upper"]
    apart = float(np.max(upper - lower))
    bounds = f"{label}, bounds (at most {apart:.0e} apart)"
    axes.fill_between(steps, lower, upper, color=colour, alpha=0.25, linewidth=0, label=bounds)
    axes.plot(steps, arrays[f"{name}_estimate"], color=colour, label=f"{label}, estimate")


def _draw_air_curve(axes: Axes, results: Results, arrays: Arrays) -> None:
    area = results["air"]
    # The curve runs above the lower and below the upper of these two.
    for first, second, label in (("upper", "lower", "lower bound"), ("lower", "upper", "upper")):
        axes.plot(
            arrays[f"noise_{first}"],
            arrays[f"signal_{second}"],
            color=COLOURS["light"],
            linewidth=0.8,
            label=label,
        )
    text = f"labels: area {area['auc_lower']:.3f} … {area['auc_upper']:.3f}"
    plot.air({text: (arrays["noise_estimate"], arrays["signal_estimate"])}, ax=axes)


def _draw_widths(axes: Axes, results: Results) -> None:
    widths = results["width_by_products"]
    lines = (
        ("signal", "clean labels, widest", "clean", "-"),
        ("signal_median", "clean labels, median", "clean", "--"),
        ("noise", "centred noise, widest", "noise", "-"),
        ("noise_median", "centred noise, median", "noise", "--"),
        ("auc", "AIR-AUC", "self_distilled", "-"),
    )
    for name, label, colour, dash in lines:
        values = np.asarray(widths[name], float)
        shown = np.where(values > 0, values, np.nan)
        axes.plot(widths["n_products"], shown, dash, marker=".", color=COLOURS[colour], label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("products with the kernel")
    axes.set_ylabel("width of the bracket")


def _draw_training_loss(axes: Axes, arrays: Arrays) -> None:
    steps = arrays["steps"]
    colour = COLOURS["noisy"]
    _draw_enclosure(axes, arrays, "training_loss", label="noisy labels", colour=colour)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, steps[-1])
    axes.set_xlabel("steps of gradient descent")
    axes.set_ylabel("training loss over its first")


def _draw_eigenvalues(axes: Axes, arrays: Arrays) -> None:
    values, residuals = arrays["eigenvalues"], arrays["residuals"]
    plot.spectrum(values / values[0], ax=axes)
    axes.set_ylabel("eigenvalue and residual, over $λ_1$")
    ranks, style = np.arange(1, len(values) + 1), {"color": COLOURS["control"], "markersize": 3}
    axes.plot(ranks, residuals, ".", label="‖Θv − λv‖/λ₁, measured", **style)


def _draw_energy(axes: Axes, arrays: Arrays) -> None:
    names = {"clean labels": "signal", "noisy labels": "noisy", "centred noise": "noise"}
    shares = {label: arrays[f"energy_{name}"] for label, name in names.items()}
    plot.energy(shares, isotropic=False, ax=axes)


def _draw_distilled(axes: Axes, arrays: Arrays) -> None:
    steps = arrays["distilled_steps"]
    for name, label, colour in (
        ("rms_distance", "RMS distance to clean labels", "self_distilled"),
        ("zero_one_error", "zero–one error", "noisy"),
    ):
        axes.plot(steps, arrays[f"distilled_train_{name}"], color=COLOURS[colour], label=label)
    axes.set_xlabel("steps of self-distillation")
    axes.set_ylabel("against clean labels")
    axes.set_ylim(bottom=0)
