"""Figures and summary of ``experiments/eigen_spectrum.py``, from its saved results."""

import numpy as np
from matplotlib.axes import Axes
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ntk_air.lab.plotting import COLOURS, Draw
from ntk_air.lab.report.layout import Arrays, Figures, Results, heading, kernel_line, number, table


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {
        "eigenvalues": lambda axes: _draw_eigenvalues(axes, results, arrays),
        "energy": lambda axes: _draw_energy(axes, results, arrays),
        "air_curve": lambda axes: _draw_air_curve(axes, results, arrays),
        "top5_energy": lambda axes: _draw_top5_energy(axes, results),
    }
    return Figures(panels)


def summary(results: Results) -> Group:
    """The run in one screen: what was measured, and what it says."""
    tables = (_spectrum_table(results), "", _energy_table(results))
    return Group(heading(results, kernel_line(results)), "", *tables, "", _air(results))


def _spectrum_table(results: Results) -> Table:
    made = Table("spectrum", "", box=None, pad_edge=False, show_header=False)
    rows = [
        ("largest eigenvalue", f"{results['lambda_max']:.6g}"),
        ("smallest eigenvalue", f"{results['lambda_min']:.3g}"),
        ("condition number", number(results["condition_number"], ".3g")),
        ("modes below precision", str(results["modes_below_precision"])),
        (
            "largest residual, relative to the top eigenvalue",
            f"{results['max_relative_residual']:.1e}",
        ),
        ("effective rank (entropy)", f"{results['effective_rank']:.2f}"),
        ("learning rate", f"{results['learning_rate']:.3g}"),
    ]
    for row in rows:
        made.add_row(*row)
    return made


def _energy_table(results: Results) -> Table:
    energy = results["energy"]
    noises = energy["noise_centred"] or [None] * len(energy["k"])
    rows = []
    for k, clean, noise, noisy in zip(
        energy["k"], energy["clean"], noises, energy["noisy"], strict=True
    ):
        ratio = number(clean / noise if noise else None, ".1f")
        rows.append((str(k), f"{clean:.4f}", number(noise, ".4f"), f"{noisy:.4f}", ratio))
    columns = ("energy in the top k", "clean labels", "centred noise", "noisy labels", "ratio")
    return table(columns, rows, n_left=0)


def _air(results: Results) -> Text:
    lines = []
    if results["air_auc"] is None:
        lines.append("AIR-AUC: not defined without label noise")
    else:
        lines.append(
            f"AIR-AUC {_spread(results, 'air_auc')}, isotropic kernel 0.5, random labels "
            f"{_spread(results, 'air_auc_random_labels')}"
        )
        window = results["air_window"]
        lines.append(
            f"AIR window (δ = {window['delta']:g}, δ′ = {window['delta_prime']:g}): "
            + (
                f"steps {window['first_step']:.4g} to {window['last_step']:.4g}"
                if window["first_step"] is not None
                else f"empty ({window['reason']})"
            )
        )
    lines.append(
        "half-life in steps: "
        + ", ".join(
            f"mode {mode}: {number(steps, '.3g')}"
            for mode, steps in zip(
                results["half_life"]["mode"], results["half_life"]["steps"], strict=True
            )
        )
    )
    return Text("\n".join(lines))


def _spread(results: Results, name: str) -> str:
    std, draws = results[f"{name}_std"], len(results[f"{name}_by_seed"])
    return f"{results[name]:.4f}" + ("" if std is None else f" ± {std:.4f} ({draws} draws)")


def _draw_eigenvalues(axes: Axes, results: Results, arrays: Arrays) -> None:
    eigenvalues, half_lives = arrays["eigenvalues"], arrays["half_life_steps"]
    modes = np.arange(1, len(eigenvalues) + 1)
    positive = eigenvalues > 0
    axes.loglog(modes[positive], eigenvalues[positive], color=COLOURS["clean"])
    axes.set_xlabel("mode $j$")
    axes.set_ylabel(r"eigenvalue $\lambda_j$", color=COLOURS["clean"])
    steps = axes.twinx()
    steps.spines["right"].set_visible(True)
    steps.grid(visible=False)
    shown = np.isfinite(half_lives) & (half_lives > 0)
    steps.loglog(modes[shown], half_lives[shown], color=COLOURS["noise"], linestyle="--")
    steps.set_ylabel("retrieval half-life [steps]", color=COLOURS["noise"])


def _draw_energy(axes: Axes, results: Results, arrays: Arrays) -> None:
    modes = np.arange(1, len(arrays["energy_clean"]) + 1)
    lines = (
        ("clean", "clean labels $y$", "clean", "-"),
        ("noisy", r"noisy labels $\tilde{y}$", "noisy", "-."),
        ("noise_centred", r"centred noise $\zeta$", "noise", "--"),
    )
    for key, label, colour, dash in lines:
        curve = arrays.get(f"energy_{key}")
        if curve is None:
            continue
        axes.semilogx(modes, curve, dash, color=COLOURS[colour], label=label)
        spread = arrays.get(f"energy_{key}_std")
        if spread is not None:
            axes.fill_between(
                modes, curve - spread, curve + spread, color=COLOURS[colour], alpha=0.2, lw=0
            )
    axes.semilogx(
        modes, modes / results["n_train"], ":", color=COLOURS["control"], label="isotropic"
    )
    axes.set_xlabel("top eigenspaces $k$")
    axes.set_ylabel("share of energy in the top $k$")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(loc="upper left")


def _draw_air_curve(axes: Axes, results: Results, arrays: Arrays) -> None:
    axes.plot([0, 1], [0, 1], ":", color=COLOURS["control"], label="isotropic kernel: area 0.5")
    curves = (
        ("air", "labels", "air_auc", "clean", "-"),
        ("control", "random labels", "air_auc_random_labels", "noise", "--"),
    )
    for key, label, area, colour, dash in curves:
        if results[area] is None:
            continue
        axes.plot(
            arrays[f"{key}_curve_noise"],
            arrays[f"{key}_curve_signal"],
            dash,
            color=COLOURS[colour],
            label=f"{label}: area {results[area]:.3f}",
        )
    axes.set_xlabel(r"retrieved share of centred noise $R_t(\zeta)$")
    axes.set_ylabel("retrieved share of signal $R_t(y)$")
    axes.legend(loc="lower right")


def _draw_top5_energy(axes: Axes, results: Results) -> None:
    table = results["top5_energy_by_noise"]
    lines = (
        ("self_distilled", "self-distilled labels", "self_distilled", "s-"),
        ("noisy", "noisy labels", "noisy", "o--"),
    )
    for key, label, colour, form in lines:
        spread = [std or 0.0 for std in table[f"{key}_std"]]
        axes.errorbar(
            np.asarray(table["noise_rate"]) * 100,
            table[key],
            yerr=spread,
            fmt=form,
            markersize=3,
            capsize=2,
            color=COLOURS[colour],
            label=label,
        )
    axes.axhline(table["clean"], color=COLOURS["clean"], linestyle=":", label="clean labels")
    axes.set_xlabel("label noise [%]")
    axes.set_ylabel("share of labels in the top 5")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left")
