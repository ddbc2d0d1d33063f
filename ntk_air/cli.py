"""The command ``ntk-air``: ``ntk-air verify`` checks the claims and says what became of each."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro
from rich.console import Console

from ntk_air._base import files
from ntk_air.claims import all_claims
from ntk_air.claims import verify as verify_claims
from ntk_air.lab.config import DataConfig, KernelConfig, NoiseConfig
from ntk_air.lab.provenance import package_versions, source_state
from ntk_air.lab.report.progress import progress_on_standard_error
from ntk_air.lab.report.verdicts import claims_table, verdict_numbers, verdicts_table
from ntk_air.problem import make_problem


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
    list: bool = False
    """Name the claims and stop."""
    json: Path | None = None
    """A file for the verdicts."""
    seed: int = 0
    """Of the data and the label noise."""


@dataclasses.dataclass(frozen=True)
class Version:
    """Print the versions of ntk_air and of what results depend on."""


Command = (
    Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Version, tyro.conf.subcommand("version")]
)


def main() -> None:
    """Entry point of ``ntk-air``: exits 1 where a claim fails or its control does not."""
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    command: Any = tyro.cli(Command, prog="ntk-air", config=(tyro.conf.OmitArgPrefixes,))  # pyright: ignore[reportArgumentType, reportCallIssue]
    if isinstance(command, Version):
        for name, version in {**source_state(), **package_versions()}.items():
            console.print(f"{name}: {version}")
        sys.exit(0)
    # An entry point sets the precision of its own process.
    jax.config.update("jax_enable_x64", True)
    try:
        sys.exit(verify(command, console))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def verify(command: Verify, console: Console) -> int:
    """Check the claims, print the table, write the JSON; return the exit status."""
    claims = all_claims(command.claims)
    if command.list:
        console.print(claims_table(claims))
        return 0
    dataset = command.kernel.prepare(command.data.load(seed=command.seed))
    dataset = command.noise.draws(dataset, seeds=[command.seed])[0]
    kernel, kernel_name = command.kernel.build(dataset, seed=command.seed, precision="float64")
    with progress_on_standard_error() as progress:
        problem = make_problem(dataset, kernel).replace(seed=command.seed)
        verdicts = verify_claims(problem, claims, progress=progress)
    console.print(
        f"{dataset.name}: {dataset.n_train} inputs, {dataset.n_classes} classes, "
        f"{dataset.noise_fraction:.0%} {problem.label_noise.kind} label noise; {kernel_name}"
    )
    console.print(verdicts_table(verdicts))
    if command.json is not None:
        content = {
            "dataset": dataset.name,
            "data_sha256": dataset.content_hash,
            "kernel": kernel_name,
            "noise_rate": dataset.noise_fraction,
            "package": source_state(),
            "versions": package_versions(),
            "verdicts": [verdict_numbers(verdict) for verdict in verdicts],
        }
        files.write_json(command.json, content)
    return 0 if all(verdict.is_good for verdict in verdicts) else 1
