"""Figures and summary of ``experiments/self_distillation.py``, from its saved results."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ntk_air import plot
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
from ntk_air.lab.report.schedule_results import METHODS, SUCCESS

# Colour, marker and dash of each method; oracles are dashed.
_LOOKS = {
    "default": ("self_distilled", "o", "-"),
    "grid": ("light", "^", "--"),
    "first_try": ("accent", "v", ":"),
    "oracle": ("clean", "s", "--"),
    "closest": ("clean", "s", "--"),
    "validation": ("warm", "D", "-"),
    "memorised": ("noise", "x", "-"),
}
_SHOWN = {
    "test_accuracy": ("default", "grid", "first_try", "oracle", "validation", "memorised"),
    "rms_distance": ("default", "grid", "first_try", "closest", "validation", "memorised"),
}
_AXIS = {
    "test_accuracy": "test accuracy",
    "rms_distance": "RMS distance to clean labels $d$",
}


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {
        "test_accuracy": lambda axes: _draw_methods(axes, results, "test_accuracy"),
        "distance": lambda axes: _draw_methods(axes, results, "rms_distance"),
        "rounds": lambda axes: _draw_rounds(axes, arrays),
        "energy": lambda axes: _draw_energy(axes, arrays),
    }
    if results["phase_diagram"] is not None:
        panels["phase_diagram"] = lambda axes: _draw_phase(axes, results, arrays)
    return Figures(panels, caption(results, spread_line(results)), 3.0)


def summary(results: Results) -> Group:
    """The run in one screen: every method by noise rate, and where the default loses."""
    kernel = (
        f"kernel: {results['kernel']}; mean ± standard deviation over {len(results['seeds'])} seeds"
    )
    return Group(
        heading(results, kernel),
        "",
        _method_table(results, "test_accuracy", "test accuracy"),
        "",
        _method_table(results, "rms_distance", "RMS distance to the clean labels"),
        "",
        _choice_table(results),
        "",
        _air_table(results),
        "",
        Text("\n".join([*_losses(results), *_phase_lines(results["phase_diagram"])])),
    )


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    gains = results["default_minus_oracle"]["test_accuracy"]
    ahead = sum(gain > 0 for gain in gains)
    best, worst = int(np.argmax(gains)), int(np.argmin(gains))
    rates = results["noise_rate"]
    return (
        "self-distillation with nothing tuned is ahead of early stopping by oracle at "
        f"{ahead} of {len(gains)} noise rates in test accuracy: from {gains[worst]:+.4f} at "
        f"{rates[worst]:.0%} to {gains[best]:+.4f} at {rates[best]:.0%}"
    )


def _method_table(results: Results, what: str, title: str) -> Table:
    rows = []
    for name, label in METHODS.items():
        numbers = results["methods"][name]
        cells = zip(numbers[what], numbers[f"{what}_std"], strict=True)
        rows.append((label, *(with_spread(mean, std, ".4f") for mean, std in cells)))
    return table((title, *(f"{rate:.0%} noise" for rate in results["noise_rate"])), rows)


def _choice_table(results: Results) -> Table:
    choices = results["choices"]
    rows = [
        (
            f"{rate:.1%}",
            f"{choices['noise_rate_estimate'][index]:.1%} "
            f"± {choices['noise_rate_std_error'][index]:.1%}",
            f"{choices['warm_up_steps'][index]:.0f}",
            f"{choices['temperature'][index]:.3f}",
            f"{choices['epoch_steps'][index]:.0f}",
            f"{choices['rounds'][index]:.0f}",
            f"{choices['hidden_gain_nats'][index]:+.4f}",
        )
        for index, rate in enumerate(results["noise_rate"])
    ]
    schedule = ("warm-up", "temperature", "epoch", "rounds")
    return table(("true noise", "estimated", *schedule, "gain [nats]"), rows, n_left=0)


def _air_table(results: Results) -> Table:
    air = results["air"]
    names = ("air_auc", "energy_clean_top_tenth", "energy_noise_centred_top_tenth")
    rows = [
        (
            f"{rate:.1%}",
            *(with_spread(air[name][index], air[f"{name}_std"][index], ".3f") for name in names),
        )
        for index, rate in enumerate(results["noise_rate"])
    ]
    columns = ("true noise", "AIR-AUC", "clean energy in top tenth", "noise energy there")
    return table(columns, rows, n_left=0)


def _losses(results: Results) -> list[str]:
    """Where the default is behind early stopping by oracle, in means over seeds."""
    difference = results["default_minus_oracle"]
    lines = []
    for index, rate in enumerate(results["noise_rate"]):
        accuracy, distance = difference["test_accuracy"][index], difference["rms_distance"][index]
        if accuracy < 0:
            spread = difference["test_accuracy_std"][index]
            lines.append(
                f"{rate:.0%} noise: the default loses {-accuracy:.4f} ± {spread:.4f} of test "
                "accuracy to early stopping by oracle"
            )
        if distance > 0:
            spread = difference["rms_distance_std"][index]
            lines.append(
                f"{rate:.0%} noise: the default ends {distance:.4f} ± {spread:.4f} farther from "
                "the clean labels than plain descent at its closest"
            )
    return lines or ["the default is behind early stopping by oracle at no noise rate"]


def _phase_lines(phase: Mapping[str, Any] | None) -> list[str]:
    if phase is None:
        return []
    return [
        f"clusters: success (error below {phase['success_below_error']:.0%}) as predicted at "
        f"{phase['agreement']:.0%} of the points; beyond the prediction at "
        f"{phase['succeeds_beyond_prediction']}, failure within it at "
        f"{phase['fails_within_prediction']}"
    ]


def _draw_methods(axes: Axes, results: Results, what: str) -> None:
    """A quantity of each method against the noise rate, or side by side for a single rate."""
    rates = np.asarray(results["noise_rate"]) * 100
    names = _SHOWN[what]
    for index, name in enumerate(names):
        colour, marker, dash = _LOOKS[name]
        numbers = results["methods"][name]
        single = len(rates) == 1
        axes.errorbar(
            [index] if single else rates + 0.4 * (index - len(names) / 2),
            numbers[what],
            yerr=numbers[f"{what}_std"],
            color=COLOURS[colour],
            marker=marker,
            markersize=3.5,
            linestyle="none" if single else dash,
            capsize=2,
            label=METHODS[name],
        )
    axes.set_ylabel(_AXIS[what])
    if len(rates) == 1:
        axes.set_xticks(range(len(names)), [_two_lines(METHODS[name]) for name in names])
        axes.tick_params(axis="x", rotation=60, labelsize=6)
        return
    axes.set_xlabel("label noise [%]")


def _two_lines(label: str) -> str:
    for break_at in (", ", " by ", " at "):
        if break_at in label:
            first, separator, rest = label.partition(break_at)
            return f"{first}{separator.rstrip()}\n{rest}"
    return label


def _strengths(n: int) -> np.ndarray:
    """Opacity of each rate's curve; the highest rate is opaque."""
    return np.linspace(1.0, 0.35, n)[::-1]


def _draw_rounds(axes: Axes, arrays: Arrays) -> None:
    """Distance along plain descent and along the default schedule, first seed, each rate."""
    last = 0.0
    rates = arrays["noise_rate"][0]
    strengths = _strengths(len(rates))
    for index, strength in enumerate(strengths):
        descent = arrays["descent_rms_distance_curve"][0, index]
        axes.semilogx(arrays["times"], descent, "--", color=COLOURS["clean"], alpha=strength)
        steps = arrays["rounds_steps_curve"][0, index]
        distance = arrays["rounds_rms_distance_curve"][0, index]
        finite = np.isfinite(steps)
        last = max(last, float(steps[finite].max()))
        axes.semilogx(
            steps[finite], distance[finite], ".-", color=COLOURS["self_distilled"], alpha=strength
        )
    end = 3 * max(last, float(arrays["times"][-1]))
    for index, strength in enumerate(strengths):
        distance = arrays["rounds_rms_distance_curve"][0, index]
        steps = arrays["rounds_steps_curve"][0, index]
        final = distance[np.isinf(steps)]
        axes.plot(
            [end] * len(final), final, "*", color=COLOURS["self_distilled"], alpha=strength, ms=7
        )
        axes.annotate(
            f"{rates[index]:.0%}",
            (end, final[0]),
            xytext=(5, -2),
            textcoords="offset points",
            fontsize=6,
        )
    axes.plot([], [], "--", color=COLOURS["clean"], label="plain descent")
    axes.plot([], [], ".-", color=COLOURS["self_distilled"], label="default, round by round")
    axes.plot([], [], "*", color=COLOURS["self_distilled"], label=r"its end, $t \to \infty$")
    axes.set_xlabel("gradient steps $t$")
    axes.set_ylabel(_AXIS["rms_distance"])


def _draw_energy(axes: Axes, arrays: Arrays) -> None:
    """Where clean labels and centred noise lie in the spectrum, means over seeds."""
    shares = {"clean labels $y$": arrays["energy_clean_curve"].mean(axis=(0, 1))}
    for index, rate in enumerate(arrays["noise_rate"].mean(axis=0)):
        curve = arrays["energy_noise_centred_curve"].mean(axis=0)[index]
        if np.isfinite(curve).all():
            shares[rf"noise $\zeta$, {rate:.0%} of labels"] = curve
    plot.energy(shares, modes=arrays["energy_modes"][0, 0], ax=axes)


def _draw_phase(axes: Axes, results: Results, arrays: Arrays) -> None:
    """The share of wrong rows over noise and spread, the predicted boundary and the majority's."""
    rates, spreads = arrays["phase_rates"] * 100, arrays["phase_spreads"]
    mesh = axes.pcolormesh(
        np.arange(len(rates) + 1) - 0.5,
        np.arange(len(spreads) + 1) - 0.5,
        arrays["phase_error"],
        cmap="cividis",
        vmin=0,
        vmax=0.5,
    )
    axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    axes.set_yticks(range(len(spreads)), [f"{spread:g}" for spread in spreads])
    axes.grid(visible=False)
    predicted = arrays["phase_predicted_error"]
    if min(predicted.shape) > 1 and predicted.min() < SUCCESS < predicted.max():
        axes.contour(predicted, levels=[SUCCESS], colors=COLOURS["noise"], linewidths=1.6)
        axes.plot([], [], color=COLOURS["noise"], label=f"predicted: error {SUCCESS:.0%}")
    n_classes = results["phase_diagram"]["n_classes"]
    majority = 100 * (n_classes - 1) / n_classes
    if rates[0] < majority < rates[-1]:
        position = np.interp(majority, rates, np.arange(len(rates)))
        axes.axvline(
            position, color=COLOURS["accent"], linestyle="--", label="majority of a cluster"
        )
    axes.set_xlabel("flipped in each cluster [%]")
    axes.set_ylabel("spread of the clusters [radius]")
    if axes.get_legend_handles_labels()[0]:
        assert axes.figure is not None
    bar = axes.figure.colorbar(mesh, ax=axes)
    bar.set_label("share of wrong training rows")
