"""The figures of a labels report, from what the run saved."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ntk_air.lab.plotting import COLOURS, Draw

_MOST_NAMED = 20


def transition_picture(results: Mapping[str, Any]) -> Draw:
    """T̂ as a picture: a row for each true class, a column for each given one."""
    matrix = np.array(results["transition_matrix"], float)
    names = [name if len(name) <= 12 else f"{name[:11]}…" for name in results["classes"]]

    def draw(axes: Axes) -> None:
        axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        if len(names) <= _MOST_NAMED:
            axes.set_xticks(range(len(names)), names, rotation=90)
            axes.set_yticks(range(len(names)), names)
            for (row, column), value in np.ndenumerate(matrix):
                if value >= 0.01:
                    ink = "white" if value > 0.5 else "black"
                    text = f"{value:.2f}"[1:] if value < 0.995 else "1"
                    axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=5)
        axes.set_xlabel("given label")
        axes.set_ylabel("true class")

    return draw


def energy_picture(arrays: Mapping[str, np.ndarray], *, has_answer: bool) -> Draw:
    """Where labels lie in the kernel's spectrum."""

    def draw(axes: Axes) -> None:
        modes = np.arange(1, len(arrays["given_energy"]) + 1)
        lines = [("given_energy", "given labels", "noisy", "-")]
        if has_answer:
            lines.append(("signal_energy", "suggested labels", "clean", "-"))
        if has_answer and np.any(arrays["noise_energy"] > 0):
            lines.append(("noise_energy", "given minus suggested", "noise", "--"))
        for name, label, colour, dash in lines:
            axes.plot(modes, arrays[name], dash, label=label, color=COLOURS[colour])
        axes.set_xscale("log")
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("largest modes of the kernel")
        axes.set_ylabel("share of labels in them")
        axes.legend()

    return draw


def spectrum_picture(arrays: Mapping[str, np.ndarray]) -> Draw:
    """The kernel's largest eigenvalues, relative to the first."""

    def draw(axes: Axes) -> None:
        values = arrays["eigenvalues"] / arrays["eigenvalues"][0]
        axes.loglog(
            np.arange(1, len(values) + 1), np.maximum(values, 1e-16), color=COLOURS["clean"]
        )
        axes.set_xlabel("mode")
        axes.set_ylabel("eigenvalue / largest")

    return draw


def error_picture(arrays: Mapping[str, np.ndarray]) -> Draw:
    """Probabilities that labels are wrong, sorted."""

    def draw(axes: Axes) -> None:
        values = arrays["error_probability"][arrays["suspects"]]
        axes.plot(np.arange(1, len(values) + 1), values, color=COLOURS["noise"])
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("rows, the likeliest to be wrong first")
        axes.set_ylabel("probability of an error")

    return draw
