"""The library's work on one accelerator: times, shares of peak, and equality with a CPU.

One command of a few minutes, safe to stop at any time: rows are saved as they come, and a second
run measures those that are missing. Without an accelerator it says so and runs on CPUs.
"""

import dataclasses
import shlex
import statistics
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from benchmarks.accelerator.rows import SMOKE, Sizes, Work, all_work
from ntk_air._base import files
from ntk_air.lab.provenance import device_state, package_versions, source_state

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    smoke: bool = False
    """Sizes of seconds, for a test on CPUs."""
    only: tuple[str, ...] = ()
    """Rows whose names begin so; by default all."""
    repeats: int = 3
    """Timed calls behind the first, as many as the budget allows."""
    row_seconds: float = 30.0
    """No further repeat of a row begins after as long."""
    budget_seconds: float = 440.0
    """No further row begins after as long, in all."""
    out: Path = Path("runs/benchmark_accelerator")
    """Folder for results.json and manifest.json."""


def main(config: Config) -> int:
    """Measure what is missing, save, print the table; 1 where a row failed or differs."""
    jax.config.update("jax_enable_x64", True)
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / "results.json"
    rows: list[Row] = files.read_json(path)["rows"] if path.exists() else []
    device = device_state()
    if rows and rows[0]["device"] != device["kind"]:
        raise ValueError(
            f"out must be a folder of rows of {device['kind']}; got {path} of {rows[0]['device']}"
        )
    started, done = time.perf_counter(), {row["row"] for row in rows if row["error"] is None}
    rows = [row for row in rows if row["error"] is None]
    for name, work in all_work(SMOKE if config.smoke else Sizes()).items():
        if name in done or (config.only and not name.startswith(config.only)):
            continue
        if time.perf_counter() - started > config.budget_seconds:
            print(f"{name}: left out, the budget is spent: run the command again", file=sys.stderr)
            continue
        rows.append(measured(name, work, config) | {"device": device["kind"]})
        print(shown(rows[-1], rows), flush=True)
        files.write_json(path, {"rows": rows})
        manifest = {
            "command": shlex.join(["python", "-m", "benchmarks.accelerator", *sys.argv[1:]]),
            "device": device,
            "packages": package_versions(),
            "source": source_state(),
        }
        files.write_json(config.out / "manifest.json", manifest)
    if device["platform"] == "cpu":
        print("no accelerator is here: all this ran on CPUs", file=sys.stderr)
    return int(any(row["error"] is not None or row["agrees"] is False for row in rows))


def measured(name: str, work: Work, config: Config) -> Row:
    """The row of a piece of work; where it fails, with the error and without numbers."""
    row: Row = {
        "row": name,
        "seconds": None,
        "first_seconds": None,
        "repeats": 0,
        "operations": work.operations,
        "precision": work.precision,
        "difference": None,
        "tolerance": work.tolerance,
        "agrees": None,
        "error": None,
    }
    try:
        seconds: list[float] = []
        started = time.perf_counter()
        result = work.call()
        row["first_seconds"] = time.perf_counter() - started
        while len(seconds) < config.repeats and (
            not seconds or sum(seconds) + row["first_seconds"] < config.row_seconds
        ):
            started = time.perf_counter()
            result = work.call()
            seconds.append(time.perf_counter() - started)
        row |= {"seconds": statistics.median(seconds), "repeats": len(seconds)}
        if work.reference is not None:
            expected = np.asarray(work.reference())
            found = np.asarray(work.part(result), np.float64)
            row["difference"] = float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))
            row["agrees"] = bool(row["difference"] <= work.tolerance)
    except Exception as error:  # a row that fails must not lose the others
        row["error"] = f"{type(error).__name__}: {error}"[:500]
        traceback.print_exc()
    return row


def share_of_peak(row: Row, rows: list[Row]) -> float | None:
    """The rate of a row's products beside that of a square product of its precision."""
    if row["operations"] is None or row["seconds"] is None:
        return None
    peaks = [each for each in rows if each["row"] == f"product, {row['precision']}"]
    if not peaks or peaks[0]["seconds"] is None:
        return None
    peak = peaks[0]["operations"] / peaks[0]["seconds"]
    return row["operations"] / row["seconds"] / peak


def shown(row: Row, rows: list[Row]) -> str:
    """A row for a reader."""
    if row["error"] is not None:
        return f"{row['row']:<32} FAILED: {row['error'][:90]}"
    parts = [f"{row['row']:<32}{row['seconds']:10.4f} s, first {row['first_seconds']:7.2f} s"]
    if row["operations"] is not None:
        parts.append(f"{row['operations'] / row['seconds'] / 1e9:10.1f} GFLOP/s")
    share = share_of_peak(row, rows)
    if share is not None and not row["row"].startswith("product"):
        parts.append(f"{share:.0%} of a product's rate")
    if row["difference"] is not None:
        word = "agrees" if row["agrees"] else "DIFFERS"
        parts.append(f"{word}: {row['difference']:.1e} of {row['tolerance']:.0e}")
    return ", ".join(parts)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config, description=__doc__)))
