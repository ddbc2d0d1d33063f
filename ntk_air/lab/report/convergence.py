"""Figures and summary of ``experiments/convergence.py``, from its saved results."""

from rich.console import Group
from rich.text import Text

from ntk_air import plot
from ntk_air.lab.plotting import COLOURS, Axes, Draw
from ntk_air.lab.report.layout import (
    Arrays,
    Figures,
    Results,
    caption,
    heading,
    kernel_line,
    number,
    table,
)

RUNS = {
    "gradient_descent": ("gradient descent", "noisy"),
    "self_distillation_identity": ("self-distillation, identity", "light"),
    "self_distillation_sharpened": ("self-distillation, sharpened", "warm"),
    "self_distillation_hard": ("self-distillation, hard", "self_distilled"),
}

_QUANTITIES = {
    "rms_distance": "rms_distance",
    "zero_one_error": "zero_one_error",
    "margin_min": "margin_min",
    "test_accuracy": "held_out_accuracy",
}

_COLUMNS = {
    "best_rms": "best RMS",
    "best_step": "at step",
    "zero_one_at_best": "0–1 there",
    "final_rms": "final RMS",
    "zero_one_final": "0–1",
    "final_margin_min": "least margin",
    "test_accuracy_final": "test acc.",
}


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {
        "distance": lambda axes: _draw_distance(axes, results, arrays),
        "zero_one_error": lambda axes: _draw_zero_one_error(axes, results, arrays),
        "margin": lambda axes: _draw_margin(axes, results, arrays),
    }
    if "gradient_descent_test_accuracy" in arrays:
        panels["test_accuracy"] = lambda axes: _draw_test_accuracy(axes, results, arrays)
    checked = "lines: closed form or event by event; circles: step by step"
    return Figures(panels, caption(results, checked))


def summary(results: Results) -> Group:
    """The run in one screen."""
    predicted = (
        f"predicted: floor of early stopping {number(results['floor_predicted'], '.4g')}, "
        f"memorised {number(results['memorised_predicted'], '.4g')}"
    )
    rows = [
        (label, *(number(results[key][name], ".4g") for name in _COLUMNS))
        for key, (label, _) in RUNS.items()
    ]
    return Group(
        heading(results, kernel_line(results), predicted),
        "",
        table(("run", *_COLUMNS.values()), rows),
        "",
        Text(_certificate_text(results)),
    )


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    closest = results["gradient_descent"]["best_rms"]
    final = results["self_distillation_hard"]["final_rms"]
    certificate = results["certificate"]
    issued = f"certified from step {certificate['step']} on"
    beyond = "goes beyond early stopping" if final < closest else "stays behind early stopping"
    return (
        f"self-distillation with hard labels {beyond}: it ends {final:.3g} from the clean labels, "
        f"descent at its closest is {closest:.3g} away and ends at "
        f"{results['gradient_descent']['final_rms']:.3g}; "
        f"{issued if certificate['issued'] else 'no certificate'}"
    )


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


def _draw_runs(axes: Axes, arrays: Arrays, curve: str) -> None:
    curves = {}
    for key, (label, colour) in RUNS.items():
        steps = arrays[f"{key}_steps"]
        shown = steps <= arrays["self_distillation_hard_steps"][-1]
        values = arrays[f"{key}_{curve}"]
        curves[label] = (steps[shown], values[shown])
        points = arrays.get(f"simulated_{key}_{curve}")
        if points is not None:
            at = arrays[f"simulated_{key}_steps"]
            axes.plot(at, points, "o", color=COLOURS[colour], markersize=2.5, fillstyle="none")
    plot.convergence(curves, _QUANTITIES[curve], ax=axes)


def _mark_certificate(axes: Axes, results: Results) -> None:
    certificate = results["certificate"]
    if certificate["issued"]:
        axes.axvline(certificate["step"], color=COLOURS["accent"], linewidth=0.8, label="certified")


def _draw_distance(axes: Axes, results: Results, arrays: Arrays) -> None:
    _draw_runs(axes, arrays, "rms_distance")
    lines = (
        ("floor_predicted", _floor_label(results), ":"),
        ("memorised_predicted", "memorised", "-."),
    )
    for key, label, dash in lines:
        if results[key]:
            axes.axhline(
                results[key], linestyle=dash, color=COLOURS["noise"], linewidth=0.9, label=label
            )
    _mark_certificate(axes, results)


def _floor_label(results: Results) -> str:
    """What the floor is a prediction of; it says nothing of data that are not in clusters."""
    if results.get("in_clusters", results["dataset"] == "clusters"):
        return "predicted floor"
    return "floor if these data were clusters, which they are not"


def _draw_zero_one_error(axes: Axes, results: Results, arrays: Arrays) -> None:
    _draw_runs(axes, arrays, "zero_one_error")
    _mark_certificate(axes, results)


def _draw_margin(axes: Axes, results: Results, arrays: Arrays) -> None:
    _draw_runs(axes, arrays, "margin_min")
    _mark_certificate(axes, results)


def _draw_test_accuracy(axes: Axes, results: Results, arrays: Arrays) -> None:
    _draw_runs(axes, arrays, "test_accuracy")
    _mark_certificate(axes, results)
