"""Jobs killed by SIGKILL at random moments and started again: do they end in the same bits?

``full_dataset`` writes a run folder, tiles, and checkpoints of its Krylov space and its descent;
``training`` writes checkpoints of a network; ``labels`` is ``ntk-air labels``, with its tiles, its
search for modes and its three results.

One run goes through without interruption. Others are killed again and again, each process living
for a random time, and started anew until they end. Curves must be the same in every bit, and so
must all numbers but seconds and memory.
"""

import dataclasses
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro

import ntk_air as na
from ntk_air._base import files
from ntk_air.lab.provenance import device_state, package_versions, source_state

ROOT = Path(__file__).parents[2]

VARYING = ("estimate", "stages", "peak_memory_bytes")
"""What of ``results.json`` is time or memory."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    job: Literal["full_dataset", "training", "labels"] = "full_dataset"
    """What is killed."""
    dataset: str = "mnist5k"
    """Data set of full_dataset and labels."""
    n_train: int = 5000
    """Training inputs of full_dataset, and rows of labels."""
    kills: int = 20
    """Processes to kill at the least, over as many runs as that takes."""
    shortest: float = 3.0
    """The shortest life of a process, in seconds."""
    longest: float = 15.0
    """The longest life of a process that is killed, in seconds."""
    seed: int = 0
    """Of the lives."""
    out: Path = Path("runs/kill_and_resume")
    """Folder for the runs and results.json."""


def main(config: Config) -> None:
    """Run, kill, compare, print and save."""
    lives = random.Random(config.seed)
    reference = config.out / "uninterrupted"
    command = [sys.executable, *job_command(config)]
    subprocess.run([*command, "--out", reference], check=True, capture_output=True, cwd=ROOT)
    runs: list[dict[str, Any]] = []
    while sum(len(run["kills"]) for run in runs) < config.kills:
        folder = config.out / f"killed_{len(runs)}"
        kills = run_with_kills([*command, "--out", str(folder)], lives, config)
        different = differences(reference, folder)
        runs.append({"kills": kills, "different": different, "identical": not different})
        print(f"{len(kills)} kills, identical: {not different} {' '.join(different)}")
        for kill in kills:
            print(f"  after {kill['seconds']:5.2f} s in {kill['at']}")
    files.write_json(
        config.out / "results.json",
        {
            "n_kills": sum(len(run["kills"]) for run in runs),
            "identical": all(run["identical"] for run in runs),
            "runs": runs,
            "config": dataclasses.asdict(config) | {"out": None},
            "device": device_state(),
            "package": source_state(),
            "versions": package_versions(),
        },
    )
    if not all(run["identical"] for run in runs):
        sys.exit("a run that was killed ended in other numbers")


def job_command(config: Config) -> list[str]:
    """The script of the job and its options, but for the folder."""
    if config.job == "training":
        return [str(ROOT / "benchmarks/scaling/checkpointed_training.py")]
    if config.job == "labels":
        data = na.load_dataset(config.dataset, n_train=config.n_train, n_test=0)
        noisy = data.with_label_noise(na.PairFlipNoise(0.3), seed=0)
        file = (config.out / "given.npz").resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, inputs=noisy.inputs, labels=noisy.noisy_labels)
        # Too little for the matrix: tiles on disk, and modes by passes over them.
        return ["-m", "ntk_air", "labels", str(file), "--max-memory", "300MB", "--n-modes", "64"]
    return [
        str(ROOT / "experiments/full_dataset.py"),
        *("--dataset", config.dataset, "--n-train", str(config.n_train)),
        *("--precision", "float32", "--n-products", "30", "--top-k", "60", "--block", "10"),
        *("--distill-steps", "60"),
    ]


def run_with_kills(
    command: list[str], lives: random.Random, config: Config
) -> list[dict[str, Any]]:
    """Start the command until it ends; return when and where each process was killed."""
    kills = []
    while True:
        life, started = lives.uniform(config.shortest, config.longest), time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        try:
            _, said = process.communicate(timeout=life)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            _, said = process.communicate()
            seconds = time.monotonic() - started
            lines = [line for line in said.splitlines() if line.startswith("[")]
            at = lines[-1].split("] ")[-1] if lines else "start"
            kills.append({"seconds": round(seconds, 3), "at": at})
            continue
        if process.returncode != 0:
            sys.exit(f"a run that was killed cannot go on: {said}")
        return kills


def differences(reference: Path, folder: Path) -> list[str]:
    """Names of the arrays and numbers in which two runs differ."""
    ours, theirs = (files.read_arrays(each / "arrays.npz") for each in (folder, reference))
    different = sorted(
        name
        for name in ours.keys() | theirs.keys()
        if name not in ours
        or name not in theirs
        or not np.array_equal(ours[name], theirs[name], equal_nan=True)
    )
    different += [
        name
        for name in ("labels.csv", "noise.json", "report.html")
        if (reference / name).exists()
        and (folder / name).read_bytes() != (reference / name).read_bytes()
    ]
    first, second = (files.read_json(each / "results.json") for each in (folder, reference))
    return different + sorted(
        name
        for name in first.keys() | second.keys()
        if name not in VARYING and first.get(name) != second.get(name)
    )


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))
