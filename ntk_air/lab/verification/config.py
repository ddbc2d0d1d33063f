"""What ``ntk-air verify`` can be told."""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ntk_air._base.checks import check_choice, check_seed, check_whole_number
from ntk_air.lab.config import DataConfig, KernelConfig, NoiseConfig
from ntk_air.lab.format import Format

if TYPE_CHECKING:
    from ntk_air.data.dataset import Dataset
    from ntk_air.kernels.protocols import Kernel
    from ntk_air.problem import Problem


@dataclasses.dataclass(frozen=True)
class VerifyConfig:
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
    format: Format = "text"
    """text (each row when it is known), json, markdown, latex or csv."""
    json: Path | None = None
    """A file for the verdicts."""
    jobs: int | None = None
    """Processes that check claims, each with a kernel matrix of its own; by default as many as
    there are cores, and one where all ends within seconds."""
    seed: int = 0
    """Of the data and the label noise."""

    def __post_init__(self):
        check_choice("format", self.format, get_args(Format))
        check_seed("seed", self.seed)
        if self.jobs is not None:
            check_whole_number("jobs", self.jobs, minimum=1)

    def load(self) -> "Dataset":
        """The data set with its label noise, as the kernel takes it."""
        dataset = self.kernel.prepare(self.data.load(seed=self.seed))
        return self.noise.draws(dataset, seeds=[self.seed])[0]

    def build_kernel(self, dataset: "Dataset") -> "tuple[Kernel, str]":
        """The kernel, and what it is in words."""
        return self.kernel.build(dataset, seed=self.seed, precision="float64")

    def problem(self, dataset: "Dataset", kernel: "Kernel") -> "Problem":
        """The problem that claims are checked on."""
        from ntk_air.problem import make_problem

        return make_problem(dataset, kernel).replace(seed=self.seed)


def cores() -> int:
    """Cores that this process may use."""
    may = getattr(os, "sched_getaffinity", None)
    return len(may(0)) if may is not None else os.cpu_count() or 1
