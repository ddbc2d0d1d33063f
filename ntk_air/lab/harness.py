"""What every experiment does around its computation: folder, progress, figures, summary."""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import jax
import tyro
from rich.console import Console, RenderableType

from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air._base.typing import AnyArray
from ntk_air.data.dataset import Dataset
from ntk_air.lab.config import ExperimentConfig
from ntk_air.lab.report.progress import progress_on_standard_error
from ntk_air.lab.run_folder import RunFolder
from ntk_air.problem import Problem, make_problem

_SUMMARY_WIDTH = 100


Config = TypeVar("Config", bound=ExperimentConfig)


@dataclasses.dataclass(frozen=True)
class Experiment(Generic[Config]):
    """An experiment: how to compute, draw and summarise.

    Attributes:
        name: of the script and of its folder under ``runs/``.
        compute: results (JSON-ready) and curves, from configuration, data, run and progress.
        save_figures: draws from saved results, curves and folder; returns the figures' names.
        summary: what a reader sees of the results.
    """

    name: str
    compute: Callable[
        [Config, Dataset, RunFolder, Progress], tuple[Mapping[str, Any], Mapping[str, AnyArray]]
    ]
    save_figures: Callable[[Mapping[str, Any], Mapping[str, Any], Path], list[str]]
    summary: Callable[[Mapping[str, Any]], RenderableType]


def main(experiment: Experiment[Config], config_type: type[Config], description: str) -> int:
    """Run an experiment from the command line; return the exit status.

    Bad input and refused jobs end with a message and status 2, an interruption with 130.
    """
    console = Console(width=None if sys.stdout.isatty() else _SUMMARY_WIDTH, highlight=False)
    try:
        config = tyro.cli(config_type, description=description, config=(tyro.conf.OmitArgPrefixes,))
        run_experiment(experiment, config, console)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command resumes from the last finished stage", file=sys.stderr)
        return 130
    return 0


def run_experiment(experiment: Experiment[Config], config: Config, console: Console) -> None:
    """Compute what the run's folder does not hold yet, draw it and print the summary."""
    options = config.run
    if options.smoke:
        config = cast("Config", config.smoke())
    dataset = config.load()
    folder = _own(options.out or Path("runs") / experiment.name / config.run_name(dataset))
    with progress_on_standard_error() as progress:
        run = RunFolder(
            folder,
            experiment=experiment.name,
            config=config.identity(),
            data_sha256=dataset.content_hash,
            force=options.force,
            progress=progress,
        )
        if run.is_complete:
            other = " by another version of this code; --force computes anew"
            by_whom = other if run.made_by_other_code else ""
            console.print(f"{folder}: reused, computed before{by_whom}", soft_wrap=True)
        else:
            run.save(*experiment.compute(config, dataset, run, progress))
            experiment.save_figures(run.results, run.arrays, folder)
            run.finish(precision=options.precision, seeds=options.noise_seeds())
    console.print(experiment.summary(run.results))
    console.print(f"\nsaved in {folder}", soft_wrap=True)


def _own(folder: Path) -> Path:
    """The folder of this process: those of several write the same results beside each other."""
    index = jax.process_index() if jax.distributed.is_initialized() else 0
    return folder.with_name(f"{folder.name}-process{index}") if index else folder


def make_run_problem(
    config: ExperimentConfig, dataset: Dataset, run: RunFolder, progress: Progress
) -> tuple[Problem, str]:
    """The configured kernel on a prepared data set, in the run's stages; and its description."""
    precision = config.run.precision
    kernel, kernel_name = config.kernel.build(dataset, seed=config.run.seed, precision=precision)
    problem = make_problem(
        dataset,
        kernel,
        precision=precision,
        max_memory_bytes=parse_bytes(config.run.max_memory),
        stage=run.stage,
        progress=progress,
    )
    return problem.replace(seed=config.run.seed), kernel_name
