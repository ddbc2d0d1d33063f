"""Figures and summary of ``experiments/finite_width.py``, from its saved results."""

from collections.abc import Mapping

import numpy as np
from rich.console import Group

from ntk_air.lab.plotting import COLOURS, Axes, Draw
from ntk_air.lab.report.layout import Arrays, Figures, Results, caption, heading, kernel_line, table
from ntk_air.lab.report.width_results import fit

RUNS = {
    "gradient_descent": ("gradient descent", "noisy", "o"),
    "identity": ("identity", "light", "s"),
    "sharpened": ("sharpened", "warm", "^"),
    "hard": ("hard", "self_distilled", "v"),
    "last_epoch": ("hard, last epoch", "noise", "D"),
    "restart": ("hard, restarted", "accent", "P"),
}


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    early, late = results["early_steps"], results["late_steps"]
    at = int(np.flatnonzero(arrays["steps"] == early)[0])
    panels: dict[str, Draw] = {
        "kernel": lambda axes: _draw_kernel(axes, results, arrays),
        "function_gap_early": lambda axes: _draw_gap(axes, results, arrays, (at, early)),
        "function_gap_late": lambda axes: _draw_gap(axes, results, arrays, (-1, late)),
        "slope_over_time": lambda axes: _draw_slopes(axes, results, arrays),
        "curves": lambda axes: _draw_curves(axes, results, arrays),
    }
    widths = f"widths {results['widths'][0]} to {results['widths'][-1]}"
    spread = "intervals of slopes: 95 %"
    return Figures(panels, caption(results, f"{widths}, {len(results['seeds'])} seeds; {spread}"))


def summary(results: Results) -> Group:
    """The run in one screen."""
    lines = (
        f"widths {results['widths']}, {len(results['seeds'])} seeds",
        kernel_line(results),
        "slopes over the width with 95 % intervals; −0.5 is the law of wide networks",
    )
    gaps = [f"gap, {results[steps]} steps" for steps in ("early_steps", "late_steps")]
    names = ("kernel_distance", "kernel_drift", "function_gap_early", "function_gap_late")
    rows = [
        (
            RUNS[key][0],
            *(_slope(numbers[name]) for name in names),
            f"{numbers['function_gap_late_at_widest']:.3g}",
        )
        for key, numbers in results["runs"].items()
    ]
    columns = ("run", "Θ distance", "Θ drift", *gaps, "gap at widest")
    return Group(heading(results, *lines), "", table(columns, rows))


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    late = {
        RUNS[key][0]: numbers["function_gap_late"]["slope"]
        for key, numbers in results["runs"].items()
    }
    early = next(iter(results["runs"].values()))["function_gap_early"]["slope"]
    slopes = ", ".join(f"{slope:.2f} ({name})" for name, slope in late.items())
    return (
        f"networks come to their kernel as width^{early:.2f} over {results['early_steps']} steps, "
        f"where −0.5 is the law; over {results['late_steps']} steps the exponents are {slopes}"
    )


def _slope(law: Mapping[str, float]) -> str:
    return f"{law['slope']:.2f} ± {law['high'] - law['slope']:.2f}"


def _draw_values(
    axes: Axes, widths: np.ndarray, values: np.ndarray, style: tuple[str, str, str]
) -> None:
    """Every seed as a point, the fitted law as a line."""
    label, colour, marker = style
    axes.plot(
        np.repeat(widths, values.shape[1]),
        values.ravel(),
        marker,
        color=COLOURS[colour],
        markersize=2,
        alpha=0.6,
    )
    law = fit(widths, values)
    text = f"{label}: {law.slope:.2f} ± {law.high - law.slope:.2f}"
    axes.plot(widths, law.at(widths), color=COLOURS[colour], linewidth=1, label=text)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("width")


def _draw_kernel(axes: Axes, results: Results, arrays: Arrays) -> None:
    widths = arrays["widths"]
    first = next(iter(results["runs"]))
    distance = ("distance to $Θ_∞$ at start", "control", "x")
    _draw_values(axes, widths, arrays[f"{first}_kernel_distance"], distance)
    for key in results["runs"]:
        label, colour, marker = RUNS[key]
        style = (f"drift, {label}", colour, marker)
        _draw_values(axes, widths, arrays[f"{key}_kernel_drift"], style)
    axes.set_ylabel("relative change of the kernel")


def _draw_gap(axes: Axes, results: Results, arrays: Arrays, when: tuple[int, int]) -> None:
    """The gap at an index of the curves, and how many steps that is."""
    at, steps = when
    for key in results["runs"]:
        _draw_values(axes, arrays["widths"], arrays[f"{key}_function_gap"][..., at], RUNS[key])
    axes.set_ylabel(f"largest gap in {steps} steps")


def _draw_slopes(axes: Axes, results: Results, arrays: Arrays) -> None:
    steps = arrays["steps"]
    for key in results["runs"]:
        label, colour, _ = RUNS[key]
        gaps = arrays[f"{key}_function_gap"]
        laws = [fit(arrays["widths"], gaps[..., at]) for at in range(1, len(steps))]
        low, high = [law.low for law in laws], [law.high for law in laws]
        axes.plot(steps[1:], [law.slope for law in laws], color=COLOURS[colour], label=label)
        axes.fill_between(steps[1:], low, high, color=COLOURS[colour], alpha=0.12, linewidth=0)
    axes.axhline(-0.5, color=COLOURS["control"], linestyle=":", linewidth=0.9)
    axes.set_xscale("log")
    axes.set_xlabel("steps up to which the gap is taken")
    axes.set_ylabel("slope of the gap")


def _draw_curves(axes: Axes, results: Results, arrays: Arrays) -> None:
    steps, widest = arrays["steps"][1:], results["widths"][-1]
    for key in results["runs"]:
        label, colour, marker = RUNS[key]
        axes.plot(
            steps, arrays[f"{key}_kernel_rms_distance"][1:], color=COLOURS[colour], label=label
        )
        networks = arrays[f"{key}_network_rms_distance"][-1][:, 1:]
        for network in networks:
            axes.plot(steps, network, marker, color=COLOURS[colour], markersize=2, fillstyle="none")
    axes.set_xscale("log")
    axes.set_xlabel("steps of gradient descent")
    axes.set_ylabel(f"RMS distance to clean labels\n(lines: kernel, points: width {widest})")
