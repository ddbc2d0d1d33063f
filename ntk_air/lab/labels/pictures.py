"""The figures of a labels report, from what the run saved."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ntk_air import plot
from ntk_air.lab.plotting import Axes, Draw


def transition_picture(results: Mapping[str, Any]) -> Draw:
    """T̂ as a picture: a row for each true class, a column for each given one."""
    matrix = np.array(results["transition_matrix"], float)

    def draw(axes: Axes) -> None:
        plot.transition(matrix, results["classes"], ax=axes)

    return draw


def energy_picture(arrays: Mapping[str, np.ndarray], *, has_answer: bool) -> Draw:
    """Where labels lie in the kernel's spectrum."""
    shares = {"given labels": arrays["given_energy"]}
    if has_answer:
        shares["suggested labels"] = arrays["signal_energy"]
    if has_answer and np.any(arrays["noise_energy"] > 0):
        shares["noise: given minus suggested"] = arrays["noise_energy"]

    def draw(axes: Axes) -> None:
        plot.energy(shares, isotropic=False, ax=axes)

    return draw


def spectrum_picture(arrays: Mapping[str, np.ndarray]) -> Draw:
    """The kernel's largest eigenvalues, relative to the first."""

    def draw(axes: Axes) -> None:
        values = arrays["eigenvalues"] / arrays["eigenvalues"][0]
        plot.spectrum(values, ax=axes)
        axes.set_ylabel("eigenvalue / largest")

    return draw


def error_picture(arrays: Mapping[str, np.ndarray]) -> Draw:
    """Probabilities that labels are wrong, sorted."""

    def draw(axes: Axes) -> None:
        plot.suspects(arrays["error_probability"], ax=axes)

    return draw
