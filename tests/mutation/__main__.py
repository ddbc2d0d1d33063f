"""Plant each bug of the lists in a copy of the package and see whether its tests notice.

``python -m tests.mutation``: all of them; ``--only dynamics air-3`` those of a list or of a name.
The copy is in a temporary folder, so that nothing of the checkout changes. Prints each survivor and
the score: the share noticed of all but those that are equivalent, which give their reason.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import tyro

from tests.mutation.mutants import ROOT, Mutant, mutants

_LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv*", ".tools", "figures", "runs", "__pycache__", "uv.lock")
)  # not pytest's cache, by which what no bug changes need not be compiled again
_FAILED = 1
"""What pytest ends with where a test failed; an import that fails ends with 2 or 4."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What to plant."""

    only: tuple[str, ...] = ()
    """Names, or lists whose mutants have none of their own; by default all."""
    jobs: int = 2
    """Bugs planted at a time, each in a copy of its own."""
    at_least: float = 0.9
    """Score below which the exit status is 1."""
    timeout_s: float = 300.0
    """Seconds after which tests that do not end have noticed nothing: the machine may be slow."""
    out: Path | None = None
    """JSON file for the outcomes."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a mutant."""

    name: str
    noticed: bool
    by: str
    seconds: float


def main(config: Config) -> int:
    """Plant, test, print; return the exit status."""
    chosen = [each for each in mutants() if not config.only or _is_named(each, config.only)]
    counted = [each for each in chosen if not each.survives]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # some tests are another user's, who imports the copy, too
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(config.jobs):
            copies.put(_copied(Path(folder) / str(number)))
        with ThreadPoolExecutor(config.jobs) as workers:
            outcomes = list(workers.map(lambda each: _tried(each, copies, config), counted))
        outcomes = _without_bugs(copies.get(), outcomes)
    noticed = sum(outcome.noticed for outcome in outcomes)
    score = noticed / max(len(outcomes), 1)
    print(
        f"{noticed} of {len(outcomes)} noticed ({score:.1%}), {len(chosen) - len(counted)} others:"
    )
    for mutant in chosen:
        if mutant.survives:
            print(f"  {mutant.name} {mutant.file}: {mutant.survives}")
    if config.out is not None:
        rows = [dataclasses.asdict(outcome) for outcome in outcomes]
        config.out.write_text(json.dumps({"score": score, "outcomes": rows}, indent=1) + "\n")
    return 0 if score >= config.at_least else 1


def _is_named(mutant: Mutant, names: tuple[str, ...]) -> bool:
    return mutant.name in names or mutant.name.rpartition("-")[0] in names


def _copied(folder: Path) -> Path:
    shutil.copytree(ROOT, folder, ignore=_LEFT_OUT)
    (folder / "figures").symlink_to(ROOT / "figures")
    return folder


def _tried(mutant: Mutant, copies: "SimpleQueue[Path]", config: Config) -> Outcome:
    copy = copies.get()
    path = copy / "ntk_air" / mutant.file
    source = path.read_text(encoding="utf-8")
    started = time.monotonic()
    try:
        path.write_text(mutant.planted_in(source), encoding="utf-8")
        noticed, by = _tested(mutant, copy, config.timeout_s)
    finally:
        path.write_text(source, encoding="utf-8")
        copies.put(copy)
    outcome = Outcome(mutant.name, noticed, by, round(time.monotonic() - started, 1))
    word = "noticed " if noticed else "SURVIVES"
    print(f"{word} {mutant.name} {mutant.file} {outcome.seconds:.0f} s {by}", flush=True)
    return outcome


def _tested(mutant: Mutant, copy: Path, timeout_s: float) -> tuple[bool, str]:
    """Whether a test failed, and which."""
    try:
        failed = _failed(copy, "-x", *mutant.mirrored_tests(), timeout_s=timeout_s)
    except subprocess.TimeoutExpired:
        return False, "undecided"
    return bool(failed), failed[0] if failed else ""


def _failed(copy: Path, *arguments: str, timeout_s: float | None = None) -> list[str]:
    """The tests that fail, by pytest's names."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "", *arguments],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if ended.returncode not in (0, _FAILED):
        raise RuntimeError(f"pytest {arguments} ended with {ended.returncode}\n{ended.stdout}")
    summary = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return [line.partition(" ")[2].partition(" - ")[0] for line in summary]


def _without_bugs(copy: Path, outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes, those taken back whose tests fail with no bug planted, too."""
    noticed_by = sorted({outcome.by for outcome in outcomes if outcome.noticed})
    void = _failed(copy, *noticed_by) if noticed_by else []
    for name in void:
        print(f"fails without a bug, too: {name}")
    return [
        dataclasses.replace(outcome, noticed=outcome.noticed and outcome.by not in void)
        for outcome in outcomes
    ]


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config, description=__doc__)))
