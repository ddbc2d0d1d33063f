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
from ntk_air.lab.config import DataConfig, KernelConfig, NoiseConfig
from ntk_air.lab.exit_status import exit_status
from ntk_air.lab.labels.config import LabelsConfig

_WIDTH = 140


@dataclasses.dataclass(frozen=True)
class Run:
    """Run an experiment: without a name, list them; with a name and --help, list its options."""


@dataclasses.dataclass(frozen=True)
class Verify:
    """Check the claims of docs/theory.md on a data set: prediction, measurement, control."""

    data: DataConfig = dataclasses.field(default_factory=lambda: DataConfig(dataset="clusters"))
    noise: NoiseConfig = dataclasses.field(
        default_factory=lambda: NoiseConfig(noise=0.2, exact=True)
    )
    kernel: KernelConfig = dataclasses.field(default_factory=lambda: KernelConfig(depth=2))
    claims: tuple[str, ...] = ()
    """Names of claims, or numbers of sections; all by default."""
    theory: tuple[str, ...] = ()
    """Names of theories, first authors as --list has them; claims of any by default."""
    list: bool = False
    """Name the claims with their sources and stop."""
    bibtex: bool = False
    """Print the papers that the claims come from as BibTeX and stop."""
    json: Path | None = None
    """A file for the verdicts."""
    seed: int = 0
    """Of the data and the label noise."""


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
    | Annotated[Verify, tyro.conf.subcommand("verify")]
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
        description="Run experiments, clean labels, check claims, draw figures again "
        "(or: --version).",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    if isinstance(command, LabelsConfig):
        return labels(command, arguments)
    actions = {Verify: verify, Figures: figures, Version: version}
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
    return 0


def verify(command: Verify) -> int:
    """Check the claims, print the table, write the JSON; return the exit status.

    After an interruption, or an error half way, table and JSON have the verdicts so far.
    """
    import jax

    from ntk_air._base import files
    from ntk_air.claims import all_claims
    from ntk_air.claims import verify as verify_claims
    from ntk_air.claims.sources import papers_of
    from ntk_air.lab.report.progress import progress_on_standard_error
    from ntk_air.lab.report.verdicts import (
        claims_table,
        heading,
        verdicts_record,
        verdicts_table,
    )
    from ntk_air.problem import make_problem

    # An entry point sets the precision of its own process.
    jax.config.update("jax_enable_x64", True)
    console = _console()
    claims = all_claims(command.claims, command.theory)
    if command.bibtex:
        print("\n\n".join(each.bibtex() for each in papers_of(each.source for each in claims)))
        return 0
    if command.list:
        console.print(claims_table(claims))
        return 0
    if command.json is not None:
        files.check_writable("json", command.json)
    dataset = command.kernel.prepare(command.data.load(seed=command.seed))
    dataset = command.noise.draws(dataset, seeds=[command.seed])[0]
    kernel, kernel_name = command.kernel.build(dataset, seed=command.seed, precision="float64")
    verdicts: list[Any] = []
    try:
        with progress_on_standard_error() as progress:
            problem = make_problem(dataset, kernel).replace(seed=command.seed)
            for done, claim in enumerate(claims, start=1):
                verdicts += verify_claims(problem, [claim])
                progress("claims", done, len(claims))
    finally:
        if verdicts:
            console.print(heading(dataset, kernel_name))
            console.print(verdicts_table(verdicts))
        if verdicts and command.json is not None:
            left = [claim.name for claim in claims[len(verdicts) :]]
            command.json.parent.mkdir(parents=True, exist_ok=True)
            files.write_json(
                command.json, verdicts_record(dataset, kernel_name, verdicts, left=left)
            )
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


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
