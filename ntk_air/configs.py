"""Typed configurations of the entry points, and what they build.

Each is a frozen dataclass whose fields become command-line options; the docstring below a field is
its help text.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax

from ntk_air.checks import check_at_least, check_choice, check_fraction
from ntk_air.data.catalogue import load_dataset
from ntk_air.data.dataset import Dataset
from ntk_air.data.instance_noise import InstanceDependentNoise
from ntk_air.data.noise import LabelNoise, PairFlipNoise, SymmetricNoise
from ntk_air.kernels.convolutional import ConvolutionalArchitecture
from ntk_air.kernels.empirical import EmpiricalKernel
from ntk_air.kernels.gram import Kernel
from ntk_air.kernels.infinite_width import DenseArchitecture
from ntk_air.networks.dense import DenseNetwork
from ntk_air.precision import Precision

NoiseKind = Literal["symmetric", "pair_flip", "instance_dependent"]

_NOISES: dict[str, Callable[..., LabelNoise]] = {
    "symmetric": SymmetricNoise,
    "pair_flip": PairFlipNoise,
    "instance_dependent": InstanceDependentNoise,
}

_MYRTLE_DEPTHS = {"myrtle5": 5, "myrtle7": 7, "myrtle10": 10}


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The data set."""

    dataset: str = "digits"
    """Name in the catalogue: digits, mnist5k, breast_cancer, wine, clusters, circle, sphere, mnist,
    fashion_mnist, cifar10, cifar10n, sms_spam, npz, csv, …"""
    data_dir: Path | None = None
    """Folder of data sets read from files; else NTK_AIR_DATA and the usual places."""
    n_train: int | None = None
    """Training inputs; all that the data set has by default."""
    n_test: int | None = None
    """Held-out inputs; all that the data set has by default."""
    dataset_option: tuple[str, ...] = ()
    """Further options of the data set as NAME=VALUE, such as annotation=worse_label."""

    def load(self, *, seed: int) -> Dataset:
        """Load the data set; ``seed`` chooses the subset, or draws a synthetic set."""
        return load_dataset(
            self.dataset,
            data_dir=self.data_dir,
            n_train=self.n_train,
            n_test=self.n_test,
            seed=seed,
            **dict(_parsed(option) for option in self.dataset_option),
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
        check_choice("noise_kind", self.noise_kind, _NOISES)
        if self.exact and self.noise_kind == "instance_dependent":
            raise ValueError(
                "exact must be off for instance_dependent noise: rates differ by input"
            )

    def run_name(self, dataset: Dataset) -> str:
        """Kind and rate, for a folder's name."""
        if dataset.label_noise is not None:
            return f"{dataset.label_noise.kind}-labels"
        return f"{self.noise_kind}{self.noise:g}"

    def build(self, rate: float | None = None) -> LabelNoise:
        """The label noise at ``rate``, by default the configured one."""
        options = {"exact": True} if self.exact else {}
        return _NOISES[self.noise_kind](self.noise if rate is None else rate, **options)

    def draws(self, dataset: Dataset, *, seeds: list[int]) -> list[Dataset]:
        """One data set for each seed; a set with noisy labels of its own is the only draw."""
        if dataset.label_noise is not None:
            return [dataset]
        return [dataset.with_label_noise(self.build(), seed=seed) for seed in seeds]


@dataclasses.dataclass(frozen=True)
class KernelConfig:
    """The kernel."""

    kernel: str = "dense"
    """dense (infinite width), nngp (infinite width, last layer only), empirical (of a random dense
    network of --width), convolutional (infinite width, of --blocks), myrtle5, myrtle7, myrtle10, or
    stax:NAME (an architecture of neural_tangents.stax)."""
    depth: int | None = None
    """Weight layers of a dense network (3 by default), or the depth of a stax architecture."""
    blocks: tuple[int, ...] | None = None
    """3 x 3 convolutions between poolings (convolutional only; 2 and no pooling by default)."""
    activation: str = "relu"
    """Activation of a dense or a convolutional network."""
    weight_variance: float | None = None
    """Variance of the weights; by default what keeps the signal's variance."""
    bias_variance: float = 0.0
    """Variance of the biases."""
    width: int | None = None
    """Width of the hidden layers (empirical only; 512 by default)."""
    normalise: bool = True
    """Scale each input to unit Euclidean norm (dense kernels only)."""

    def __post_init__(self):
        if not self._is_stax:
            known = ("dense", "nngp", "empirical", "convolutional", *_MYRTLE_DEPTHS, "stax:NAME")
            check_choice("kernel", self.kernel, known)
        elif self.activation != "relu":
            raise ValueError(
                f"activation must be 'relu' for stax architectures; got {self.activation!r}"
            )
        if self.width is not None:
            check_at_least("width", self.width, 1)
            if self.kernel != "empirical":
                raise ValueError(
                    f"width belongs to kernel='empirical'; got {self.width} for {self.kernel!r}"
                )
        if self.blocks is not None and self.kernel != "convolutional":
            raise ValueError(
                f"blocks belong to kernel='convolutional'; got {self.blocks} for {self.kernel!r}"
            )
        if self.depth is not None and self._is_convolutional:
            raise ValueError(
                "depth must be left out for convolutional kernels, which have blocks; got "
                f"{self.depth} for {self.kernel!r}"
            )

    @property
    def _is_convolutional(self) -> bool:
        return self.kernel == "convolutional" or self.kernel in _MYRTLE_DEPTHS

    @property
    def _is_stax(self) -> bool:
        return self.kernel.startswith("stax:")

    @property
    def _dense_depth(self) -> int:
        return 3 if self.depth is None else self.depth

    @property
    def _finite_width(self) -> int:
        return 512 if self.width is None else self.width

    def run_name(self) -> str:
        """Kernel and network, for a folder's name."""
        name = self.kernel.replace(":", "_")
        if self._is_stax:
            return name if self.depth is None else f"{name}-depth{self.depth}"
        if self._is_convolutional:
            blocks = "" if self.blocks is None else "-blocks" + "-".join(map(str, self.blocks))
            return f"{name}-{self.activation}{blocks}"
        width = f"-width{self._finite_width}" if self.kernel == "empirical" else ""
        return f"{name}-{self.activation}-depth{self._dense_depth}{width}"

    def prepare(self, dataset: Dataset) -> Dataset:
        """The data set as this kernel takes it."""
        if self._is_stax:
            return dataset
        if self._is_convolutional:
            if dataset.inputs.ndim != 4:
                raise ValueError(
                    f"dataset must hold images (n, height, width, channels) for kernel="
                    f"{self.kernel!r}; got {dataset.name!r} with inputs {dataset.inputs.shape}"
                )
            return dataset
        return dataset.normalised() if self.normalise else dataset.flattened()

    def build(self, dataset: Dataset, *, seed: int, precision: Precision) -> tuple[Kernel, str]:
        """The kernel for inputs of a prepared data set, and its description for a reader."""
        if self._is_stax:
            return self._build_stax()
        variances: dict[str, Any] = {
            "weight_variance": self.weight_variance,
            "bias_variance": self.bias_variance,
        }
        if self._is_convolutional:
            return self._build_convolutional(variances)
        depth = self._dense_depth
        network = f"dense {self.activation}, depth {depth}"
        if self.kernel == "empirical":
            width = self._finite_width
            model = DenseNetwork(
                (width,) * (depth - 1),
                n_out=dataset.n_out,
                activation=self.activation,
                **variances,
            )
            key = jax.random.key(seed)
            params = model.init(key, dataset.inputs.shape[1], precision=precision)
            return EmpiricalKernel(model.apply, params), f"{network}, width {width}"
        architecture = DenseArchitecture(depth=depth, activation=self.activation, **variances)
        if self.kernel == "nngp":
            return architecture.nngp, f"{network}, infinite width, NNGP"
        return architecture, f"{network}, infinite width"

    def _build_convolutional(self, variances: dict[str, Any]) -> tuple[Kernel, str]:
        if self.kernel in _MYRTLE_DEPTHS:
            architecture = ConvolutionalArchitecture.myrtle(
                _MYRTLE_DEPTHS[self.kernel], activation=self.activation, **variances
            )
        else:
            blocks = (2,) if self.blocks is None else self.blocks
            architecture = ConvolutionalArchitecture(
                blocks, activation=self.activation, **variances
            )
        name = f"{self.kernel} {self.activation}, blocks {architecture.blocks}"
        return architecture, f"{name}, infinite width"

    def _build_stax(self) -> tuple[Kernel, str]:
        # neural-tangents takes seconds to import: only where it is asked for.
        from ntk_air.kernels.stax_architectures import build_stax_kernel

        name = self.kernel.removeprefix("stax:")
        variance = 2.0 if self.weight_variance is None else self.weight_variance
        kernel = build_stax_kernel(
            name,
            depth=self.depth,
            weight_variance=variance,
            bias_variance=self.bias_variance,
        )
        depth = "" if self.depth is None else f", depth {self.depth}"
        return kernel, f"stax {name}{depth}, infinite width"


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
    """A small version that ends within seconds."""
    force: bool = False
    """Compute anew, replacing what the folder holds of this experiment."""

    def __post_init__(self):
        check_at_least("seed", self.seed, 0)
        check_at_least("seeds", self.seeds, 1)

    def noise_seeds(self) -> list[int]:
        """The seeds of the label noise."""
        return list(range(self.seed, self.seed + self.seeds))

    def identity(self) -> dict[str, Any]:
        """What makes two runs the same."""
        return {name: getattr(self, name) for name in ("seed", "seeds", "precision", "smoke")}


def _parsed(option: str) -> tuple[str, Any]:
    name, separator, value = option.partition("=")
    if not separator or not name:
        raise ValueError(f"dataset_option must be NAME=VALUE; got {option!r}")
    for convert in (int, float):
        try:
            return name.replace("-", "_"), convert(value)
        except ValueError:
            continue
    return name.replace("-", "_"), {"true": True, "false": False}.get(value.lower(), value)


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

    def load(self) -> Dataset:
        """The data set as the kernel takes it, with clean labels unless it has noisy ones."""
        return self.kernel.prepare(self.data.load(seed=self.run.seed))

    def identity(self) -> dict[str, Any]:
        """What makes two configurations the same."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: part.identity()
            if isinstance(part, DataConfig | RunConfig)
            else dataclasses.asdict(part)
            if isinstance(part, NoiseConfig | KernelConfig)
            else part
            for name, part in parts.items()
        }

    def run_name(self, dataset: Dataset) -> str:
        """A readable name, for the default folder."""
        noise = self.noise.run_name(dataset)
        return f"{self.data.run_name()}-{noise}-{self.kernel.run_name()}"
