"""The stages of a job, each kept as it goes: kernel, label quadrature, top modes, descent."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ntk_air._base import files
from ntk_air._base.progress import Progress
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.checkpoints import SimulationFile
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import Supervision
from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.lab.jobs.job import Job
from ntk_air.lab.measuring import StageMeter
from ntk_air.lab.run_folder import RunFolder
from ntk_air.problem import Labels, Problem
from ntk_air.spectrum.krylov.checkpoint import Checkpoint
from ntk_air.spectrum.krylov.quadrature import LabelQuadrature, label_quadrature
from ntk_air.spectrum.krylov.top_modes import TopModes, TopModesOptions, top_modes


class JobRun:
    """A job in its run folder: what an interrupted run has done is taken up, pass by pass.

    Args:
        job: what is to be computed.
        run: the folder.
        operator_bytes: a bound on what the operator holds. It decides sums' order, so that it has
            to be the same when a run is taken up again.
        space_bytes: a bound on what the vectors hold, for the same reason the same.
        progress: called after each tile and each pass.
    """

    def __init__(
        self,
        job: Job,
        run: RunFolder,
        *,
        operator_bytes: int,
        space_bytes: int,
        progress: Progress,
    ):
        self.job = job
        self._run, self._progress = run, progress
        self._operator_bytes, self._space_bytes = operator_bytes, space_bytes
        identity = json.dumps([run.config, run.data_sha256], sort_keys=True)
        self._belongs_to = hashlib.sha256(identity.encode()).hexdigest()

    def operator(self) -> KernelOperator:
        """The operator; tiles that are there are not computed again."""
        with self._measured("kernel"):
            return self.job.build(max_memory_bytes=self._operator_bytes, progress=self._progress)

    def quadrature(self, operator: KernelOperator) -> LabelQuadrature:
        """The labels' measures."""
        checkpoint = self._checkpoint("quadrature")
        with self._measured("quadrature"):
            return label_quadrature(
                operator,
                self.job.blocks,
                self.job.n_products,
                checkpoint=checkpoint,
                max_memory_bytes=self._space_bytes,
                progress=self._progress,
            )

    def modes(self, operator: KernelOperator, *, accuracy: float, seed: int) -> TopModes:
        """The top modes; 0 of them are no stage."""
        with self._measured("modes"):
            return top_modes(
                operator,
                self.job.top_k,
                max_memory_bytes=self._space_bytes,
                checkpoint=self._checkpoint("modes"),
                progress=self._progress,
                options=TopModesOptions(block=self.job.block, accuracy=accuracy, seed=seed),
            )

    def descent(
        self,
        operator: KernelOperator,
        supervision: Supervision,
        *,
        times: np.ndarray,
        largest_eigenvalue: float,
    ) -> Trajectory:
        """Self-distillation from products alone, kept every few steps."""
        file = SimulationFile(self._run.stage_path("descent") / "state.npz", self._belongs_to)
        labels = Labels(
            noisy=self.job.labels["noisy"].astype(operator.dtype),
            clean=self.job.labels["signal"].astype(operator.dtype),
        )
        problem = Problem(labels, operator).with_largest_eigenvalue(largest_eigenvalue)
        with self._measured("descent"):
            method = Stepwise(
                resume=file.load(),
                checkpoint=file.save,
                checkpoint_every=5,
                progress=self._progress,
            )
            return solve(problem, supervision, times, method)

    def stages(self) -> Mapping[str, Any]:
        """Seconds and peak bytes by stage; of one that was interrupted, those of its last piece.

        ``pieces`` says in how many it was done.
        """
        return files.read_json(self._measurements)

    @contextlib.contextmanager
    def _measured(self, name: str) -> Iterator[None]:
        """Measure a stage, unless it has been measured to its end before."""
        self._run.begin()
        kept = dict(files.read_json(self._measurements)) if self._measurements.exists() else {}
        before = kept.get(name, {"pieces": 0})
        if "seconds" in before:
            yield
            return
        pieces = {"pieces": before["pieces"] + 1}
        files.write_json(self._measurements, kept | {name: pieces})
        meter = StageMeter()
        with meter.stage(name):
            yield
        files.write_json(self._measurements, kept | {name: meter.measured[name] | pieces})

    @property
    def _measurements(self) -> Path:
        return self._run.stage_path("measured.json")

    def _checkpoint(self, name: str) -> Checkpoint:
        return Checkpoint(self._run.stage_path(name), belongs_to=self._belongs_to)
