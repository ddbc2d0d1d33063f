"""Figures and summaries made again from what finished runs saved."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntk_air._base import files
from ntk_air.lab.harness import report_of, summary_of
from ntk_air.lab.run_folder import ARRAYS, MANIFEST, RESULTS

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Group


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """What an experiment has saved.

    Args:
        experiment: name of the experiment.
        config: its full configuration.
        results: its numbers.
        arrays: its curves.
    """

    experiment: str
    config: dict[str, Any]
    results: dict[str, Any]
    arrays: "dict[str, np.ndarray]"

    def summary(self) -> "Group":
        """The run in one screen, with what was found."""
        return summary_of(self.experiment, self.results)

    def save_figures(self, folder: Path) -> list[str]:
        """Draw its figures into a folder; return their names."""
        return report_of(self.experiment).figures(self.results, self.arrays).save(folder)


def finished_run(folder: Path) -> FinishedRun:
    """Read a run's folder.

    Raises:
        ValueError: the folder holds no finished run of an experiment.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ValueError(f"folder must be that of a run, with a {MANIFEST}; got {folder}")
    manifest = files.read_json(path)
    if manifest.get("status") != "complete" or not (folder / RESULTS).is_file():
        raise ValueError(
            f"folder must hold a finished run; that of {folder} is {manifest.get('status')}"
        )
    results, arrays = files.read_json(folder / RESULTS), files.read_arrays(folder / ARRAYS)
    return FinishedRun(manifest["experiment"], manifest["config"], results, arrays)


def run_folders(folders: Iterable[Path]) -> Iterator[Path]:
    """The finished runs of experiments anywhere below some folders, each once, in order."""
    manifests = {path for folder in folders for path in folder.rglob(MANIFEST)}
    for path in sorted(manifests):
        if files.read_json(path).get("status") == "complete":
            yield path.parent


def redraw(
    folders: Iterable[Path],
    *,
    report: Callable[[Path, list[str]], None] = lambda folder, names: None,
) -> int:
    """Draw the figures of the finished runs below some folders; return how many runs there were.

    Args:
        folders: searched with all that is in them.
        report: called after each run with its folder and the names of its figures.
    """
    n_runs = 0
    for folder in run_folders(folders):
        report(folder, finished_run(folder).save_figures(folder))
        n_runs += 1
    return n_runs
