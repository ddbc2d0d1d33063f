"""What experiments do around their computation: options, folder, progress, figures, summary."""

import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeVar, cast

from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.lab.config import ExperimentConfig
from ntk_air.lab.exit_status import exit_status
from ntk_air.lab.run_folder import RunDescription, RunFolder, default_folder

if TYPE_CHECKING:  # options are read before JAX is needed
    from rich.console import Console, Group

    from ntk_air.data.dataset import Dataset
    from ntk_air.problem import Problem

_SUMMARY_WIDTH = 100

Config = TypeVar("Config", bound=ExperimentConfig)

Computed: TypeAlias = tuple[Mapping[str, Any], Mapping[str, Any]]
"""The numbers of ``results.json`` and the curves of ``arrays.npz``."""


@dataclasses.dataclass(frozen=True)
class Experiment(Generic[Config]):
    """An experiment: its options and how to compute.

    What it can be asked is described by the docstring of the module that ``compute`` is in; its
    figures, its summary and what was found are ``figures``, ``summary`` and ``verdict`` of the
    module of its name in ``ntk_air.lab.report``.

    Attributes:
        name: name of the script, of its folder under ``runs/`` and of its report.
        config: the options.
        compute: results (JSON-ready) and curves, from configuration, data, run and progress.
    """

    name: str
    config: type[Config]
    compute: "Callable[[Config, Dataset, RunFolder, Progress], Computed]"

    def run_as_script(self) -> NoReturn:
        """Do what the command line asks for, and end the process."""
        sys.exit(self.main(sys.argv[1:], program=f"experiments/{self.name}.py"))

    def main(self, arguments: Sequence[str], *, program: str) -> int:
        """Run from a command line; return the exit status.

        Bad input and refused jobs end with a message and status 2, an interruption with 130.

        Args:
            arguments: the command line behind the program's name.
            program: how the experiment was called, for the help and the manifest.
        """

        def work() -> int:
            config = self.parse(arguments, program=program)
            config.begin()
            _use_float64()
            self.run(config, command=[*program.split(), *arguments])
            return 0

        return exit_status(
            work, interrupted="the same command resumes from the last finished stage"
        )

    def parse(self, arguments: Sequence[str], *, program: str) -> Config:
        """The configuration that a command line asks for; ``--help`` ends the process."""
        import tyro

        config: Config = tyro.cli(
            self.config,
            prog=program,
            description=sys.modules[self.compute.__module__].__doc__,
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes,),
        )
        config.check_own()
        return config

    def run(self, config: Config, *, command: Sequence[str]) -> None:
        """Compute what the run's folder does not hold yet, draw it and print the summary."""
        from ntk_air.lab.report.progress import progress_on_standard_error

        options, report, console = config.run, report_of(self.name), _console()
        if options.smoke:
            config = cast("Config", config.smoke())
        dataset = config.load()
        description = RunDescription(
            self.name, config.identity(), dataset.content_hash, command=tuple(command)
        )
        named = Path("runs") / self.name / config.run_name(dataset)
        folder = _own(options.out or default_folder(named, description))
        with (
            progress_on_standard_error() as progress,
            RunFolder(folder, description, force=options.force, progress=progress) as run,
        ):
            if run.is_complete:
                others = "; ".join(run.made_elsewhere())
                by_whom = f" elsewhere ({others}); --force computes anew" if others else ""
                console.print(f"{folder}: reused, computed before{by_whom}", soft_wrap=True)
            else:
                run.save(*self.compute(config, dataset, run, progress))
                drawn = report.figures(run.results, run.arrays)
                drawn.save(folder, formats=("png",), overview_alone=options.smoke)
                run.finish(precision=options.precision, seeds=options.noise_seeds())
        console.print(summary_of(self.name, run.results))
        console.print(f"\nsaved in {folder}; its words: docs/glossary.md", soft_wrap=True)


def report_of(name: str) -> Any:
    """The module with ``figures``, ``summary`` and ``verdict`` of an experiment.

    Raises:
        ValueError: there is no report of that name.
    """
    module = f"ntk_air.lab.report.{name}"
    if importlib.util.find_spec(module) is None:
        raise ValueError(f"an experiment must have a report: there is no {module}")
    return importlib.import_module(module)


def summary_of(name: str, results: Mapping[str, Any]) -> "Group":
    """A run in one screen, and in one sentence what was found."""
    from rich.console import Group
    from rich.text import Text

    report = report_of(name)
    found = Text(f"found: {report.verdict(results)}")
    return Group(*report.summary(results).renderables, "", found)


def _use_float64() -> None:
    # An entry point sets the precision of its own process.
    import jax

    jax.config.update("jax_enable_x64", True)


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _SUMMARY_WIDTH, highlight=False)


def _own(folder: Path) -> Path:
    """The folder of this process: those of several write the same results beside each other."""
    import jax

    index = jax.process_index() if jax.distributed.is_initialized() else 0
    return folder.with_name(f"{folder.name}-process{index}") if index else folder


def header(dataset: "Dataset", noisy: "Dataset | None" = None) -> dict[str, Any]:
    """The results that every experiment begins with.

    Args:
        dataset: what was loaded.
        noisy: the same with label noise, where there is one draw of it.
    """
    sizes: dict[str, Any] = {
        "dataset": dataset.name,
        "n_train": dataset.n_train,
        "n_test": dataset.n_test,
        "n_classes": dataset.n_classes,
    }
    if noisy is None:
        return sizes
    kind = "none" if noisy.label_noise is None else noisy.label_noise.kind
    return sizes | {"noise_kind": kind, "noise_rate": noisy.noise_fraction}


def make_run_problem(
    config: ExperimentConfig, dataset: "Dataset", run: RunFolder, progress: Progress
) -> "tuple[Problem, str]":
    """The configured kernel on a prepared data set, in the run's stages; and its description."""
    from ntk_air.problem import make_problem

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
