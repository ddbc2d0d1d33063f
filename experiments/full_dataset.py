"""AIR at the size of whole data sets: bounds from a few products, and the top eigenspace.

Needs neither the kernel in memory nor its decomposition. Says what it will take before it starts,
refuses what cannot fit, and goes on where it was killed.
"""

import dataclasses
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_choice, check_positive, check_whole_number
from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.lab.config import ExperimentConfig, OperatorKind, RunConfig
from ntk_air.lab.harness import Computed, Experiment, header
from ntk_air.lab.provenance import peak_memory_bytes
from ntk_air.lab.run_folder import RunFolder

if TYPE_CHECKING:
    from ntk_air.lab.jobs.estimate import StageNeed
    from ntk_air.lab.jobs.job import Job
    from ntk_air.lab.jobs.run import JobRun
    from ntk_air.spectrum.krylov.measure import SpectralMeasure
    from ntk_air.spectrum.krylov.quadrature import LabelQuadrature
    from ntk_air.spectrum.krylov.top_modes import TopModes


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of full_dataset."""

    run: RunConfig = dataclasses.field(default_factory=lambda: RunConfig(seeds=1))
    operator: OperatorKind = "tiled"
    """dense (in memory), tiled (on disk), matrix-free (nowhere; of an empirical kernel the products
    are those of all outputs), sharded (in memory, by rows over all devices)."""
    top_k: int = 100
    """Eigenpairs to find; 0 is none."""
    n_products: int = 40
    """Products of the label quadrature."""
    block: int = 20
    """Vectors that a pass serves while eigenpairs are searched."""
    distill_steps: int = 0
    """Steps of self-distillation with hard labels, from products alone; 0 is none."""
    distributed: bool = False
    """Be one of several processes that jax.distributed brings together; SLURM's and Kubernetes'
    settings are found by JAX itself. For --operator sharded."""
    tiles: Path | None = None
    """Folder for tiles, kept for other runs; by default in the run's own, removed at its end."""
    accuracy: float = 1e-8
    """Residual of the eigenpairs, relative to the largest eigenvalue, to stop at."""

    def __post_init__(self):
        from ntk_air.lab.jobs.job import OPERATORS

        check_choice("operator", self.operator, OPERATORS)
        if self.kernel.kernel_file is not None and self.operator != "dense":
            raise ValueError(
                "operator must be 'dense' beside kernel_file, which is a matrix already; got "
                f"{self.operator!r}"
            )
        for name, minimum in (("top_k", 0), ("n_products", 1), ("block", 1), ("distill_steps", 0)):
            check_whole_number(name, getattr(self, name), minimum=minimum)
        if self.distill_steps and self.operator == "matrix-free":
            raise ValueError(
                "distill_steps must be 0 for operator='matrix-free', whose rows are the outputs of "
                f"each input and no labels of a class; got {self.distill_steps}"
            )
        check_positive("accuracy", self.accuracy)
        if self.distributed and self.operator != "sharded":
            raise ValueError(
                "distributed is for operator='sharded', whose rows are spread over the processes; "
                f"got {self.operator!r}"
            )

    def begin(self) -> None:
        """Find the other processes, before JAX is asked for anything else."""
        if self.distributed:
            import jax

            jax.distributed.initialize()

    def smoke(self) -> "Config":
        """A few hundred inputs."""
        return dataclasses.replace(
            self,
            data=dataclasses.replace(self.data, n_train=min(self.data.n_train or 300, 300)),
            top_k=10,
            n_products=10,
            block=6,
            distill_steps=0 if self.operator == "matrix-free" else 10,
        )

    def identity(self) -> dict[str, Any]:
        """What makes two configurations the same; neither where tiles lie nor who computes."""
        fields = super().identity()
        del fields["tiles"], fields["distributed"]
        return fields


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.lab.jobs.estimate import describe
    from ntk_air.lab.jobs.run import JobRun

    noisy = config.noise.draws(dataset.subset(n_test=0), seeds=[config.run.seed])[0]
    job, kernel_name = make_job(config, noisy, run)
    needs, bounds = estimated(job, run)
    print(describe(needs, job), file=sys.stderr, flush=True)
    job_run = JobRun(job, run, **bounds, progress=progress)
    operator = job_run.operator()
    quadrature = job_run.quadrature(operator)
    arrays: dict[str, Any] = {}
    measured: dict[str, Any] = air_of(quadrature, arrays)
    largest = measured["lambda_max"]
    if config.top_k:
        modes = job_run.modes(operator, accuracy=config.accuracy, seed=config.run.seed)
        measured |= modes_of(modes, job, arrays)
        largest = measured["lambda_max"]
    if config.distill_steps:
        measured["self_distillation"] = distilled(config, job_run, operator, largest, arrays=arrays)
    results = {
        **header(dataset, noisy),
        "kernel": kernel_name,
        "operator": config.operator,
        "kernel_rows": job.n_rows,
        "precision": config.run.precision,
        "product_precision": job.product_precision.name,
        **measured,
        "estimate": {name: dataclasses.asdict(need) for name, need in needs.items()},
        "stages": job_run.stages(),
        "peak_memory_bytes": peak_memory_bytes(),
    }
    if config.tiles is None:
        shutil.rmtree(job.tiles, ignore_errors=True)
    return results, arrays


def make_job(config: Config, noisy: "na.Dataset", run: RunFolder) -> "tuple[Job, str]":
    """The configured job, and the kernel's description."""
    from ntk_air.lab.jobs.job import Job, label_matrices

    precision = config.run.precision
    kernel, name = config.kernel.build(noisy, seed=config.run.seed, precision=precision)
    job = Job(
        kernel=kernel,
        inputs=noisy.inputs.astype(precision),
        labels=label_matrices(noisy),
        operator=config.operator,
        n_products=config.n_products,
        top_k=config.top_k,
        block=config.block,
        max_memory_bytes=parse_bytes(config.run.max_memory),
        tiles=config.tiles or run.stage_path("tiles"),
    )
    return job, name


def estimated(job: "Job", run: RunFolder) -> "tuple[dict[str, StageNeed], dict[str, int]]":
    """The needs of the job, and how its memory is shared out: once for a run, however often it is
    taken up."""
    from ntk_air.lab.jobs.estimate import (
        StageNeed,
        estimate,
        free_bytes,
        memory_shares,
        require_fit,
    )

    require_fit(job)

    def fresh() -> dict[str, np.ndarray]:
        bounds = memory_shares(job, free_bytes(job))
        needs = estimate(job)
        return {
            "names": np.array(list(needs)),
            "needs": np.array([dataclasses.astuple(need) for need in needs.values()]),
            "bounds": np.array(bounds),
        }

    arrays = run.stage("estimate", fresh)
    needs = {
        str(name): StageNeed(float(seconds), int(peak), int(disk))
        for name, (seconds, peak, disk) in zip(arrays["names"], arrays["needs"], strict=True)
    }
    operator, space = (int(bound) for bound in arrays["bounds"])
    return needs, {"operator_bytes": operator, "space_bytes": space}


def air_of(quadrature: "LabelQuadrature", arrays: dict[str, Any]) -> dict[str, Any]:
    """AIR between bounds by time, with all products and with fewer; the training curve."""
    from ntk_air.air import air_curve_enclosure
    from ntk_air.lab.report import krylov_results as saved

    m = quadrature.n_products
    measures = quadrature.measures()
    air = air_curve_enclosure(measures["signal"], measures["noise"])
    by_products = {
        fewer: enclosures(quadrature.measures(n_products=fewer), air.times, air.learning_rate)
        for fewer in sorted({m, *(2**i for i in range(10) if 2**i < m)})
    }
    arrays |= saved.air_enclosure_arrays(air)
    arrays |= saved.training_curve_arrays(measures["noisy"], air.times)
    return {
        "learning_rate": air.learning_rate,
        "lambda_max": measures["noisy"].largest_eigenvalue,
        "air": saved.air_enclosure_numbers(air, n_products=m),
        "width_by_products": saved.width_by_products(by_products),
    }


def enclosures(
    measures: "Mapping[str, SpectralMeasure]", steps: np.ndarray, learning_rate: float
) -> "dict[str, na.Enclosure]":
    """Shares retrieved by the same times at the same learning rate, whatever the products."""
    from ntk_air.air import air_curve_enclosure, retrieved_share_enclosure

    found = {
        name: retrieved_share_enclosure(measures[name], steps, learning_rate=learning_rate)
        for name in ("signal", "noise")
    }
    curve = air_curve_enclosure(measures["signal"], measures["noise"], learning_rate=learning_rate)
    return found | {"auc": curve.area}


def modes_of(modes: "TopModes", job: "Job", arrays: dict[str, Any]) -> dict[str, Any]:
    """The top eigenspace, and the energies of labels and noise in it."""
    from ntk_air.lab.report import krylov_results as saved

    arrays |= {"eigenvalues": modes.eigenvalues, "residuals": modes.residuals}
    arrays |= saved.energy_arrays(modes, job.blocks)
    return {
        "lambda_max": float(modes.eigenvalues[0]),
        "top_modes": saved.mode_numbers(modes),
        "energy": saved.energy_numbers(arrays),
    }


def distilled(
    config: Config, job_run: "JobRun", operator: Any, largest: float, *, arrays: dict[str, Any]
) -> dict[str, Any]:
    """Hard self-distillation after as many plain steps as a fifth of all."""
    steps = config.distill_steps
    late = max(1, steps // 5)
    rule = na.Supervision(
        na.label_functions.Hard(), na.weights.Power(1.5, scale=float(late)), warm_up=late
    )
    times = np.unique(np.round(np.linspace(0, steps, 21)))
    run: na.Trajectory = job_run.descent(operator, rule, times=times, largest_eigenvalue=largest)
    arrays |= {f"distilled_{name}": curve for name, curve in run.curves().items()}
    arrays["distilled_steps"] = run.times
    last = run.last()
    return {
        "steps": steps,
        "rule": run.rule,
        "final_rms": float(last.train.rms_distance),
        "zero_one_final": float(last.train.zero_one_error),
        "memorised_share": float(last.train.memorised_share),
        "notes": list(run.notes),
    }


EXPERIMENT = Experiment("full_dataset", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
