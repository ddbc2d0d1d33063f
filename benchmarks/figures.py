"""Draw every figure of ``figures/`` again, as PNG and PDF, from saved results alone.

``python -m benchmarks.figures``: those of the experiments' runs, as ``ntk-air figures`` does, and
those of the benchmarks. What has no figure is left out.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.empirical_ntk.figure import save_benchmark_figure
from benchmarks.krylov import quadrature_width_figure
from benchmarks.scaling.full_dataset_figures import save_cost_figure, save_device_figure
from ntk_air.lab.redraw import redraw

BENCHMARKS: dict[str, Callable[[Any, Path], None]] = {
    "benchmark_full_dataset_cost": save_cost_figure,
    "benchmark_sharded_devices": save_device_figure,
    "empirical_ntk": save_benchmark_figure,
    "quadrature_width": lambda results, folder: quadrature_width_figure.save_figures(
        results["rows"], folder
    ),
}
"""What draws the results of a benchmark, by the name of their folder."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What to draw."""

    folder: Annotated[Path, tyro.conf.Positional] = Path("figures")
    """The folder of all of them."""


def main(config: Config) -> None:
    """Draw all, naming each."""

    def report(folder: Path, names: list[str]) -> None:
        print(f"{folder}: {', '.join(names)}")

    redraw([config.folder], report=report)
    for name, draw in BENCHMARKS.items():
        folder = config.folder / name
        if (folder / "results.json").exists():
            draw(json.loads((folder / "results.json").read_text(encoding="utf-8")), folder)
            print(folder)


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
