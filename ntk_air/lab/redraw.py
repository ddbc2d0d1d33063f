"""Figures drawn again from what finished runs saved."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ntk_air._base import files
from ntk_air.lab.harness import report_of
from ntk_air.lab.run_folder import ARRAYS, MANIFEST, RESULTS


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
        drawing = report_of(files.read_json(folder / MANIFEST)["experiment"])
        results, arrays = files.read_json(folder / RESULTS), files.read_arrays(folder / ARRAYS)
        report(folder, drawing.figures(results, arrays).save(folder))
        n_runs += 1
    return n_runs
