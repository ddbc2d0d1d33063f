"""Figures and summary of ``experiments/pretrained.py``, from its saved results."""

import numpy as np
from rich.console import Group
from rich.text import Text

from ntk_air.lab.plotting import COLOURS, Axes, Draw
from ntk_air.lab.report.layout import (
    Arrays,
    Figures,
    Results,
    caption,
    heading,
    number,
    spread_line,
    table,
)

ALONG = (
    "drift",
    "turn",
    "alignment_noise",
    "air_auc_fresh",
    "network_accuracy",
    "memorised_share",
)
"""What is saved of each snapshot beside the qualities of its kernel."""

_PANELS = {
    "network": (
        "the network itself",
        {
            "network_accuracy": ("test accuracy", "clean", "o"),
            "memorised_share": ("flipped labels predicted", "noise", "x"),
        },
    ),
    "motion": (
        "motion of the kernel",
        {
            "drift": ("drift, relative distance", "noisy", "o"),
            "turn": ("turn, 1 − cosine", "warm", "s"),
        },
    ),
    "alignment": (
        "kernel–target alignment",
        {
            "alignment": ("clean labels", "clean", "o"),
            "alignment_noise": ("noise of these labels", "noise", "x"),
        },
    ),
    "air": (
        "AIR-AUC",
        {
            "air_auc": ("against the noise of these labels", "noise", "x"),
            "air_auc_fresh": ("against noise of other draws", "clean", "o"),
        },
    ),
    "accuracy": (
        "test accuracy with this kernel",
        {
            "default_accuracy": ("self-distillation, default", "self_distilled", "o"),
            "oracle_accuracy": ("early stopping by oracle", "clean", "s"),
            "end_accuracy": ("no stopping", "noise", "x"),
            "network_accuracy": ("the network itself", "control", "^"),
        },
    ),
    "distance": (
        "RMS distance to clean labels $d$",
        {
            "default_distance": ("self-distillation, default", "self_distilled", "o"),
            "closest_distance": ("early stopping at its closest", "clean", "s"),
            "end_distance": ("no stopping", "noise", "x"),
        },
    ),
}

_COLUMNS = {
    "drift": "drift",
    "turn": "turn",
    "alignment": "aligned",
    "air_auc": "AIR-AUC",
    "air_auc_fresh": "fresh noise",
    "network_accuracy": "network",
    "default_accuracy": "default",
    "oracle_accuracy": "oracle",
    "end_accuracy": "end",
}


def figures(results: Results, arrays: Arrays) -> Figures:
    """The figures, drawn when they are saved."""
    panels: dict[str, Draw] = {
        name: lambda axes, name=name: _draw(axes, results, arrays, name) for name in _PANELS
    }
    rate = float(np.mean(results["noise_rate"]))
    return Figures(panels, caption(results, spread_line(results), noise_rate=rate))


def summary(results: Results) -> Group:
    """The run in one screen."""
    network = (
        f"network: {results['network']}, trained on {results['trained_on']}; "
        f"means over {len(results['seeds'])} seeds"
    )
    rows = [
        (str(epoch), *(number(results[name][index], ".3f") for name in _COLUMNS))
        for index, epoch in enumerate(results["epochs"])
    ]
    return Group(
        heading(results, network, noise_rate=float(np.mean(results["noise_rate"]))),
        "",
        table(("epoch", *_COLUMNS.values()), rows, no_wrap=True),
        "",
        Text("\n".join(_verdicts(results))),
    )


def verdict(results: Results) -> str:
    """What was found, in one sentence."""
    epochs, fresh = results["epochs"], results["air_auc_fresh"]
    best = int(np.argmax(fresh))
    accuracy = results["default_accuracy"]
    return (
        f"training moves the AIR-AUC from {fresh[0]:.3f} to {fresh[best]:.3f} at epoch "
        f"{epochs[best]} and {fresh[-1]:.3f} at the end; self-distillation with the kernel goes "
        f"from {accuracy[0]:.3f} to {max(accuracy):.3f} at best and {accuracy[-1]:.3f} at the end"
    )


def _verdicts(results: Results) -> list[str]:
    """What training does to the kernel, from the first snapshot to the best and to the last."""
    epochs = results["epochs"]
    fresh, own = results["air_auc_fresh"], results["air_auc"]
    best = int(np.argmax(fresh))
    return [
        f"AIR-AUC against noise of other draws: {fresh[0]:.3f} at random initialisation, "
        f"{fresh[best]:.3f} at its best, epoch {epochs[best]}, {fresh[-1]:.3f} at the end; "
        f"against the noise of these labels {own[0]:.3f}, {own[best]:.3f}, {own[-1]:.3f}",
        *(
            f"self-distillation by default with the kernel of epoch {epochs[index]}, over early "
            f"stopping by oracle: {results['gain_over_oracle'][index]:+.3f} ± "
            f"{results['gain_over_oracle_std'][index]:.3f}, ahead in "
            f"{results['gain_over_oracle_seeds_ahead'][index]} of {len(results['seeds'])} seeds"
            for index in dict.fromkeys((0, best, len(epochs) - 1))
        ),
        results["larger_run"],
    ]


def _draw(axes: Axes, results: Results, arrays: Arrays, panel: str) -> None:
    label, curves = _PANELS[panel]
    epochs = np.asarray(results["epochs"], float)
    for name, (text, colour, marker) in curves.items():
        values = arrays[name]
        trained = np.isfinite(values).all(axis=0)
        if panel == "motion":
            trained &= epochs > 0  # nothing has moved at 0, which no logarithm shows
        elsewhere = results["trained_on_another_set"] and name == "network_accuracy"
        if not trained.any() or (elsewhere and panel == "accuracy"):
            continue
        mean = values.mean(axis=0)[trained]
        spread = values.std(axis=0, ddof=1)[trained] if len(values) > 1 else np.zeros_like(mean)
        axes.errorbar(
            epochs[trained],
            mean,
            yerr=spread,
            marker=marker,
            markersize=3,
            elinewidth=0.7,
            linewidth=1.0,
            color=COLOURS[colour],
            label=text,
        )
    if panel == "motion":
        axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(-0.2, 1.2 * epochs[-1])
    axes.set_xticks(epochs, [f"{epoch:g}" for epoch in epochs], fontsize=6)
    axes.set_xlabel(f"epochs of training ({results['trained_on']})")
    axes.set_ylabel(label)
