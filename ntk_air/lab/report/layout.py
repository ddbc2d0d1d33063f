"""What reports share: headings, tables, numbers, and figures that are saved with an overview."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.table import Table
from rich.text import Text

from ntk_air.lab.plotting import (
    COLOURS,
    FORMATS,
    Axes,
    Draw,
    Format,
    draw_figure,
    draw_panels,
    save_figure,
)

Results: TypeAlias = Mapping[str, Any]
"""The numbers of ``results.json``."""

Arrays: TypeAlias = Mapping[str, np.ndarray]
"""The curves of ``arrays.npz``."""

MISSING = "–"
"""What stands for a number that there is none of."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """The figures of a report, and an overview that has each of them as a panel.

    Args:
        panels: drawing of each figure by its name, in reading order.
        title: data, kernel and noise that they show, and what bars and bands are.
        height_inches: height of a figure and of a panel; ``None`` is the usual one.
    """

    panels: Mapping[str, Draw]
    title: str
    height_inches: float | None = None

    def save(
        self, folder: Path, formats: Sequence[Format] = FORMATS, *, overview_alone: bool = False
    ) -> list[str]:
        """Draw each figure, or none, and the overview into a folder; return their names."""
        look: dict[str, Any] = {"title": self.title}
        if self.height_inches is not None:
            look["height_inches"] = self.height_inches
        single = {} if overview_alone else self.panels
        for name, draw in single.items():
            save_figure(draw_figure(draw, **look), folder, name, formats)
        save_figure(draw_panels(list(self.panels.values()), **look), folder, "overview", formats)
        return [*single, "overview"]


def draw_three_scores(
    axes: Axes, results: Results, shown: Mapping[str, tuple[str, str, str]], what: str
) -> None:
    """Three scores of each row, one above the other, with their spread.

    Args:
        axes: where to; row k lies at height k.
        results: numbers named ``WHO_WHAT`` and ``WHO_WHAT_std``, one for each row.
        shown: label, colour and marker by WHO.
        what: the score, WHAT.
    """
    for offset, (who, (label, colour, marker)) in zip((-0.2, 0.0, 0.2), shown.items(), strict=True):
        means = results[f"{who}_{what}"]
        axes.errorbar(
            means,
            np.arange(len(means)) + offset,
            xerr=results[f"{who}_{what}_std"],
            linestyle="none",
            marker=marker,
            markersize=3,
            elinewidth=0.7,
            color=COLOURS[colour],
            label=label,
        )


def caption(results: Results, *lines: str, noise_rate: float | None = None) -> str:
    """The title of a run's figures: data and noise, the kernel, what bars and bands are.

    Args:
        results: numbers of the run.
        lines: further lines.
        noise_rate: share of flipped labels in [0, 1], where ``results`` lists several of them.
    """
    kernel = results.get("kernel") or results.get("network")
    first = heading(results, noise_rate=noise_rate).plain
    return "\n".join([f"{first}; {kernel}" if kernel else first, *lines])


def spread_line(results: Results, *, what: str = "bars") -> str:
    """What error bars and bands are: a standard deviation over the run's seeds."""
    n_seeds = len(results["seeds"])
    return f"{what}: ± 1 standard deviation over {n_seeds} seeds" if n_seeds > 1 else "one seed"


def heading(results: Results, *lines: str, noise_rate: float | None = None) -> Text:
    """The data set with its sizes and label noise, and further lines.

    Args:
        results: numbers of the run; sizes and noise that it does not name are left out.
        lines: lines below the first.
        noise_rate: share of flipped labels in [0, 1], where ``results`` lists several of them.
    """
    parts = [f"{results['dataset']}: {results['n_train']} inputs"]
    if results.get("n_test"):
        parts.append(f"{results['n_test']} held out")
    if "n_classes" in results:
        parts.append(f"{results['n_classes']} classes")
    rate = results.get("noise_rate") if noise_rate is None else noise_rate
    noise = [f"{rate:.0%}"] if isinstance(rate, float) else []
    noise += [results["noise_kind"]] if "noise_kind" in results else []
    if noise:
        parts.append(" ".join([*noise, "label noise"]))
    return Text("\n".join([", ".join(parts), *lines]))


def how_early(area: float) -> str:
    """When labels are retrieved, by their AIR-AUC, in words."""
    for least, words in ((0.8, "well before"), (0.6, "before"), (0.52, "hardly before")):
        if area >= least:
            return words
    return "no earlier than"


def kernel_line(results: Results) -> str:
    """The kernel and its precision."""
    return f"kernel: {results['kernel']}, {results['precision']}"


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    n_left: int = 1,
    no_wrap: bool = False,
) -> Table:
    """A table without lines.

    Args:
        columns: heads of the columns.
        rows: cells of each row; cells that a row lacks stay empty.
        n_left: number of columns, from the first on, that are aligned to the left.
        no_wrap: whether cells are cut off rather than broken into lines.
    """
    made = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < n_left else "right", no_wrap=no_wrap)
    for row in rows:
        made.add_row(*row)
    return made


def number(value: float | None, form: str) -> str:
    """A number in a format such as ``".3f"``; a dash for none and for NaN."""
    return MISSING if value is None or math.isnan(value) else format(value, form)


def with_spread(value: float | None, spread: float | None, form: str) -> str:
    """A mean ± its standard deviation; a dash for none, the mean alone without a deviation."""
    if spread is None:
        return number(value, form)
    return MISSING if value is None else f"{value:{form}} ± {spread:{form}}"
