"""The table and the figure of the benchmark of empirical NTKs, from its rows alone."""

from pathlib import Path
from typing import Any

from benchmarks.empirical_ntk.cases import BARE, OURS
from ntk_air._base.memory import format_bytes
from ntk_air.lab.plotting import COLOURS, Axes, draw_panels, save_figure

Row = dict[str, Any]

_LINES = {
    OURS: (COLOURS["clean"], "-", "o"),
    "structured derivatives": (COLOURS["noise"], "-", "s"),
    "structured derivatives, default axes": (COLOURS["noise"], ":", "s"),
    "NTK-vector products": (COLOURS["warm"], "--", "^"),
    "jacobian contraction": (COLOURS["accent"], "-.", "v"),
    "vmap of jacrev": (COLOURS["self_distilled"], "--", "D"),
}
"""By tool or method: colour, dash, marker."""

_LABELS = {
    OURS: "ntk_air",
    "structured derivatives": "neural-tangents, structured derivatives",
    "structured derivatives, default axes": "neural-tangents, the same with default axes",
    "NTK-vector products": "neural-tangents, NTK-vector products",
    "jacobian contraction": "neural-tangents, Jacobian contraction",
    "vmap of jacrev": "torch.func, vmap of jacrev",
}


def print_table(rows: list[Row]) -> None:
    """All rows, a case and number of inputs after the other, with ratios to our own time."""
    print(
        f"{'case':<17}{'inputs':>7}  {'tool, method':<41}{'precision':<10}{'seconds':>10}"
        f"{'times ours':>11}{'compile':>9}{'peak':>12}{'error':>10}"
    )
    for row in sorted(rows, key=_order):
        name = row["tool"] if row["tool"] == row["method"] else f"{row['tool']}, {row['method']}"
        if row["max_memory_bytes"] is not None:
            name += f" in {format_bytes(row['max_memory_bytes'])}"
        head = f"{row['case']:<17}{row['inputs']:>7}  {name:<41}{row['precision']:<10}"
        if row["skipped"] is not None:
            print(f"{head}   skipped: {row['skipped']}")
            continue
        ours = our_row(rows, row)
        ratio = "" if ours is None or row is ours else f"{row['seconds'] / ours['seconds']:.3g}"
        peak = "" if row["peak_bytes"] is None else format_bytes(row["peak_bytes"])
        error = row["max_relative_error"]
        print(
            f"{head}{row['seconds']:>10.4g}{ratio:>11}{row['compile_seconds']:>9.2f}{peak:>12}"
            f"{'' if error is None else f'{error:.1e}':>10}"
        )


def our_row(rows: list[Row], like: Row) -> Row | None:
    """Our own row without a bound on memory, for the case, inputs and precision of another."""
    return next(
        (
            row
            for row in rows
            if (row["tool"], row["method"], row["max_memory_bytes"]) == (OURS, "auto", None)
            and row["seconds"] is not None
            and all(row[name] == like[name] for name in ("case", "inputs", "precision"))
        ),
        None,
    )


def peer_rows(rows: list[Row], ours: Row) -> list[Row]:
    """What peers were measured at on the same, the fastest first."""
    same = [
        row
        for row in rows
        if row["tool"] not in (OURS, BARE)
        and row["seconds"] is not None
        and all(row[name] == ours[name] for name in ("case", "inputs", "precision"))
    ]
    return sorted(same, key=lambda row: row["seconds"])


def save_benchmark_figure(rows: list[Row], folder: Path) -> None:
    """Time over inputs for the two networks of many sizes, and how much slower the peers are."""
    panels = [
        lambda axes: _draw_times(axes, rows, "dense", "dense 784–512–512–10"),
        lambda axes: _draw_times(axes, rows, "convolutional", "convolutional 32–64–64"),
        lambda axes: _draw_ratios(axes, rows),
    ]
    title = "one empirical kernel matrix of random inputs, float32, CPU; medians of repeats"
    drawn = draw_panels(panels, n_columns=3, height_inches=3.0, title=title)
    save_figure(drawn, folder, "empirical_ntk")


def _order(row: Row) -> tuple[Any, ...]:
    return row["case"], row["inputs"], row["tool"] != OURS, row["precision"], row["tool"]


def _draw_times(axes: Axes, rows: list[Row], case: str, title: str) -> None:
    measured = [
        row
        for row in rows
        if (row["case"], row["precision"], row["max_memory_bytes"]) == (case, "float32", None)
        and row["seconds"] is not None
    ]
    for key, (colour, dash, marker) in _LINES.items():
        own = [
            row
            for row in measured
            if (row["tool"] == OURS and row["method"] == "auto" and key == OURS)
            or (row["tool"] != OURS and row["method"] == key)
        ]
        own.sort(key=lambda row: row["inputs"])
        if own:
            axes.plot(
                [row["inputs"] for row in own],
                [row["seconds"] for row in own],
                dash,
                color=colour,
                marker=marker,
                markersize=4,
                label=_LABELS[key],
            )
    bare = [row for row in measured if row["tool"] == BARE]
    if bare:
        axes.plot(
            [row["inputs"] for row in bare],
            [row["seconds"] for row in bare],
            "k_",
            markersize=14,
            label="its matrix products alone",
        )
    axes.set(xscale="log", yscale="log", xlabel="inputs", ylabel="seconds", title=title)
    if measured:
        ticks = sorted({row["inputs"] for row in measured})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()


def _draw_ratios(axes: Axes, rows: list[Row]) -> None:
    labels, best, worst = [], [], []
    for ours in sorted(rows, key=_order, reverse=True):
        if our_row(rows, ours) is not ours or ours["precision"] != "float32":
            continue
        peers = peer_rows(rows, ours)
        if peers:
            labels.append(f"{ours['case'].replace('_', ' ')}, {ours['inputs']}")
            best.append(peers[0]["seconds"] / ours["seconds"])
            worst.append(peers[-1]["seconds"] / ours["seconds"])
    heights = range(len(labels))
    axes.hlines(heights, best, worst, color=COLOURS["control"], linewidth=1)
    axes.plot(best, heights, "o", color=COLOURS["clean"], markersize=5, label="fastest peer")
    axes.plot(worst, heights, "|", color=COLOURS["control"], markersize=8, label="slowest peer")
    for ratio, height in zip(best, heights, strict=True):
        axes.annotate(
            f"{ratio:.3g}",
            (ratio, height),
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=6,
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(list(heights), labels)
    axes.set(xscale="log", xlabel="times ntk_air's time")
