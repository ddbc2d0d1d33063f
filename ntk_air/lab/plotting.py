"""The figures of experiments: titled panels with their legends below, saved as whole files."""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ntk_air._base.files import replaced_atomically
from ntk_air.plot.legible import legend_below, separate_curves
from ntk_air.plot.look import COLOURS, STYLE, Axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["COLOURS", "STYLE", "Axes", "Draw", "Format", "draw_figure", "draw_panels"]

COLUMN_WIDTH_INCHES = 3.4
"""A column of a two-column paper."""

_INCHES_OF_A_LINE = 0.115
_CHARACTERS_OF_A_COLUMN = 70
_TITLE_SIZE = 6.5

Draw: TypeAlias = Callable[[Axes], object]
"""Draws into axes; what is to be in the legend has a label."""

Format: TypeAlias = Literal["png", "pdf"]

FORMATS: tuple[Format, ...] = get_args(Format)

_METADATA: dict[Format, dict[str, str | None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def draw_figure(draw: Draw, *, height_inches: float = 2.6, title: str = "") -> "Figure":
    """One panel at column width, with what it shows above and the legend below it."""
    return draw_panels([draw], n_columns=1, height_inches=height_inches, title=title)


def draw_panels(
    draws: Sequence[Draw], *, n_columns: int = 2, height_inches: float = 2.5, title: str = ""
) -> "Figure":
    """Several panels in a grid, lettered (a), (b), … in reading order.

    Args:
        draws: drawing of each panel.
        n_columns: panels side by side.
        height_inches: height of a panel without title and legend.
        title: what all of them show.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    lines = _title_lines(title, n_columns)
    with mpl.rc_context(STYLE):
        heights = _row_heights(draws, n_columns, height_inches)
        above = _INCHES_OF_A_LINE * len(lines)
        size = (COLUMN_WIDTH_INCHES * n_columns, sum(heights) + above)
        figure = Figure(figsize=size, layout="constrained")
        if lines:
            style: dict[str, Any] = {"fontsize": _TITLE_SIZE, "ha": "left"}
            figure.suptitle("\n".join(lines), x=0.01, **style)
        grid = figure.subfigures(len(heights), n_columns, squeeze=False, height_ratios=heights)
        for index, (draw, part) in enumerate(zip(draws, grid.flat, strict=False)):
            axes = _draw_panel(draw, part)[0]
            if len(draws) > 1:
                axes.set_title(f"({'abcdefghijkl'[index]})", loc="left", fontweight="bold")
    return figure


def _draw_panel(draw: Draw, part: "Figure | SubFigure") -> tuple[Axes, int]:
    """A panel in its part of a figure, and the lines of its legend."""
    axes = part.add_subplot()
    draw(axes)
    panels = [each for each in part.axes if not hasattr(each, "_colorbar")]
    return axes, legend_below(part, panels, separate_curves(panels))


def _row_heights(draws: Sequence[Draw], n_columns: int, height_inches: float) -> list[float]:
    """Height of each row of panels, with room for the longest of its legends."""
    from matplotlib.figure import Figure

    size = (COLUMN_WIDTH_INCHES, height_inches)
    lines = [_draw_panel(draw, Figure(figsize=size))[1] for draw in draws]
    rows = [lines[first : first + n_columns] for first in range(0, len(lines), n_columns)]
    return [height_inches + _INCHES_OF_A_LINE * max(row) for row in rows]


def _title_lines(title: str, n_columns: int) -> list[str]:
    width = _CHARACTERS_OF_A_COLUMN * n_columns
    return [part for line in title.splitlines() for part in textwrap.wrap(line, width)]


def save_figure(
    figure: "Figure", folder: Path, name: str, formats: Sequence[Format] = FORMATS
) -> None:
    """Save a figure as ``name.png`` and ``name.pdf``, atomically, the same bytes each time."""
    import matplotlib as mpl

    for suffix in formats:
        with mpl.rc_context(STYLE), replaced_atomically(folder / f"{name}.{suffix}") as path:
            figure.savefig(path, metadata=_METADATA[suffix])
