"""Cost of full_dataset against the number of inputs, with fitted slopes.

Runs the experiment at several sizes, each in a process of its own, and takes what the runs say of
their stages. A finished run is used as it is: name the folder of a large one with --also.
"""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.scaling.full_dataset_figures import save_cost_figure
from ntk_air._base import files
from ntk_air.lab.provenance import device_state, package_versions, source_state

ROOT = Path(__file__).parents[2]

INFINITE_WIDTH = ("--precision", "float32", "--n-products", "50", "--top-k", "100")
EMPIRICAL = (
    *("--kernel", "empirical", "--width", "512", "--operator", "matrix-free"),
    *("--n-products", "10", "--top-k", "0"),
)
_FITTED = ("kernel_seconds", "product_seconds", "pass_seconds")

CASES = {"infinite_width_tiled": INFINITE_WIDTH, "empirical_matrix_free": EMPIRICAL}


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    sizes: tuple[int, ...] = (1000, 2000, 4000, 8000, 15000, 30000)
    """Training inputs of the runs with tiles."""
    empirical_sizes: tuple[int, ...] = (1000, 2000, 4000, 8000, 15000)
    """Training inputs of the runs with an empirical kernel, which keeps no matrix."""
    also: tuple[Path, ...] = ()
    """Folders of finished runs to take in."""
    data_dir: Path | None = None
    """Folder of the MNIST files."""
    fit_from: int = 15_000
    """The least size that slopes are fitted to: below it constant costs show."""
    out: Path = Path("runs/full_dataset_cost")
    """Folder for the runs, results.json and the figure."""


def main(config: Config) -> None:
    """Run what is missing, fit, print, save and draw."""
    folders = list(config.also)
    for case, options in CASES.items():
        sizes = config.sizes if case == "infinite_width_tiled" else config.empirical_sizes
        for n in sizes:
            folder = config.out / "runs" / f"{case}_{n}"
            command = [
                *(sys.executable, str(ROOT / "experiments/full_dataset.py")),
                *("--dataset", "mnist", "--n-train", str(n), *options, "--out", str(folder)),
            ]
            if config.data_dir is not None:
                command += ["--data-dir", str(config.data_dir)]
            print(f"{case}, {n} inputs", file=sys.stderr)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            folders.append(folder)
    rows = sorted((row_of(folder) for folder in folders), key=lambda row: (row["case"], row["n"]))
    slopes = {case: slopes_of([r for r in rows if r["case"] == case], config) for case in CASES}
    for row in rows:
        print(" ".join(f"{key}={value}" for key, value in row.items()))
    print(slopes)
    results = {
        "rows": rows,
        "slopes": slopes,
        "config": dataclasses.asdict(config) | {"out": None, "also": None, "data_dir": None},
        "device": device_state(),
        "package": source_state(),
        "versions": package_versions(),
    }
    files.write_json(config.out / "results.json", results)
    save_cost_figure(results, config.out)


def row_of(folder: Path) -> dict[str, Any]:
    """Seconds of a run: of its kernel, of a product of the quadrature, of a pass for modes."""
    results = files.read_json(folder / "results.json")
    stages, products = results["stages"], results["air"]["n_products"]
    row = {
        "case": f"{'empirical' if 'width 512' in results['kernel'] else 'infinite_width'}_"
        f"{results['operator'].replace('-', '_')}",
        "n": results["n_train"],
        "kernel_seconds": stages["kernel"]["seconds"],
        "product_seconds": stages["quadrature"]["seconds"] / (products + 1),
        "quadrature_seconds": stages["quadrature"]["seconds"],
        "peak_bytes": max(stage["peak_bytes"] for stage in stages.values()),
        "interrupted": any(stage["pieces"] > 1 for stage in stages.values()),
    }
    if "modes" in stages:
        row["modes_seconds"] = stages["modes"]["seconds"]
        row["pass_seconds"] = stages["modes"]["seconds"] / results["top_modes"]["n_products"]
    return row


def slopes_of(rows: list[dict[str, Any]], config: Config) -> dict[str, float]:
    """Powers of n that seconds grow with, by least squares in logarithms.

    Of whole stages there is none: runs differ in their products and passes.
    """
    large = [row for row in rows if row["n"] >= config.fit_from]
    names = [name for name in _FITTED if name in rows[0]] if len(large) > 1 else []
    sizes = np.log([row["n"] for row in large])
    return {
        name: float(np.polyfit(sizes, np.log([row[name] for row in large]), 1)[0]) for name in names
    }


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
