"""The command ``ntk-air labels``, from the file to what it writes."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ntk_air._base import files
from ntk_air._base.progress import Progress
from ntk_air.lab.labels.config import LabelsConfig
from ntk_air.lab.labels.given import Given, read_given
from ntk_air.lab.labels.report import report_html
from ntk_air.lab.labels.results import labels_csv
from ntk_air.lab.labels.work import find_wrong_labels
from ntk_air.lab.run_folder import RunDescription, RunFolder, default_folder

LABELS, NOISE, REPORT = "labels.csv", "noise.json", "report.html"


@dataclasses.dataclass(frozen=True)
class Written:
    """Where results are, what they say, and whether they were there before."""

    folder: Path
    results: dict[str, Any]
    reused: bool


def clean(config: LabelsConfig, *, command: Sequence[str], progress: Progress) -> Written:
    """Find wrong labels and write them down; an interrupted call resumes from finished stages.

    Raises:
        ValueError: data or options that do not hold, before anything is written.
    """
    given = read_given(config)
    stem = config.file.resolve().name.split(".")[0] or "data"
    content = given.dataset.content_hash
    description = RunDescription("labels", config.identity(), content, command=tuple(command))
    folder = config.out or default_folder(Path("runs") / "labels" / stem, description)
    with RunFolder(folder, description, force=config.force, progress=progress) as run:
        if run.is_complete:
            return Written(folder, run.results, reused=True)
        results, arrays = find_wrong_labels(config, given.dataset, run, progress)
        run.save(results, arrays)
        _write(run, given)
        run.finish(precision="float64", seeds=[config.seed])
        return Written(folder, run.results, reused=False)


def _write(run: RunFolder, given: Given) -> None:
    """The three files, each whole or not at all; the run is finished after the last."""
    results, arrays = run.results, run.arrays
    files.write_bytes(run.path / LABELS, labels_csv(arrays, given.dataset.class_names))
    files.write_json(run.path / NOISE, results)
    files.write_bytes(run.path / REPORT, report_html(results, arrays, given).encode())
