"""Run folders: a manifest, results, curves and figures, written whole or not at all.

A folder belongs to one experiment and one configuration; by default its name is a readable one,
with a digest behind it where another run has that name. A second call with the same
configuration reuses it, an interrupted one resumes from its finished stages, and another
configuration is refused. Until a first stage is finished nothing is written but a lock, which goes
with its process: a run that is refused leaves no folder, and what a folder held stays in it.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntk_air._base import files
from ntk_air._base.locks import sole_writer
from ntk_air._base.progress import Progress, no_progress
from ntk_air.lab.provenance import device_state, package_versions, peak_memory_bytes, source_state

if TYPE_CHECKING:  # a finished run is read without JAX
    from ntk_air._base.typing import AnyArray

MANIFEST, RESULTS, ARRAYS = "manifest.json", "results.json", "arrays.npz"
_STAGES, _LOCK = ".stages", ".lock"
_DECIDE_NUMBERS = ("jax", "jaxlib")
"""Packages of which a run is finished with the version that it was begun with."""


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
    """The folder of one run; as a context, of one process at a time.

    Args:
        path: where the run is kept; made where it is missing.
        description: what decides whether a run is the same.
        force: start afresh, whatever the folder holds of this experiment.
        progress: told of each stage.

    Raises:
        RunFolderError: the folder holds another experiment, another configuration, files that no
            run wrote, or stages that other code or another JAX has finished.
        OSError: the folder cannot be written to.
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
        self._started, self._started_at = time.monotonic(), _now()
        self._source = source_state()
        self._resumed: list[str] = []
        self._leaving = contextlib.ExitStack()
        self._is_new = self._check(force)

    def __enter__(self) -> "RunFolder":
        """Be the only process that writes here.

        Raises:
            RunFolderError: another process is writing.
        """
        if self.is_complete:
            return self
        with contextlib.ExitStack() as leaving:
            leaving.enter_context(files.made_folder(self.path))
            try:
                leaving.enter_context(sole_writer(self.path / _LOCK))
            except BlockingIOError as error:
                raise RunFolderError(
                    f"another process is at work in {self.path}: wait for it, or choose another "
                    "--out"
                ) from error
            self._leaving = leaving.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Let others write; a folder that was made and never used goes."""
        self._leaving.close()

    @property
    def is_complete(self) -> bool:
        """Whether the run has finished: its results can be read."""
        return not self._is_new and self._manifest().get("status") == "complete"

    @property
    def results(self) -> dict[str, Any]:
        """The numbers that were saved."""
        return files.read_json(self.path / RESULTS)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The curves that were saved."""
        return files.read_arrays(self.path / ARRAYS)

    def made_elsewhere(self) -> list[str]:
        """What of code and JAX is another one here than where the run was begun."""
        manifest, here = self._manifest(), package_versions()
        before, versions = manifest.get("package", {}), manifest.get("versions", {})
        pairs = {name: (versions.get(name), here[name]) for name in _DECIDE_NUMBERS}
        pairs |= {name: (before.get(name), value) for name, value in self._source.items()}
        return [
            f"{name} {old} there, {new} here" for name, (old, new) in pairs.items() if old != new
        ]

    def stage(
        self, name: str, compute: "Callable[[], Mapping[str, AnyArray]]"
    ) -> dict[str, np.ndarray]:
        """Compute named arrays once: a resumed run reads what an interrupted one has finished.

        Stages are dropped when the run finishes.
        """
        path = self.stage_path(f"{name}.npz")
        if not self._is_new and path.exists():
            self._resumed.append(name)
            self._progress(f"{name} (resumed)", 1, 1)
            return files.read_arrays(path)
        arrays = {key: np.asarray(array) for key, array in compute().items()}
        self.begin()
        files.write_arrays(path, arrays)
        return arrays

    def stage_path(self, name: str) -> Path:
        """A file or folder for what a stage keeps on its way, once the run has begun.

        It is dropped when finished stages are.
        """
        return self.path / _STAGES / name

    def begin(self) -> None:
        """Make the folder this run's, once: what was to be replaced goes."""
        stages = self.path / _STAGES
        if self._is_new:
            shutil.rmtree(stages, ignore_errors=True)
            self.path.mkdir(parents=True, exist_ok=True)
            manifest = {
                "experiment": self.experiment,
                "status": "running",
                "config": self.config,
                "data_sha256": self.data_sha256,
                "command": self._command,
                "started_at": self._started_at,
                "package": self._source,
                "versions": package_versions(),
            }
            files.write_json(self.path / MANIFEST, manifest)
            self._is_new = False
        stages.mkdir(exist_ok=True)

    def save(self, results: Mapping[str, Any], arrays: "Mapping[str, AnyArray]") -> None:
        """Save results and curves, which figures are then drawn from."""
        self.begin()
        files.write_arrays(self.path / ARRAYS, arrays)
        files.write_json(self.path / RESULTS, results)

    def finish(self, *, precision: str, seeds: list[int]) -> None:
        """Declare the run complete, once its results and figures are saved."""
        manifest = self._manifest()
        finished_at = _now()
        manifest |= {
            "status": "complete",
            "finished_at": finished_at,
            "clock_went_back": finished_at < manifest["started_at"],
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

    def _check(self, force: bool) -> bool:
        """Whether the run begins anew here; refused where that would lose or mix something."""
        if not os.path.exists(self.path / MANIFEST):
            held = self.path.iterdir() if os.path.exists(self.path) else ()
            if any(each.name != _LOCK for each in held):
                raise RunFolderError(
                    f"out must be a new, empty or run folder; {self.path} holds files of no run"
                )
            files.check_writable("out", self.path / MANIFEST)
            return True
        self._check_owner(force)
        if not force and self._manifest().get("status") == "complete":
            return False
        files.check_writable("out", self.path / MANIFEST)
        made_elsewhere = self.made_elsewhere()
        has_stages = (self.path / _STAGES).exists() and any((self.path / _STAGES).iterdir())
        if has_stages and made_elsewhere and not force:
            raise RunFolderError(
                f"{self.path} holds the finished stages of a run begun elsewhere "
                f"({'; '.join(made_elsewhere)}): finish it as it was begun, or --force to begin "
                "anew"
            )
        return force or bool(made_elsewhere)

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


def default_folder(named: Path, description: RunDescription) -> Path:
    """The folder of a run that was given none: its readable name, where no other run has it.

    A run of the same name that is another one, such as another option's, stays where it is; this
    one has a digest of its own behind the name, and is found there again.
    """
    if not (named / MANIFEST).exists():
        return named
    held, own = files.read_json(named / MANIFEST), files.jsonable(description.config)
    there = (held.get("experiment"), held.get("config"), held.get("data_sha256"))
    if there == (description.experiment, own, description.data_sha256):
        return named
    content = json.dumps([own, description.data_sha256], sort_keys=True)
    return named.with_name(f"{named.name}-{hashlib.sha256(content.encode()).hexdigest()[:6]}")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
