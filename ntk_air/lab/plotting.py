"""The look of every figure, and how one is saved. Drawn only from saved results."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ntk_air._base.files import replaced_atomically

COLUMN_WIDTH_INCHES = 3.4
"""A column of a two-column paper."""

# Okabe and Ito's palette: told apart with any colour vision, and in grey by lightness and dash.
COLOURS = {
    "clean": "#0072B2",
    "noise": "#D55E00",
    "noisy": "#000000",
    "control": "#999999",
    "self_distilled": "#009E73",
    "accent": "#CC79A7",
    "light": "#56B4E9",
    "warm": "#E69F00",
}

STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "mathtext.fontset": "stixsans",
}

Draw = Callable[[Axes], None]

Format: TypeAlias = Literal["png", "pdf"]

FORMATS: tuple[Format, ...] = get_args(Format)

_METADATA: dict[Format, dict[str, str | None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def draw_figure(draw: Draw, *, height_inches: float = 2.6) -> Figure:
    """One panel at column width."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN_WIDTH_INCHES, height_inches), layout="constrained")
        draw(figure.add_subplot())
    return figure


def draw_panels(draws: list[Draw], *, n_columns: int = 2, height_inches: float = 2.5) -> Figure:
    """Several panels in a grid, lettered (a), (b), … in reading order."""
    n_rows = -(-len(draws) // n_columns)
    with mpl.rc_context(STYLE):
        size = (COLUMN_WIDTH_INCHES * n_columns, height_inches * n_rows)
        figure = Figure(figsize=size, layout="constrained")
        for index, draw in enumerate(draws):
            axes = figure.add_subplot(n_rows, n_columns, index + 1)
            draw(axes)
            axes.set_title(f"({'abcdefghijkl'[index]})", loc="left", fontweight="bold")
    return figure


def save_figure(
    figure: Figure, folder: Path, name: str, formats: Sequence[Format] = FORMATS
) -> None:
    """Save a figure as ``name.png`` and ``name.pdf``, atomically, the same bytes each time."""
    for suffix in formats:
        with mpl.rc_context(STYLE), replaced_atomically(folder / f"{name}.{suffix}") as path:
            figure.savefig(path, metadata=_METADATA[suffix])
