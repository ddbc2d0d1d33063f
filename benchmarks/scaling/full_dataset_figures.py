"""Figures of the benchmarks of full_dataset, from their saved results alone."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ntk_air.lab.plotting import COLOURS, Axes, draw_figure, draw_panels, save_figure

Results = Mapping[str, Any]

_COSTS = {
    "infinite_width_tiled": {
        "kernel_seconds": ("kernel, all tiles", "clean", "o"),
        "product_seconds": ("product of the quadrature", "self_distilled", "s"),
        "pass_seconds": ("pass for the top 100", "noise", "^"),
    },
    "empirical_matrix_free": {"product_seconds": ("product, two vectors", "clean", "o")},
}
_TITLES = {
    "infinite_width_tiled": "infinite width, tiles on disk",
    "empirical_matrix_free": "width 512, matrix-free",
}


def save_cost_figure(results: Results, folder: Path) -> None:
    """Seconds against the number of inputs, with fitted powers; peak memory."""
    costs = [functools.partial(_draw_cost, results=results, case=case) for case in _COSTS]
    memory = functools.partial(_draw_memory, results=results)
    title = "full_dataset.py on MNIST, 10 classes, 40% symmetric label noise; lines: fitted powers"
    save_figure(draw_panels([*costs, memory], n_columns=3, title=title), folder, "cost")


def save_device_figure(results: Results, folder: Path) -> None:
    """What one device holds and does, against their number."""
    draw, config = functools.partial(_draw_devices, results=results), results["config"]
    title = (
        f"{config['dataset']}: {config['n_train']} inputs; one kernel matrix over virtual devices"
    )
    save_figure(draw_figure(draw, title=title), folder, "devices")


def _rows(results: Results, case: str) -> list[Mapping[str, Any]]:
    return [row for row in results["rows"] if row["case"] == case]


def _draw_cost(axes: Axes, results: Results, case: str) -> None:
    rows, slopes = _rows(results, case), results["slopes"][case]
    sizes = np.array([row["n"] for row in rows])
    fit_from = results["config"]["fit_from"]
    for name, (label, colour, marker) in _COSTS[case].items():
        seconds = np.array([row[name] for row in rows])
        style: dict[str, Any] = {"color": COLOURS[colour], "marker": marker, "markersize": 3.5}
        slope = slopes.get(name)
        if slope is None:
            axes.plot(sizes, seconds, linestyle="none", label=label, **style)
            continue
        axes.plot(sizes, seconds, linestyle="none", label=f"{label}: n^{slope:.2f}", **style)
        fitted = sizes >= fit_from
        level = np.exp(np.mean(np.log(seconds[fitted]) - slope * np.log(sizes[fitted])))
        axes.plot(sizes[fitted], level * sizes[fitted] ** slope, color=COLOURS[colour], linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("inputs")
    axes.set_ylabel(f"seconds ({_TITLES[case]})")


def _draw_memory(axes: Axes, results: Results) -> None:
    for case, colour in (("infinite_width_tiled", "clean"), ("empirical_matrix_free", "noise")):
        rows = _rows(results, case)
        axes.plot(
            [row["n"] for row in rows],
            [row["peak_bytes"] / 2**30 for row in rows],
            "o-",
            color=COLOURS[colour],
            markersize=3.5,
            label=_TITLES[case],
        )
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("inputs")
    axes.set_ylabel("peak resident memory, GiB")


def _draw_devices(axes: Axes, results: Results) -> None:
    rows = results["rows"]
    devices = np.array([row["devices"] for row in rows])
    for name, label, colour, marker in (
        ("bytes_held", "bytes of the kernel held", "clean", "o"),
        ("operations", "operations of a product", "noise", "s"),
    ):
        values = np.array([row[name] for row in rows], float)
        axes.plot(
            devices,
            values / values[0],
            marker=marker,
            linestyle="none",
            color=COLOURS[colour],
            markersize=5 if marker == "o" else 3,
            label=label,
        )
    axes.plot(devices, 1 / devices, ":", color=COLOURS["control"], label="1 / devices")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(devices, [str(each) for each in devices])
    axes.set_xlabel("virtual devices")
    axes.set_ylabel("of each device, over that of one")
