"""Figures and summary of ``experiments/eigen_spectrum.py``, from its saved results."""

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
    how_early,
    kernel_line,
    number,
    spread_line,
    table,
)


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {
        "eigenvalues": lambda axes: _draw_eigenvalues(axes, arrays),
        "energy": lambda axes: _draw_energy(axes, results, arrays),
        "air_curve": lambda axes: _draw_air_curve(axes, results, arrays),
        "top5_energy": lambda axes: _draw_top5_energy(axes, results),
    }
    return Figures(panels, caption(results, spread_line(results, what="bars and bands")))


def summary(results: Results) -> Group:
    """The run in one screen: what was measured, and what it says."""
    tables = (_spectrum_table(results), "", _energy_table(results))
    return Group(heading(results, kernel_line(results)), "", *tables, "", _air(results))


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    if results["air_auc"] is None:
        top = dict(zip(results["energy"]["k"], results["energy"]["clean"], strict=True))
        k = max((k for k in top if k <= results["n_train"] / 10), default=min(top))
        return f"the top {k} modes hold {top[k]:.0%} of the labels; without noise there is no AIR"
    area, chance = results["air_auc"], results["air_auc_random_labels"]
    return (
        f"clean labels are retrieved {how_early(area)} label noise: AIR-AUC {area:.3f}, where "
        f"random labels have {chance:.3f} and 1 is perfect"
    )


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


def _draw_eigenvalues(axes: Axes, arrays: Arrays) -> None:
    plot.spectrum(arrays["eigenvalues"], half_lives=arrays["half_life_steps"], ax=axes)


def _draw_energy(axes: Axes, results: Results, arrays: Arrays) -> None:
    lines = {
        "clean": "clean labels $y$",
        "noisy": r"noisy labels $\tilde{y}$",
        "noise_centred": r"centred noise $\zeta$",
    }
    shares = {}
    for key, label in lines.items():
        curve, spread = arrays.get(f"energy_{key}"), arrays.get(f"energy_{key}_std")
        if curve is not None:
            shares[label] = curve if spread is None else (curve, spread)
    plot.energy(shares, ax=axes)


def _draw_air_curve(axes: Axes, results: Results, arrays: Arrays) -> None:
    curves = {"labels": ("air", "air_auc"), "random labels": ("control", "air_auc_random_labels")}
    shown = {
        label: (arrays[f"{key}_curve_noise"], arrays[f"{key}_curve_signal"], results[area])
        for label, (key, area) in curves.items()
        if results[area] is not None
    }
    if not shown:
        axes.text(0.5, 0.5, "no AIR curve without label noise", ha="center", va="center")
        return
    plot.air(shown, ax=axes)


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
