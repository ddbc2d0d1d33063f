"""Convolutional kernels of infinite width against neural-tangents, in one run on one machine.

The NTK between all pairs of some images by this project and by neural-tangents 0.6.5, on its own
JAX and on this project's, in float32 and float64; each tool in a process of its own. Errors are
against neural-tangents' own values in float64. Times are medians after a warm-up. Rows of other
cases that lie in the folder stay there; only ratios within a case are to be quoted.
"""

import dataclasses
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.common.peers import NEURAL_TANGENTS, peer_python, run_tool
from ntk_air._base import files
from ntk_air.lab.provenance import device_state, package_versions, source_state

_HERE = Path(__file__).parent
_OWN_JAX, _SHIM, _OURS = "neural_tangents own JAX", "neural_tangents this JAX", "ntk_air"
_PRECISIONS = ("float32", "float64")


@dataclasses.dataclass(frozen=True)
class Case:
    """A network and its images."""

    name: str
    blocks: tuple[int, ...]
    n_images: int
    side: int


CASES = (
    Case("two layers, 16 x 16", (2,), 32, 16),
    Case("Myrtle-5, 16 x 16", (2, 1, 1), 32, 16),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    case: str | None = None
    """One case alone; by default all."""
    repeats: int = 5
    """Timed calls behind the warm-up, as many as the budget allows."""
    budget_seconds: float = 30.0
    """No further repeat of a tool begins after as long."""
    out: Path = Path("runs/benchmark_convolutional_kernel")
    """Folder for results.json and manifest.json."""


def main(config: Config) -> None:
    """Measure, print the table, save the rows."""
    names = [case.name for case in CASES]
    if config.case is not None and config.case not in names:
        raise ValueError(f"case must be one of {', '.join(names)}; got {config.case!r}")
    config.out.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        if config.case not in (None, case.name):
            continue
        before = os.getloadavg()[0]
        new = measured(case, config)
        print_table(new)
        found = {
            "rows": new,
            "command": shlex.join(
                ["python", "-m", "benchmarks.convolutional_kernel", *sys.argv[1:]]
            ),
            "config": dataclasses.asdict(config) | {"out": None},
            "load_average": {"before": before, "after": os.getloadavg()[0]},
            "device": device_state(),
            "package": source_state(),
            "versions": package_versions(),
            "peer": dataclasses.asdict(NEURAL_TANGENTS),
        }
        save(config.out, case, found)


def save(folder: Path, case: Case, found: dict[str, Any]) -> None:
    """Put the rows of a case, and how they came about, in place of those that lie there."""
    rows_file, manifest_file = folder / "results.json", folder / "manifest.json"
    rows = json.loads(rows_file.read_text("utf-8")) if rows_file.exists() else []
    manifest = json.loads(manifest_file.read_text("utf-8")) if manifest_file.exists() else {}
    rows = [row for row in rows if row["case"] != case.name] + found.pop("rows")
    text = json.dumps(files.jsonable(rows), indent=1, ensure_ascii=False, allow_nan=False)
    files.write_bytes(rows_file, (text + "\n").encode())
    files.write_json(manifest_file, manifest | {case.name: found})


def measured(case: Case, config: Config) -> list[dict[str, Any]]:
    """The rows of all tools and precisions; one that failed says how, in ``skipped``."""
    shape = (case.n_images, case.side, case.side, 3)
    images = np.random.default_rng(0).standard_normal(shape)
    peer = peer_python(NEURAL_TANGENTS)
    rows: list[dict[str, Any]] = []
    kernels: list[np.ndarray | None] = []
    for tool, python in ((_OWN_JAX, peer), (_SHIM, None), (_OURS, None)):
        for precision in _PRECISIONS:
            print(f"{case.name}, {tool}, {precision}", file=sys.stderr)
            request = {
                "precision": precision,
                "blocks": case.blocks,
                "own_jax": tool == _OWN_JAX,
                "repeats": config.repeats,
                "budget_seconds": config.budget_seconds,
            }
            script = "ntk_air" if tool == _OURS else "neural_tangents"
            row: dict[str, Any] = {
                "case": case.name,
                "tool": tool,
                "inputs": case.n_images,
                "precision": precision,
                "seconds": None,
                "compile_seconds": None,
                "peak_bytes": None,
                "skipped": None,
            }
            try:
                numbers, arrays = run_tool(
                    _HERE / "tools" / f"{script}_tool.py",
                    request,
                    {"x": images.astype(precision)},
                    python=python,
                )
            except RuntimeError as failure:
                rows.append(row | {"skipped": str(failure)[:300]})
                kernels.append(None)
                continue
            rows.append(row | numbers)
            kernels.append(arrays["kernel"].astype(np.float64))
    compare(rows, kernels)
    return rows


def compare(rows: list[dict[str, Any]], kernels: list[np.ndarray | None]) -> None:
    """Errors against neural-tangents in float64, and ratios to the faster of its two ways."""
    peers = [
        (row, kernel)
        for row, kernel in zip(rows, kernels, strict=True)
        if row["tool"] != _OURS and kernel is not None
    ]
    reference = next((kernel for row, kernel in peers if row["precision"] == "float64"), None)
    for row, kernel in zip(rows, kernels, strict=True):
        row["max_relative_error"] = row["ratio_to_best_peer"] = None
        if kernel is None:
            continue
        if reference is not None and kernel is not reference:
            row["max_relative_error"] = float(np.max(np.abs(kernel / reference - 1)))
        seconds = [peer["seconds"] for peer, _ in peers if peer["precision"] == row["precision"]]
        if row["tool"] == _OURS and seconds:
            row["ratio_to_best_peer"] = min(seconds) / row["seconds"]


def print_table(rows: list[dict[str, Any]]) -> None:
    """One line for each row."""
    print(
        f"{'case':<20} {'tool':<24} {'precision':<9} {'inputs':>6} {'seconds':>8} {'compile':>8} "
        f"{'peak MiB':>8} {'error':>8} {'x best peer':>11}"
    )
    for row in rows:
        if row["skipped"] is not None:
            print(f"{row['case']:<20} {row['tool']:<24} {row['precision']:<9} {row['skipped']}")
            continue
        error, ratio, peak = (
            row[name] for name in ("max_relative_error", "ratio_to_best_peer", "peak_bytes")
        )
        print(
            f"{row['case']:<20} {row['tool']:<24} {row['precision']:<9} {row['inputs']:>6} "
            f"{row['seconds']:>8.3f} {row['compile_seconds']:>8.2f} "
            f"{'' if peak is None else f'{peak / 2**20:.0f}':>8} "
            f"{'' if error is None else f'{error:.1e}':>8} "
            f"{'' if ratio is None else f'{ratio:.1f}':>11}"
        )


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config, description=__doc__)))
