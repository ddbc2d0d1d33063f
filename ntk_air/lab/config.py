"""Typed configurations of the entry points, and what they build.

Each is a frozen dataclass whose fields become command-line options; the docstring below a field is
its help text. What they build is imported when it is built: options are read, and ``--help`` is
written, without JAX.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ntk_air._base.checks import check_choice, check_fraction, check_seed, check_whole_number
from ntk_air._base.memory import parse_bytes
from ntk_air._base.precision import Precision
from ntk_air.lab.kernel_config import KernelConfig

if TYPE_CHECKING:
    from ntk_air.data.dataset import Dataset
    from ntk_air.data.noise import LabelNoise

NoiseKind: TypeAlias = Literal["symmetric", "pair_flip", "instance_dependent"]

OperatorKind: TypeAlias = Literal["dense", "tiled", "matrix-free", "sharded"]

OPERATORS: tuple[OperatorKind, ...] = get_args(OperatorKind)


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The data set."""

    dataset: str = "digits"
    """Name in the catalogue: digits, mnist5k, breast_cancer, wine, clusters, circle, sphere, mnist,
    fashion_mnist, cifar10, cifar10n, sms_spam, npz, csv, …"""
    data_dir: Path | None = None
    """Folder to look for data sets in, for those that are looked for; else NTK_AIR_DATA and the
    usual places."""
    n_train: int | None = None
    """Training inputs; all that the data set has by default."""
    n_test: int | None = None
    """Held-out inputs; all that the data set has by default."""
    dataset_option: tuple[str, ...] = ()
    """Further options of the data set as NAME=VALUE, such as annotation=worse_label; whether
    something is done, as standardise=yes or standardise=no."""

    def load(self, *, seed: int) -> "Dataset":
        """Load the data set; ``seed`` chooses the subset, or draws a synthetic set."""
        from ntk_air.data.catalogue import is_looked_for, load_dataset, option_types
        from ntk_air.data.options import options_from_text

        options = options_from_text(
            "dataset_option", self.dataset_option, option_types(self.dataset)
        )
        return load_dataset(
            self.dataset,
            data_dir=self.data_dir if is_looked_for(self.dataset) else None,
            n_train=self.n_train,
            n_test=self.n_test,
            seed=seed,
            **options,
        )

    def run_name(self) -> str:
        """The data set with its options and sizes, for a folder's name."""
        sizes = [f"n{self.n_train}"] if self.n_train else []
        return "-".join([self.dataset, *self.dataset_option, *sizes]).replace("/", "_")

    def identity(self) -> dict[str, Any]:
        """What makes two configurations the same; where the files lie does not."""
        fields = dataclasses.asdict(self)
        del fields["data_dir"]
        return fields


@dataclasses.dataclass(frozen=True)
class NoiseConfig:
    """The label noise."""

    noise: float = 0.4
    """Share of labels flipped. A data set with noisy labels of its own keeps those."""
    noise_kind: NoiseKind = "symmetric"
    """How labels are flipped."""
    exact: bool = False
    """Flip exactly this share of each class, or cluster, instead of each label independently."""

    def __post_init__(self):
        check_fraction("noise", self.noise)
        check_choice("noise_kind", self.noise_kind, get_args(NoiseKind))
        if self.exact and self.noise_kind == "instance_dependent":
            raise ValueError(
                "exact must be off for instance_dependent noise: rates differ by input"
            )

    def run_name(self, dataset: "Dataset") -> str:
        """Kind and rate, for a folder's name."""
        if dataset.label_noise is not None:
            return f"{dataset.label_noise.kind}-labels"
        return f"{self.noise_kind}{self.noise:g}"

    def build(self, rate: float | None = None) -> "LabelNoise":
        """The label noise at ``rate``, by default the configured one."""
        from ntk_air.data.instance_noise import InstanceDependentNoise
        from ntk_air.data.noise import PairFlipNoise, SymmetricNoise

        rate = self.noise if rate is None else rate
        if self.noise_kind == "instance_dependent":
            return InstanceDependentNoise(rate)
        kind = SymmetricNoise if self.noise_kind == "symmetric" else PairFlipNoise
        return kind(rate, exact=self.exact)

    def draws(self, dataset: "Dataset", *, seeds: list[int]) -> "list[Dataset]":
        """One data set for each seed; a set with noisy labels of its own is the only draw."""
        if dataset.label_noise is not None:
            return [dataset]
        return [dataset.with_label_noise(self.build(), seed=seed) for seed in seeds]


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The run."""

    out: Path | None = None
    """Folder of the run; by default runs/EXPERIMENT/ and a name made of the configuration."""
    seed: int = 0
    """First seed: of the subset, the network and the label noise."""
    seeds: int = 5
    """Number of seeds of the label noise; numbers are means with their spread."""
    precision: Precision = "float64"
    """Precision of kernels and spectra."""
    max_memory: str = "8GiB"
    """Memory the run may use; a job that needs more is refused before it starts."""
    smoke: bool = False
    """A small version that ends within seconds, with the overview as its only figure."""
    force: bool = False
    """Compute anew, replacing what the folder holds of this experiment."""

    def __post_init__(self):
        check_seed("seed", self.seed)
        check_whole_number("seeds", self.seeds, minimum=1)

        try:
            parse_bytes(self.max_memory)
        except ValueError as error:
            raise ValueError(f"max_memory: {error}") from error

    def noise_seeds(self) -> list[int]:
        """The seeds of the label noise."""
        return list(range(self.seed, self.seed + self.seeds))

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same."""
        return {name: getattr(self, name) for name in ("seed", "seeds", "precision", "smoke")}


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """What every experiment can be told; each adds its own options."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    noise: NoiseConfig = dataclasses.field(default_factory=NoiseConfig)
    kernel: KernelConfig = dataclasses.field(default_factory=KernelConfig)
    run: RunConfig = dataclasses.field(default_factory=RunConfig)

    def smoke(self) -> "ExperimentConfig":
        """The same configuration, small enough to end within seconds."""
        return self

    def begin(self) -> None:
        """Do what must be done before JAX is asked for anything: nothing by default."""

    def load(self) -> "Dataset":
        """The data set as the kernel takes it, with clean labels unless it has noisy ones."""
        return self.kernel.prepare(self.data.load(seed=self.run.seed))

    def identity(self) -> dict[str, Any]:
        """What makes two configurations the same."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: part.identity()
            if isinstance(part, DataConfig | RunConfig | KernelConfig)
            else dataclasses.asdict(part)
            if isinstance(part, NoiseConfig)
            else part
            for name, part in parts.items()
        }

    def run_name(self, dataset: "Dataset") -> str:
        """A readable name, for the default folder."""
        noise = self.noise.run_name(dataset)
        return f"{self.data.run_name()}-{noise}-{self.kernel.run_name()}"
