"""What ``ntk-air labels`` costs by rows, as a user starts it, and what fewer modes lose.

Each row is a new process: imports, compilation and the report are in its seconds. Labels of digits
(400 rows) and MNIST are flipped in pairs at a rate that the command is not told.
"""

import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

import ntk_air as na
from ntk_air._base import files
from ntk_air.lab.provenance import device_state, package_versions, source_state


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    rows: tuple[int, ...] = (400, 5000)
    """Sizes to time; above 400, MNIST."""
    modes: tuple[int, ...] = (50, 100, 200, 400, 800)
    """Modes to compare at --modes-n rows; none leaves that out."""
    modes_n: int = 4000
    """Rows that modes are compared at."""
    n_modes: int = 512
    """Modes of the timed runs."""
    rate: float = 0.4
    """Share of labels flipped, each to the next class."""
    max_memory: str = "8GiB"
    """Bound of the timed runs."""
    data_dir: Path | None = None
    """Folder of MNIST; by default the usual places."""
    out: Path = Path("runs/benchmark_label_cleaning")
    """Folder for results.json."""


def main(config: Config) -> None:
    """Measure, print and save row by row."""
    jax.config.update("jax_enable_x64", True)
    content: dict[str, Any] = {
        "command": f"python -m benchmarks.label_cleaning {' '.join(sys.argv[1:])}".strip(),
        "config": dataclasses.asdict(config) | {"out": None, "data_dir": None},
        "device": device_state(),
        "package": source_state(),
        "versions": package_versions(),
        "timed": [],
        "modes": [],
    }
    config.out.mkdir(parents=True, exist_ok=True)

    def keep(name: str, row: dict[str, Any]) -> None:
        content[name].append(row)
        print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
        files.write_json(config.out / "results.json", content)

    for n in config.rows:
        keep("timed", timed(config, n))
    if config.modes:
        for row in by_modes(config):
            keep("modes", row)


def noisy(config: Config, n: int) -> "na.Dataset":
    """n rows with flipped labels."""
    if n <= 400:
        data = na.load_dataset("digits", n_train=n, n_test=0)
    else:
        data = na.load_dataset("mnist", n_train=n, n_test=0, data_dir=config.data_dir)
    return data.with_label_noise(na.PairFlipNoise(config.rate), seed=0)


def timed(config: Config, n: int) -> dict[str, Any]:
    """Seconds and peak memory of the command, and what it found."""
    data = noisy(config, n)
    true, given = data.clean_labels, data.noisy_labels
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "given.npz", Path(folder) / "out"
        np.savez(file, inputs=np.round(data.inputs * 255).astype(np.uint8), labels=given)
        command = ["labels", str(file), "--out", str(out), "--n-modes", str(config.n_modes)]
        command += ["--max-memory", config.max_memory]
        del data
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ntk_air", *command], check=True)
        seconds = time.perf_counter() - started
        found = json.loads((out / "noise.json").read_text())
        with np.load(out / "arrays.npz") as arrays:
            suggested = arrays["suggested"]
    return {
        "n": n,
        "seconds": round(seconds, 1),
        # Of the largest child so far: rows are timed in ascending order.
        "peak_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "verdict": found["verdict"],
        "rate": found["rate"],
        "true_rate": float(np.mean(given != true)),
        "right": float(np.mean(suggested == true)),
    }


def by_modes(config: Config) -> list[dict[str, Any]]:
    """Cleaned labels right and rate with the largest modes alone."""
    data = noisy(config, config.modes_n).normalised()
    theta = na.gram_matrix(na.DenseNTK(depth=3), data.inputs)
    spectrum = na.decompose(theta, top_k=max(config.modes))
    rows = []
    for n_modes in config.modes:
        started = time.perf_counter()
        options = na.CleaningOptions(n_modes=n_modes)
        found = na.clean_labels(spectrum, data.noisy_labels, options=options)
        rows.append(
            {
                "n": config.modes_n,
                "n_modes": n_modes,
                "seconds": round(time.perf_counter() - started, 1),
                "right": float(np.mean(found.suggested == data.clean_labels)),
                "rate": found.rate,
                "true_rate": data.noise_fraction,
            }
        )
    return rows


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
