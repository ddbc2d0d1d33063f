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

OWN_FILES = ("csv", "table", "npz", "images")
"""Data sets of one's own, each read from what the option of its name says."""

_FLAGS = ("label_column", "noisy_label_column", "leave_out", "one_hot", "standardise")
"""Options of data sets that are options of commands too."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The data set."""

    dataset: str = "digits"
    """Name in the catalogue (ntk-air datasets lists them): digits, mnist5k, breast_cancer, wine,
    clusters, circle, sphere, mnist, fashion_mnist, cifar10, …; or hf:NAME of a Hugging Face set."""
    csv: Path | None = None
    """A table of your own in place of --dataset: .csv with a header, or .csv.gz."""
    table: Path | None = None
    """A table of your own in place of --dataset: .parquet, .feather, .arrow or .ndjson."""
    npz: Path | None = None
    """Arrays of your own in place of --dataset: inputs (n, ...) and labels (n,)."""
    images: Path | None = None
    """Images of your own in place of --dataset: a folder with a subfolder for each class."""
    label_column: str | None = None
    """Column of labels of a table (label by default)."""
    noisy_label_column: str | None = None
    """Column of noisy labels of a table, if there is one."""
    leave_out: tuple[str, ...] = ()
    """Columns of a table that are no inputs, such as identifiers."""
    one_hot: tuple[str, ...] = ()
    """Columns of categories of a table, each of which becomes an input, 0 or 1."""
    standardise: bool = False
    """Scale each column of numbers of a table by the training part's mean and deviation."""
    resize: int | None = None
    """Height and width that images are resized to, such as 16."""
    data_dir: Path | None = None
    """Folder to look for data sets in, for those that are looked for; else NTK_AIR_DATA and the
    usual places."""
    n_train: int | None = None
    """Training inputs; all that the data set has by default."""
    n_test: int | None = None
    """Held-out inputs; all that the data set has by default."""
    dataset_option: tuple[str, ...] = ()
    """Further options of the data set as NAME=VALUE, such as annotation=worse_label (ntk-air
    datasets NAME lists them); whether something is done, as standardise=yes or standardise=no."""

    def __post_init__(self):
        if len(given := [name for name in OWN_FILES if getattr(self, name) is not None]) > 1:
            raise ValueError(f"{given[1]} must be left out beside {given[0]}; got both")
        if self.resize is not None:
            check_whole_number("resize", self.resize, minimum=1)

    @property
    def source(self) -> tuple[str, str | None]:
        """The name in the catalogue, and what it is read from where an option says so."""
        for name in OWN_FILES:
            if (path := getattr(self, name)) is not None:
                return name, str(path)
        kind, colon, name = self.dataset.partition(":")
        return (kind, name) if colon and kind == "hf" else (self.dataset, None)

    def check_own(self, usual: "DataConfig") -> None:
        """Refuse the name of a data set beside a file of the user's own.

        Args:
            usual: what an entry point has where nothing is asked for.
        """
        name = self.source[0]
        if name in OWN_FILES and self.dataset not in (usual.dataset, name):
            raise ValueError(f"dataset must be left out beside {name}; got {self.dataset!r}")

    def options(self) -> dict[str, Any]:
        """The options of the data set, whichever way they were given.

        Raises:
            ValueError: an option that the data set does not have, one that is given twice, a value
                of another type.
        """
        from ntk_air.data.catalogue import option_types
        from ntk_air.data.options import options_from_text

        (name, path), types = self.source, option_types(self.source[0])
        options = options_from_text("dataset_option", self.dataset_option, types)
        flags = {flag: getattr(self, flag) for flag in _FLAGS if getattr(self, flag)}
        flags |= {} if path is None else {"path": path}
        if self.resize is not None and "image_size" in types:
            flags["image_size"] = self.resize
        for flag, value in flags.items():
            if flag not in types:
                raise ValueError(
                    f"{flag} must be left out for the data set {name!r}, which has the options "
                    f"{list(types)}; got {value!r}"
                )
            if flag in options:
                raise ValueError(f"{flag} must be given once; got it as dataset_option too")
        return options | flags

    def load(self, *, seed: int) -> "Dataset":
        """Load the data set; ``seed`` chooses the subset, or draws a synthetic set."""
        from ntk_air.data.catalogue import is_looked_for, load_dataset

        name, options = self.source[0], self.options()
        dataset = load_dataset(
            name,
            data_dir=self.data_dir if is_looked_for(name) else None,
            n_train=self.n_train,
            n_test=self.n_test,
            seed=seed,
            **options,
        )
        if self.resize is None or "image_size" in options:
            return dataset
        return dataset.resized(self.resize, self.resize)

    def run_name(self) -> str:
        """The data set with its options and sizes, for a folder's name."""
        name, path = self.source
        options = [text for text in self.dataset_option if not text.startswith("path=")]
        named = [name, *options] if path is None else [Path(path).name.split(".")[0] or name]
        sizes = [f"n{self.n_train}"] if self.n_train else []
        side = [f"{self.resize}x{self.resize}"] if self.resize else []
        return "-".join([*named, *side, *sizes]).replace("/", "_")

    def identity(self) -> dict[str, Any]:
        """What makes two configurations the same; where the files lie does not."""
        texts = [text for text in self.dataset_option if not text.startswith("path=")]
        texts += [f"{flag}={getattr(self, flag)}" for flag in _FLAGS if getattr(self, flag)]
        own = {} if self.resize is None else {"resize": self.resize}
        return own | {
            "dataset": self.source[0],
            "n_train": self.n_train,
            "n_test": self.n_test,
            "dataset_option": tuple(texts),
        }


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

    def check_own(self) -> None:
        """Refuse what is given beside data, a kernel or a model of one's own and says another."""
        usual = type(self)()
        self.data.check_own(usual.data)
        self.kernel.check_own(usual.kernel)

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


@dataclasses.dataclass(frozen=True)
class FeaturesConfig(ExperimentConfig):
    """The options of an experiment that takes features in place of the inputs, too."""

    features: str | None = None
    """Features in place of the inputs: efficientnet_lite0, or MODULE:FUNCTION."""
    features_cache: Path | None = None
    """Folder in which features of efficientnet_lite0 are kept for other runs."""

    def __post_init__(self):
        if self.features is not None and self.kernel.kernel_file is not None:
            raise ValueError("features must be left out beside kernel_file; got both")

    def load_features(self, seed: int) -> "Dataset":
        """The data of a seed, with features for inputs where they are asked for."""
        dataset = self.data.load(seed=seed)
        if self.features is None:
            return dataset
        from ntk_air.lab.features import features_from_text

        memory = parse_bytes(self.run.max_memory)
        return dataset.with_inputs(
            features_from_text(self.features, max_memory_bytes=memory, cache=self.features_cache)
        )

    def identity(self) -> dict[str, Any]:
        """What makes two configurations the same; where features are kept does not."""
        parts = super().identity()
        del parts["features_cache"]
        return parts
