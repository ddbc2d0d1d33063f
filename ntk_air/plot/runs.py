"""Runs: metrics against steps."""

from typing import Any

import numpy as np

from ntk_air._base.checks import check_choice
from ntk_air.plot.look import COLOURS, Axes, looks
from ntk_air.plot.panel import by_label, panel, vector

QUANTITIES = {
    "rms_distance": "RMS distance to clean labels",
    "zero_one_error": "zero–one error against clean labels",
    "margin_min": "smallest margin",
    "memorised_share": "flipped labels predicted",
    "training_loss": "training loss",
    "held_out_accuracy": "held-out accuracy",
}
"""Metrics of a trajectory that can be drawn, and how an axis names them."""


def convergence(runs: Any, quantity: str = "rms_distance", *, ax: Axes | None = None) -> Axes:
    """Draw a metric of one or several runs against steps.

    Args:
        runs: ``Trajectory``, or by label trajectories or pairs of steps and values (n_time,).
        quantity: metric, among ``rms_distance``, ``zero_one_error``, ``margin_min``,
            ``memorised_share``, ``training_loss`` and ``held_out_accuracy``.
        ax: axes to draw in, whose title and legend are yours; ``None`` makes a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: an unknown quantity, one that a run has not; curves that are no vectors of one
            length.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> axes = na.plot.convergence({"descent": (np.array([1, 10]), np.array([0.9, 0.5]))})
    >>> axes.get_ylabel()
    'RMS distance to clean labels'
    """
    check_choice("quantity", quantity, QUANTITIES)
    if hasattr(runs, "times"):
        runs = {"run": runs}
    curves = {
        label: _curve(label, each, quantity) for label, each in by_label("runs", runs).items()
    }
    with panel(ax) as axes:
        for (label, (steps, values)), look in zip(curves.items(), looks(curves), strict=True):
            axes.plot(steps, values, label=label, **look)
        axes.set_xscale("log")
        if quantity in ("rms_distance", "training_loss"):
            axes.set_yscale("log")
        if quantity == "margin_min":
            axes.axhline(0, color=COLOURS["control"], linewidth=0.6)
        axes.set_xlabel("steps of gradient descent")
        axes.set_ylabel(QUANTITIES[quantity])
    return axes


def _curve(label: str, run: Any, quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values; step 0 has no place on a logarithmic axis."""
    if hasattr(run, "times"):
        of_held_out = quantity.startswith("held_out_")
        metrics = run.held_out if of_held_out else run.train
        name = quantity.removeprefix("held_out_")
        if metrics is None or getattr(metrics, name, None) is None:
            raise ValueError(f"quantity must be one that {label} has; got {quantity!r}")
        run = (run.times, getattr(metrics, name))
    steps = vector(f"steps of {label}", run[0])
    values = vector(f"values of {label}", run[1], like=steps)
    return steps[steps > 0], values[steps > 0]
