"""What makes a drawn panel legible: a legend off the data, no curve unseen under another."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ntk_air.plot.look import Axes

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase
    from matplotlib.lines import Line2D

_POINTS_APART = 1.2
"""Points of print that two curves must be apart to be seen as two."""

_SHARE_BENEATH, _SHARE_OF_ALL = 0.2, 0.99
"""Of a curve's way, from which on it is drawn wider, and is said to coincide with another."""

_WIDER, _MOST_SEEN = 1.1, 2
_CHARACTERS_OF_A_COLUMN = 72


def separate_curves(panels: Sequence[Axes]) -> list[str]:
    """Widen curves that run under later ones; name those that coincide all along.

    Args:
        panels: the axes of a panel; limits and scales must be final.

    Returns:
        Lines such as ``"coincide: identity; hard"``, for each group of curves that coincide.
    """
    notes = []
    for axes in panels:
        lines = [line for line in axes.get_lines() if _is_curve(line)]
        places = [_places(axes, line) for line in lines]
        groups = [{index} for index in range(len(lines))]
        for index, (line, own) in enumerate(zip(lines, places, strict=True)):
            shares = [_share_beneath(own, other) for other in places[index + 1 :]]
            covered = sum(share > _SHARE_BENEATH for share in shares)
            line.set_linewidth(line.get_linewidth() + _WIDER * min(covered, _MOST_SEEN))
            for other, share in enumerate(shares, start=index + 1):
                if share > _SHARE_OF_ALL:
                    groups[index] |= groups[other]
                    for member in groups[index]:
                        groups[member] = groups[index]
        together = {min(group): sorted(group) for group in groups if len(group) > 1}
        for group in together.values():
            names = [str(lines[index].get_label()).split(":")[0] for index in group]
            notes += textwrap.wrap(f"coincide: {'; '.join(names)}", _CHARACTERS_OF_A_COLUMN)
    return notes


def legend_below(figure: "FigureBase", panels: Sequence[Axes], notes: Sequence[str] = ()) -> int:
    """Put one legend of a panel below its axes, outside; return the lines that it takes."""
    handles, labels = [], []
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.append(handle)
            labels.append(label)
    n_columns = _columns(labels)
    if labels:
        style: dict[str, Any] = {"title": "\n".join(notes), "title_fontsize": 6, "ncols": n_columns}
        figure.legend(handles, labels, loc="outside lower center", **style)
    return -(-len(labels) // n_columns) + len(notes)


def _columns(labels: Sequence[str]) -> int:
    longest = max((len(label) for label in labels), default=1) + 8
    return max(1, min(3, len(labels), _CHARACTERS_OF_A_COLUMN // longest))


def _is_curve(line: "Line2D") -> bool:
    named = not str(line.get_label()).startswith("_")
    x = np.asarray(line.get_xdata(), float)
    return named and line.get_linestyle() not in ("None", "none", "") and len(x) > 2


def _places(axes: Axes, line: "Line2D") -> np.ndarray:
    """Points of print that a line runs through, ascending in x."""
    points = np.stack([np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)], 1)
    with np.errstate(all="ignore"):
        shown = axes.transData.transform(points[np.isfinite(points).all(axis=1)])
    shown = shown[np.isfinite(shown).all(axis=1)] * 72 / axes.figure.dpi
    return shown[np.argsort(shown[:, 0], kind="stable")]


def _share_beneath(one: np.ndarray, other: np.ndarray) -> float:
    """The share of one curve's way, in x, on which another lies on it."""
    if len(one) < 2 or len(other) < 2 or one[-1, 0] <= one[0, 0]:
        return 0.0
    along = np.linspace(one[0, 0], one[-1, 0], 200)
    within = (along >= other[0, 0] - 0.5) & (along <= other[-1, 0] + 0.5)
    apart = np.abs(np.interp(along, *one.T) - np.interp(along, *other.T))
    return float(np.mean(within & (apart < _POINTS_APART)))
