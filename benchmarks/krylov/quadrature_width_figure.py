"""The table and the figures of the widths of label quadrature, from saved rows alone."""

from pathlib import Path
from typing import Any

import numpy as np

from ntk_air._base import files
from ntk_air.lab.plotting import COLOURS, Axes, Draw, draw_panels, save_figure

Row = dict[str, Any]

_LABELS = {"signal": "clean labels", "noise": "centred noise", "both": "AIR-AUC"}
_COLOURS = {"signal": COLOURS["clean"], "noise": COLOURS["noise"], "both": COLOURS["noisy"]}
_LEAST = 1e-16


def print_table(rows: list[Row]) -> None:
    """A line for each number of products: the widest bracket, by labels and precision."""
    print(
        f"{'case':<10} {'dynamics':<8} {'m':>3}   {'clean labels':>22} {'centred noise':>22} "
        f"{'AIR-AUC':>22} {'column rules alone':>22} {'in bracket':>12}"
    )
    print(f"{'':<25}" + f"{'float64':>12} {'float32':>10}" * 4)
    for case, dynamics, m in sorted({(r["case"], r["dynamics"], r["products"]) for r in rows}):
        found = [
            r for r in rows if (r["case"], r["dynamics"], r["products"]) == (case, dynamics, m)
        ]
        cells = [_value(found, labels, "widest") for labels in _LABELS]
        cells.append(_value(found, "noise", "widest_of_column_rules_alone"))
        inside = sum(row.get("contained_times", int(row["contained"])) for row in found)
        asked = sum(row.get("times", 1) for row in found)
        print(f"{case:<10} {dynamics:<8} {m:>3}   " + " ".join(cells) + f" {inside:>6}/{asked}")


def _value(rows: list[Row], labels: str, name: str) -> str:
    by_precision = {row["precision"]: row[name] for row in rows if row["labels"] == labels}
    return f"{by_precision['float64']:>11.1e} {by_precision['float32']:>10.1e}"


def save_figures(rows: list[Row], folder: Path) -> None:
    """Widths against the number of products, and against time."""
    steps = np.array(files.read_json(folder / "results.json")["steps"])
    cases = sorted({row["case"] for row in rows})
    draws = [draw for case in cases for draw in (_widths(rows, case), _by_time(rows, case, steps))]
    sizes = sorted({(row["case"], row["n"]) for row in rows})
    named = ", ".join(f"{case}: {n} inputs" for case, n in sizes)
    title = f"{named}; bracket of the retrieved share after m products with the kernel"
    save_figure(draw_panels(draws, title=title), folder, "quadrature_width")


def _widths(rows: list[Row], case: str) -> Draw:
    def draw(axes: Axes) -> None:
        for labels, name in _LABELS.items():
            for precision, line in (("float64", "-"), ("float32", "--")):
                chosen = _chosen(rows, case, labels, precision)
                label = name if precision == "float64" else None
                _line(axes, chosen, "widest", line, colour=_COLOURS[labels], label=label)
        alone = _chosen(rows, case, "noise", "float64")
        _line(axes, alone, "widest_of_column_rules_alone", ":", colour=COLOURS["noise"], label=None)
        axes.set(yscale="log", xlabel="products m", ylabel=f"widest bracket, {case}")
        axes.plot([], [], "--", color=COLOURS["control"], label="float32 products")
        axes.plot([], [], ":", color=COLOURS["control"], label="noise, column rules alone")

    return draw


def _line(
    axes: Axes, rows: list[Row], name: str, line: str, *, colour: str, label: str | None
) -> None:
    values = np.maximum([row[name] for row in rows], _LEAST)
    axes.plot([row["products"] for row in rows], values, line, color=colour, label=label)


def _by_time(rows: list[Row], case: str, steps: np.ndarray) -> Draw:
    def draw(axes: Axes) -> None:
        chosen = _chosen(rows, case, "noise", "float64")
        for row in chosen:
            darkness = np.log(1 + row["products"]) / np.log(1 + chosen[-1]["products"])
            width = np.maximum(np.array(row["width"])[1 : len(steps)], _LEAST)
            axes.plot(steps[1:], width, color=COLOURS["noise"], alpha=0.2 + 0.8 * darkness)
        shown = ", ".join(str(row["products"]) for row in chosen)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel=f"steps k;  m = {shown}",
            ylabel="width of the noise's bracket",
        )

    return draw


def _chosen(rows: list[Row], case: str, labels: str, precision: str) -> list[Row]:
    wanted = {"case": case, "labels": labels, "precision": precision, "dynamics": "descent"}
    chosen = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    return sorted(chosen, key=lambda row: row["products"])
