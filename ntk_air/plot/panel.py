"""A panel to draw in: one that is given, or a new figure of the house's look."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ntk_air._base.checks import shown
from ntk_air.plot.legible import legend_below, separate_curves
from ntk_air.plot.look import STYLE, Axes


@contextlib.contextmanager
def panel(ax: Axes | None) -> Iterator[Axes]:
    """Give axes to draw in; a new figure gets a legend below and keeps curves apart.

    Raises:
        ValueError: ``ax`` is no matplotlib axes.
    """
    if ax is not None:
        if not hasattr(ax, "get_legend_handles_labels"):
            raise ValueError(f"ax must be axes of matplotlib, or None; got {shown(ax)}")
        yield ax
        return
    import matplotlib as mpl
    from matplotlib import pyplot

    with mpl.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(4.2, 3.2), layout="constrained")
        yield axes
        legend_below(figure, figure.axes, separate_curves(figure.axes))


def by_label(name: str, given: Any) -> Mapping[str, Any]:
    """Curves by their labels, at least one."""
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"{name} must be curves by their labels; got {shown(given)}")
    return given


def vector(name: str, values: Any, *, like: np.ndarray | None = None) -> np.ndarray:
    """A vector of numbers, of the length of another where there is one."""
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiu" or not len(array):
        raise ValueError(f"{name} must be a vector of numbers; got {shown(values)}")
    if like is not None and len(array) != len(like):
        raise ValueError(f"{name} must have {len(like)} entries; got {len(array)}")
    return array.astype(float)
