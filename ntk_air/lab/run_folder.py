"""Run folders: a manifest, results, curves and figures, written whole or not at all.

A folder belongs to one experiment and one configuration. A second call with the same
configuration reuses it, an interrupted one resumes from its finished stages, and another
configuration is refused.
"""

import dataclasses
import datetime
import shlex
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntk_air._base import files
from ntk_air._base.progress import Progress, no_progress
from ntk_air.lab.provenance import device_state, package_versions, peak_memory_bytes, source_state

if TYPE_CHECKING:  # a finished run is read without JAX
    from ntk_air._base.typing import AnyArray

MANIFEST, RESULTS, ARRAYS = "manifest.json", "results.json", "arrays.npz"
_STAGES = ".stages"


class RunFolderError(ValueError):
    """A run folder holds something other than this run."""


@dataclasses.dataclass(frozen=True)
class RunDescription:
    """What a run is: its folder belongs to these three, and keeps the command beside them.

    Attributes:
        experiment: the name of the experiment.
        config: the full configuration, as JSON can hold it.
        data_sha256: content hash of the data the run works on.
        command: the command line that asked for the run, for the manifest.
    """

    experiment: str
    config: Mapping[str, Any]
    data_sha256: str
    command: tuple[str, ...] = ()


class RunFolder:
    """The folder of one run.

    Args:
        path: where the run is kept; made where it is missing.
        description: what decides whether a run is the same.
        force: start afresh, whatever the folder holds of this experiment.
        progress: told of each stage.

    Raises:
        RunFolderError: the folder holds another experiment, another configuration, or files
            that no run wrote.
    """

    def __init__(
        self,
        path: Path,
        description: RunDescription,
        *,
        force: bool = False,
        progress: Progress = no_progress,
    ):
        self.path = path
        self.experiment = description.experiment
        self.config = files.jsonable(description.config)
        self.data_sha256 = description.data_sha256
        self._command = shlex.join(description.command)
        self._progress = progress
        self._started = time.monotonic()
        self._source = source_state()
        self._resumed: list[str] = []
        self._open(force)

    @property
    def is_complete(self) -> bool:
        """Whether the run has finished: its results can be read."""
        return self._manifest().get("status") == "complete"

    @property
    def results(self) -> dict[str, Any]:
        """The numbers that were saved."""
        return files.read_json(self.path / RESULTS)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The curves that were saved."""
        return files.read_arrays(self.path / ARRAYS)

    @property
    def made_by_other_code(self) -> bool:
        """Whether the run was made by another version or commit of this package."""
        return self._manifest().get("package") != self._source

    def stage(
        self, name: str, compute: "Callable[[], Mapping[str, AnyArray]]"
    ) -> dict[str, np.ndarray]:
        """Compute named arrays once: a resumed run reads what an interrupted one has finished.

        Stages are dropped when the run finishes, and when the code has changed since.
        """
        path = self.path / _STAGES / f"{name}.npz"
        if path.exists():
            self._resumed.append(name)
            self._progress(f"{name} (resumed)", 1, 1)
            return files.read_arrays(path)
        arrays = {key: np.asarray(array) for key, array in compute().items()}
        path.parent.mkdir(exist_ok=True)
        files.write_arrays(path, arrays)
        return arrays

    def stage_path(self, name: str) -> Path:
        """A file or folder for what a stage keeps on its way: dropped when finished stages are."""
        path = self.path / _STAGES / name
        path.parent.mkdir(exist_ok=True)
        return path

    def save(self, results: Mapping[str, Any], arrays: "Mapping[str, AnyArray]") -> None:
        """Save results and curves, which figures are then drawn from."""
        files.write_arrays(self.path / ARRAYS, arrays)
        files.write_json(self.path / RESULTS, results)

    def finish(self, *, precision: str, seeds: list[int]) -> None:
        """Declare the run complete, once its results and figures are saved."""
        manifest = self._manifest() | {
            "status": "complete",
            "finished_at": _now(),
            "precision": precision,
            "seeds": seeds,
            "device": device_state(),
            "resumed_stages": self._resumed,
            "wall_time_seconds": round(time.monotonic() - self._started, 3),
            "peak_memory_bytes": peak_memory_bytes(),
        }
        files.write_json(self.path / MANIFEST, manifest)
        files.remove_leftovers(self.path)
        shutil.rmtree(self.path / _STAGES, ignore_errors=True)

    def _manifest(self) -> dict[str, Any]:
        return files.read_json(self.path / MANIFEST)

    def _open(self, force: bool) -> None:
        if (self.path / MANIFEST).exists():
            self._check_owner(force)
            if not force and (self.is_complete or not self.made_by_other_code):
                return
            shutil.rmtree(self.path / _STAGES, ignore_errors=True)
        elif self.path.exists() and any(self.path.iterdir()):
            raise RunFolderError(
                f"out must be a new, empty or run folder; {self.path} holds files of no run"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        manifest = {
            "experiment": self.experiment,
            "status": "running",
            "config": self.config,
            "data_sha256": self.data_sha256,
            "command": self._command,
            "started_at": _now(),
            "package": self._source,
            "versions": package_versions(),
        }
        files.write_json(self.path / MANIFEST, manifest)

    def _check_owner(self, force: bool) -> None:
        manifest = self._manifest()
        if manifest.get("experiment") != self.experiment:
            raise RunFolderError(
                f"out must be a folder of {self.experiment}; {self.path} holds a run of "
                f"{manifest.get('experiment')!r}"
            )
        old = manifest.get("config", {}) | {"data_sha256": manifest.get("data_sha256")}
        new = self.config | {"data_sha256": self.data_sha256}
        if force or old == new:
            return
        changed = [
            f"{key}: {old.get(key)!r} there, {new.get(key)!r} asked for"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
        version = manifest.get("package", {}).get("version")
        by = "" if version == self._source["version"] else f", written by ntk_air {version},"
        raise RunFolderError(
            f"{self.path} holds a run{by} with another configuration ({'; '.join(changed)}): "
            "choose another --out, or --force to replace it"
        )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
