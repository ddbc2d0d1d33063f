"""Empirical NTKs against peers: neural-tangents 0.6.5 on its own JAX, and torch.func.

Mean over outputs, float32, each tool in a process of its own with the same parameters and inputs;
peers are set up on first use. A row is the median of repeated calls behind a warm-up. Rows are
saved as they come, a second run measures those that are missing, and only ratios of one run are
to be quoted. Every row has a limit of time and memory; a row that is skipped says why.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.common.peers import peer_python, run_tool
from benchmarks.empirical_ntk.cases import (
    BARE,
    CASES,
    OURS,
    TINY,
    TOOLS,
    Case,
    Task,
    row_key,
    tasks,
)
from benchmarks.empirical_ntk.figure import print_table, save_benchmark_figure
from ntk_air._base import files
from ntk_air._base.memory import format_bytes
from ntk_air.lab.provenance import device_state, package_versions, source_state

N_COMPARED = 8
"""Inputs between which values are compared with the float64 reference."""

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    case: str | None = None
    """One network alone, such as dense; by default all."""
    inputs: int | None = None
    """One number of inputs alone; by default those of the case."""
    tool: str | None = None
    """One tool alone; by default all."""
    repeats: int = 5
    """Timed calls behind the warm-up, as many as the budget allows."""
    budget_seconds: float = 15.0
    """A row's calls may take as long, once its first call is done; longer calls are not begun
    where fewer inputs already tell that one call alone would take longer."""
    limit_seconds: float = 60.0
    """A row is given up after as long, compilation included."""
    memory_bytes: int = 10 * 2**30
    """Memory that a tool may take."""
    out: Path = Path("runs/benchmark_empirical_ntk")
    """Folder for results.json, manifest.json and the figure."""


def main(config: Config) -> None:
    """Measure what is missing, print the table, draw the figure."""
    config.out.mkdir(parents=True, exist_ok=True)
    rows = read_rows(config.out)
    todo = [task for task in selected(config) if task.key not in {row_key(row) for row in rows}]
    manifest = begin_manifest(config)
    for number, task in enumerate(todo, start=1):
        _say(f"{number}/{len(todo)} {' '.join(map(str, task.key[:5]))}")
        rows.append(measured(task, rows, config))
        write_rows(config.out, rows)
        manifest["runs"][-1]["rows"] += 1
        manifest["runs"][-1]["load_average_after"] = os.getloadavg()[0]
        files.write_json(config.out / "manifest.json", manifest)
    print_table(rows)
    save_benchmark_figure(rows, config.out)


def selected(config: Config) -> list[Task]:
    """The rows that a configuration asks for.

    Raises:
        ValueError: an unknown case or tool, or a number of inputs below 1.
    """
    known = CASES | {TINY.name: TINY}
    if config.case is not None and config.case not in known:
        raise ValueError(f"case must be one of {', '.join(CASES)}; got {config.case!r}")
    if config.tool is not None and config.tool not in TOOLS:
        raise ValueError(f"tool must be one of {', '.join(TOOLS)}; got {config.tool!r}")
    if config.inputs is not None and config.inputs < 1:
        raise ValueError(f"inputs must be at least 1; got {config.inputs}")
    cases = list(CASES.values()) if config.case is None else [known[config.case]]
    return [
        task
        for case in cases
        for n in (case.inputs if config.inputs is None else (config.inputs,))
        for task in tasks(case, n)
        if config.tool in (None, task.tool.name)
    ]


# --- one row ----------------------------------------------------------------------------------


def measured(task: Task, rows: list[Row], config: Config) -> Row:
    """The row of a task: its numbers, or the reason why there are none."""
    row: Row = {
        "case": task.case.name,
        "tool": task.tool.name,
        "method": task.method,
        "inputs": task.inputs,
        "precision": task.precision,
        "seconds": None,
        "compile_seconds": None,
        "peak_bytes": None,
        "max_relative_error": None,
        "max_memory_bytes": task.max_memory_bytes,
        "skipped": reason_to_skip(task, rows, config),
    }
    if row["skipped"] is not None:
        return row
    load = os.getloadavg()[0]
    try:
        numbers, arrays = _run(task, config)
        error = None if task.tool.name == BARE else _error(task, arrays["kernel"], config)
    except RuntimeError as failure:
        return row | {"skipped": str(failure)[:300]}
    return row | numbers | {"max_relative_error": error, "load_average": load}


def reason_to_skip(task: Task, rows: list[Row], config: Config) -> str | None:
    """Why a row is not worth its time, by what is known without running it."""
    if task.method in ("jacobian contraction", "vmap of jacrev"):
        size = 4 * task.inputs * task.case.n_out * task.case.n_parameters
        if size > config.memory_bytes:
            return f"its Jacobian alone has {format_bytes(size)}"
    key = row_key({**dataclasses.asdict(task), "case": task.case.name, "tool": task.tool.name})
    for row in sorted(rows, key=lambda row: -row["inputs"]):
        same = row_key(row | {"inputs": task.inputs}) == key
        if not same or row["inputs"] >= task.inputs:
            continue
        if row["skipped"] is not None:
            return f"{row['inputs']} inputs already: {row['skipped']}"
        if row["seconds"] * (task.inputs / row["inputs"]) ** 2 > config.budget_seconds:
            return (
                f"over the budget of {config.budget_seconds:.0f} s a call if time grows with the "
                f"pairs: {row['inputs']} inputs took {row['seconds']:.3g} s"
            )
        return None
    return None


def _run(task: Task, config: Config) -> tuple[Row, dict[str, np.ndarray]]:
    environment = task.tool.environment
    request = {
        "network": task.case.network,
        "options": task.case.options,
        "method": task.method,
        "precision": task.precision,
        "max_memory_bytes": task.max_memory_bytes,
        "repeats": config.repeats,
        "budget_seconds": config.budget_seconds,
        "memory_bytes": config.memory_bytes,
        "values_only": False,
    }
    return run_tool(
        task.tool.script,
        request,
        task.case.arrays(task.inputs, task.precision),
        python=None if environment is None else peer_python(environment),
        timeout_seconds=config.limit_seconds,
    )


def _error(task: Task, kernel: np.ndarray, config: Config) -> float:
    """The largest difference from the reference, relative to √(Θ(x, x)·Θ(x', x'))."""
    some = compared(task.inputs)
    reference = _reference(task.case, task.inputs, config)
    scale = np.sqrt(np.outer(reference.diagonal(), reference.diagonal()))
    difference = kernel[np.ix_(some, some)].astype(np.float64) - reference
    return float(np.max(np.abs(difference) / scale))


def compared(n: int) -> np.ndarray:
    """Which inputs are compared: evenly from the first to the last, so from all tiles."""
    return np.unique(np.linspace(0, n - 1, min(n, N_COMPARED)).astype(int))


def _reference(case: Case, n: int, config: Config) -> np.ndarray:
    """Between the compared inputs: contraction of float64 Jacobians, kept in the folder."""
    path = config.out / "references" / f"{case.name}_{n}.npy"
    if not path.exists():
        arrays = case.arrays(n, "float64")
        arrays["x"] = arrays["x"][compared(n)]
        request = {
            "network": case.network,
            "options": case.options,
            "method": "jacobian",
            "precision": "float64",
            "max_memory_bytes": None,
            "memory_bytes": config.memory_bytes,
            "values_only": True,
        }
        _, found = run_tool(TOOLS[OURS].script, request, arrays)
        path.parent.mkdir(exist_ok=True)
        with files.replaced_atomically(path) as temporary, temporary.open("wb") as file:
            np.save(file, found["kernel"])
    return np.load(path)


# --- files ------------------------------------------------------------------------------------


def read_rows(folder: Path) -> list[Row]:
    """The rows that are there already."""
    path = folder / "results.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else []


def write_rows(folder: Path, rows: list[Row]) -> None:
    """Save the rows, a list of JSON objects, atomically."""
    text = json.dumps(files.jsonable(rows), indent=1, ensure_ascii=False, allow_nan=False)
    files.write_bytes(folder / "results.json", (text + "\n").encode())


def begin_manifest(config: Config) -> dict[str, Any]:
    """What the rows were measured on and by; this run is added to those before.

    Raises:
        ValueError: the folder has rows of other code or another machine.
    """
    same = {
        "package": source_state(),
        "versions": package_versions(),
        "device": device_state(),
        "machine": {"cores": os.cpu_count(), "processor": _processor()},
        "peers": {
            tool.name: dataclasses.asdict(tool.environment)
            for tool in TOOLS.values()
            if tool.environment is not None
        },
    }
    same = json.loads(json.dumps(files.jsonable(same)))
    path = config.out / "manifest.json"
    earlier = files.read_json(path) if path.exists() else same | {"runs": []}
    changed = [name for name in same if earlier[name] != same[name]]
    if changed:
        raise ValueError(
            f"{config.out} holds rows of another {', '.join(changed)}: choose another folder, "
            "for only rows of one code on one machine can be compared"
        )
    run = {
        "command": " ".join(["python", "-m", "benchmarks.empirical_ntk", *sys.argv[1:]]),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_average_before": os.getloadavg()[0],
        "rows": 0,
    }
    return same | {"runs": [*earlier["runs"], run]}


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(": ")[2] for line in lines if "model name" in line), "unknown")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(tyro.cli(Config, description=__doc__))
    except ValueError as error:
        sys.exit(str(error))
