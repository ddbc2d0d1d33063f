"""The command ``ntk-air``: runs experiments, checks claims, draws figures again.

Nothing heavier than the options is imported before it is known what is asked for.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import tyro

import ntk_air
from ntk_air.lab.catalogue import experiments, load_experiment
from ntk_air.lab.data_report.config import ReportConfig
from ntk_air.lab.exit_status import exit_status
from ntk_air.lab.format import Format
from ntk_air.lab.kernel_config import KernelConfig
from ntk_air.lab.labels.config import LabelsConfig
from ntk_air.lab.verification.config import VerifyConfig

_WIDTH = 140


@dataclasses.dataclass(frozen=True)
class Run:
    """Run an experiment: without a name, list them; with a name and --help, list its options."""


@dataclasses.dataclass(frozen=True)
class Datasets:
    """List the data sets; with a name, what that one is and takes, with defaults."""

    name: tyro.conf.Positional[str | None] = None
    """Name of a data set."""


@dataclasses.dataclass(frozen=True)
class Show:
    """Show what a finished run found, as a table for a screen, a page, a paper or a program."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run, such as figures/convergence."""
    format: Format = "text"
    """text, json (with all numbers of the run), markdown, latex or csv (its tables)."""


@dataclasses.dataclass(frozen=True)
class Reproduce:
    """Compute numbers that other papers published, beside theirs, with the time that each takes."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of papers: borup, bietti, dang, lee (needs MNIST and CIFAR-10); all by default."""
    data_dir: Path | None = None
    """Folder of the data files; else NTK_AIR_DATA and the usual places."""
    format: Format = "text"
    """text, json, markdown, latex or csv."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """Draw the figures of finished runs again, as PNG and PDF, from what the runs saved."""

    folders: tyro.conf.Positional[tuple[Path, ...]] = (Path("figures"), Path("runs"))
    """Folders with run folders anywhere below; those that are not there are left out."""


@dataclasses.dataclass(frozen=True)
class Version:
    """Print the versions of ntk_air and of what results depend on (--version: its own alone)."""


Command = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[LabelsConfig, tyro.conf.subcommand("labels")]
    | Annotated[VerifyConfig, tyro.conf.subcommand("verify")]
    | Annotated[Datasets, tyro.conf.subcommand("datasets")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Reproduce, tyro.conf.subcommand("reproduce")]
    | Annotated[ReportConfig, tyro.conf.subcommand("report")]
    | Annotated[Figures, tyro.conf.subcommand("figures")]
    | Annotated[Version, tyro.conf.subcommand("version")]
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point of ``ntk-air``: 0 is well, 1 a claim that fails, 2 bad input, 130 Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--version"]:
        print(f"ntk-air {ntk_air.__version__}")
        sys.exit(0)
    sys.exit(exit_status(lambda: _act(arguments), interrupted="what was finished is kept"))


def _act(arguments: Sequence[str]) -> int:
    """Do what the command line asks for; return the exit status."""
    if arguments[:1] == ["run"]:
        return run(arguments[1:])
    command: Any = tyro.cli(
        Command,  # pyright: ignore[reportArgumentType]
        prog="ntk-air",
        description="Run experiments, clean labels, check claims, show and draw runs again "
        "(or: --version).",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    if isinstance(command, LabelsConfig):
        return labels(command, arguments)
    if isinstance(command, ReportConfig):
        return report(command, arguments)
    actions = {
        VerifyConfig: verify,
        Datasets: datasets,
        Show: show,
        Reproduce: reproduce,
        Figures: figures,
        Version: version,
    }
    return actions[type(command)](command)


def run(arguments: Sequence[str]) -> int:
    """An experiment by its name, with its own command line; without a name, the names."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("ntk-air run EXPERIMENT [--help] [OPTIONS]\n")
        for name, says in experiments().items():
            print(f"  {name:20} {says}")
        return 0
    name, *options = arguments
    return load_experiment(name).main(options, program=f"ntk-air run {name}")


def labels(config: LabelsConfig, arguments: Sequence[str]) -> int:
    """Find wrong labels, write them down and say what was found; return the exit status."""
    config.kernel.check_own(KernelConfig())
    import jax

    from ntk_air.lab.labels.command import LABELS, REPORT, clean
    from ntk_air.lab.report.progress import progress_on_standard_error

    # An entry point sets the precision of its own process.
    jax.config.update("jax_enable_x64", True)
    with progress_on_standard_error() as progress:
        written = clean(config, command=["ntk-air", *arguments], progress=progress)
    results, console = written.results, _console()
    if written.reused:
        console.print(f"{written.folder}: reused, computed before", soft_wrap=True)
    console.print(f"{results['rows']} rows, {len(results['classes'])} classes; {results['kernel']}")
    console.print(f"verdict: {results['verdict']}")
    for reason in results["reasons"]:
        console.print(f"  {reason}", soft_wrap=True)
    if results["rate"] is not None:
        lower, upper = results["rate_interval"]
        console.print(
            f"wrong labels: {results['rate']:.1%} ({lower:.1%} to {upper:.1%}); "
            f"{results['probably_wrong']} rows are more likely wrong than right"
        )
    console.print(f"saved in {written.folder}: {LABELS}, {REPORT}", soft_wrap=True)
    console.print("verdicts and words: docs/glossary.md#verdicts-on-labels", soft_wrap=True)
    return 0


def verify(config: VerifyConfig) -> int:
    """Check the claims, print the verdicts, write the JSON; return the exit status."""
    usual = VerifyConfig()
    config.data.check_own(usual.data)
    config.kernel.check_own(usual.kernel)
    import jax

    from ntk_air.lab.verification.command import check

    # An entry point sets the precision of its own process.
    jax.config.update("jax_enable_x64", True)
    return check(config, _console())


def datasets(command: Datasets) -> int:
    """Print the data sets, or one of them; return the exit status."""
    from ntk_air.lab.report.datasets import dataset_page, datasets_table

    _console().print(datasets_table() if command.name is None else dataset_page(command.name))
    return 0


def show(command: Show) -> int:
    """Print what a run found; return the exit status."""
    from ntk_air.lab.redraw import finished_run
    from ntk_air.lab.report.formats import exported

    run = finished_run(command.folder)
    if command.format == "text":
        _console().print(run.summary())
    else:
        record = {"experiment": run.experiment, "config": run.config, "results": run.results}
        _console().out(exported(run.summary(), command.format, **record), highlight=False)
    return 0


def reproduce(command: Reproduce) -> int:
    """Print published numbers beside those found here; 1 where one is different.

    After an interruption, or an error half way, the table has what was found so far.
    """
    import jax

    from ntk_air.lab.report.formats import exported
    from ntk_air.lab.report.reproductions import reproduced_table
    from ntk_air.lab.reproductions.all import reproduce as reproduced

    jax.config.update("jax_enable_x64", True)
    found = []
    try:
        for each in reproduced(command.names, command.data_dir):
            found.append(each)
            print(f"{each.name}: {each.row.what}, {each.seconds:.1f} s", file=sys.stderr)
    finally:
        if found:
            shown = reproduced_table(found)
            if command.format == "text":
                _console().print(shown)
            else:
                _console().out(exported(shown, command.format), highlight=False)
    return int(not all(each.row.agrees for each in found))


def report(config: ReportConfig, arguments: Sequence[str]) -> int:
    """Write a page about data or a run; return the exit status."""
    import jax

    from ntk_air.lab.data_report.command import write_report
    from ntk_air.lab.report.progress import progress_on_standard_error

    # An entry point sets the precision of its own process.
    jax.config.update("jax_enable_x64", True)
    with progress_on_standard_error() as progress:
        write_report(config, command=["ntk-air", *arguments], progress=progress)
    print(f"saved in {config.out}")
    return 0


def figures(command: Figures) -> int:
    """Draw what the runs saved; return the exit status."""
    from ntk_air.lab.redraw import redraw

    def report(folder: Path, names: list[str]) -> None:
        print(f"{folder}: {', '.join(names)}")

    if not redraw(command.folders, report=report):
        raise ValueError(f"no finished run below {', '.join(map(str, command.folders))}")
    return 0


def version(command: Version) -> int:
    """Print what results depend on; return the exit status."""
    from ntk_air.lab.provenance import package_versions, source_state

    for name, value in {**source_state(), **package_versions()}.items():
        print(f"{name}: {value}")
    return 0


def _console() -> Any:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
