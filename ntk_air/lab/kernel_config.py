"""The kernel as an option of every entry point, and what it builds: imported when it is built."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ntk_air._base.checks import check_at_least, check_choice, check_positive, check_whole_number

if TYPE_CHECKING:
    from ntk_air._base.precision import Precision
    from ntk_air.data.dataset import Dataset
    from ntk_air.kernels.protocols import Kernel
    from ntk_air.networks.models.convolutional import ConvolutionalNetwork
    from ntk_air.networks.models.dense import DenseNetwork
    from ntk_air.networks.models.residual import ResidualNetwork

_MYRTLE_DEPTHS = {"myrtle5": 5, "myrtle7": 7, "myrtle10": 10}

_FINITE_WIDTHS = {"empirical": 512, "empirical_convolutional": 64, "empirical_residual": 64}
"""Kernels of networks of finite width, with their default widths."""

_KNOWN = ("dense", "nngp", *_FINITE_WIDTHS, "convolutional", *_MYRTLE_DEPTHS)

_OF_OWN = ("kernel", "kernel_file", "model", "cast", "flat")
"""Options that a kernel or model of one's own has; all others are of this package's kernels."""


@dataclasses.dataclass(frozen=True)
class KernelConfig:
    """The kernel."""

    kernel: str = "dense"
    """dense (infinite width), nngp (infinite width, last layer only), empirical,
    empirical_convolutional, empirical_residual (of a random network of --width), convolutional
    (infinite width, of --blocks), myrtle5, myrtle7, myrtle10, stax:NAME (an architecture of
    neural_tangents.stax), or MODULE:FUNCTION of your own, function(x1, x2=None)."""
    depth: int | None = None
    """Weight layers of a dense network (3 by default), blocks of a residual one (1 by default), or
    the depth of a stax architecture."""
    blocks: tuple[int, ...] | None = None
    """3 x 3 convolutions between poolings (convolutional kernels; 2 and no pooling by default)."""
    activation: str = "relu"
    """Activation of the network."""
    parametrisation: Literal["ntk", "standard"] = "ntk"
    """Of a network of finite width."""
    weight_variance: float | None = None
    """Variance of the weights; by default what keeps the signal's variance."""
    bias_variance: float = 0.0
    """Variance of the biases."""
    width: int | None = None
    """Width of the hidden layers (empirical only; 512 by default), or channels (64 by default)."""
    normalise: bool = True
    """Scale each input to unit Euclidean norm (dense kernels only)."""
    kernel_file: Path | None = None
    """A kernel matrix of your own in place of --kernel: .npy, (n, n) between all rows of the data
    in their order; or .npz with kernel and, for a test part of the data's own, cross_kernel."""
    model: str | None = None
    """A model of your own in place of --kernel, whose empirical NTK is taken: MODULE:FUNCTION,
    which builds it (flax, equinox, or a function with its parameters)."""
    cast: bool = False
    """Convert a kernel or model of your own to --precision, where it has another."""
    flat: bool = False
    """Hand inputs to a kernel or model of your own as vectors; else in the shape that they have."""

    def __post_init__(self):
        if self.kernel_file is not None and self.model is not None:
            raise ValueError("model must be left out beside kernel_file; got both")
        for name in ("cast", "flat"):
            if getattr(self, name) and not self.is_own:
                raise ValueError(
                    f"{name} must be left out but for a kernel or model of your own; got it for "
                    f"kernel={self.kernel!r}"
                )
        if self.is_own:
            return  # an entry point knows which options were asked for: check_own
        if not self._is_stax:
            check_choice("kernel", self.kernel, (*_KNOWN, "stax:NAME", "MODULE:FUNCTION"))
        elif self.activation != "relu":
            raise ValueError(
                f"activation must be 'relu' for stax architectures; got {self.activation!r}"
            )
        if self.width is not None:
            check_whole_number("width", self.width, minimum=1)
            if not self.is_finite:
                raise ValueError(
                    f"width belongs to kernel='empirical'; got {self.width} for {self.kernel!r}"
                )
        if self.depth is not None:
            check_whole_number("depth", self.depth, minimum=1)
        for block in self.blocks or ():
            check_whole_number("blocks", block, minimum=1)
        if self.weight_variance is not None:
            check_positive("weight_variance", self.weight_variance)
        check_at_least("bias_variance", self.bias_variance, 0)
        if self.parametrisation != "ntk" and not self.is_finite:
            raise ValueError(
                f"parametrisation must be 'ntk' at infinite width; got {self.parametrisation!r} "
                f"for {self.kernel!r}"
            )
        if self.blocks is not None and not self.kernel.endswith("convolutional"):
            raise ValueError(
                f"blocks belong to kernel='convolutional'; got {self.blocks} for {self.kernel!r}"
            )
        if self.depth is not None and self._has_blocks:
            raise ValueError(
                "depth must be left out for convolutional kernels, which have blocks; got "
                f"{self.depth} for {self.kernel!r}"
            )

    @classmethod
    def from_text(cls, text: str) -> "KernelConfig":
        """The kernel of a text such as dense:erf:3, empirical:relu:standard, stax:resnet,
        MODULE:FUNCTION or model:MODULE:FUNCTION.

        The kernel, then in any order its activation, its depth and its parametrisation; the rest is
        as by default.
        """
        if text.startswith("stax:"):
            return cls(text)
        kernel, *parts = text.split(":")
        if kernel == "model":
            return cls(model=":".join(parts))
        if kernel not in _KNOWN and len(parts) == 1:
            return cls(text)
        options: dict[str, Any] = {}
        for part in parts:
            if part.isascii() and part.isdigit():
                name, value = "depth", int(part)
            else:
                is_scale = part in ("ntk", "standard")
                name, value = "parametrisation" if is_scale else "activation", part
            if name in options:
                raise ValueError(f"kernel must name its {name} once; got {text!r}")
            options[name] = value
        return cls(kernel, **options)

    @property
    def is_finite(self) -> bool:
        """Whether the kernel is of a network of finite width."""
        return self.kernel in _FINITE_WIDTHS and not self.is_own

    @property
    def is_own(self) -> bool:
        """Whether the kernel, or the model that it is of, is the user's own."""
        return self.kernel_file is not None or self.model is not None or self._is_function

    @property
    def is_of_one_dataset(self) -> bool:
        """Whether the kernel may be had for the inputs of one data set alone."""
        return self.kernel_file is not None or self.model is not None

    @property
    def own_name(self) -> str | None:
        """The option that names a kernel or model of one's own, as errors show it."""
        if self.kernel_file is not None:
            return f"kernel_file={str(self.kernel_file)!r}"
        if self.model is not None:
            return f"model={self.model!r}"
        return f"kernel={self.kernel!r}" if self._is_function else None

    def check_own(self, usual: "KernelConfig") -> None:
        """Refuse options of this package's kernels beside one of the user's own.

        Args:
            usual: what an entry point has where nothing is asked for.
        """
        if not self.is_own:
            return
        free = _OF_OWN if self._is_function else _OF_OWN[1:]
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in free and value != getattr(usual, field.name):
                raise ValueError(
                    f"{field.name} must be left out beside {self.own_name}, which has its own; "
                    f"got {value!r}"
                )

    def require_any_inputs(self, what: str) -> None:
        """Refuse a kernel that is known for the inputs of one data set alone.

        Args:
            what: what needs others, as an error names it.
        """
        if self.is_of_one_dataset:
            raise ValueError(
                f"{what} takes the kernel on other inputs too, which {self.own_name} may not "
                "have; --kernel MODULE:FUNCTION has any"
            )

    def identity(self) -> dict[str, Any]:
        """What makes two kernels the same: of one's own, the code or the numbers."""
        fields = dataclasses.asdict(self)
        if not self.is_own:
            return {name: value for name, value in fields.items() if name not in _OF_OWN[1:]}
        from ntk_air.lab.own_code import code_identity
        from ntk_air.lab.own_kernels import file_identity

        if self.kernel_file is not None:
            content = file_identity("kernel_file", self.kernel_file)
            return {"kernel_file": content, "cast": self.cast}
        option = "kernel" if self.model is None else "model"
        text = getattr(self, option)
        code = code_identity(option, text)
        return {option: text, "code": code, "cast": self.cast, "flat": self.flat}

    @property
    def takes_images(self) -> bool:
        """Whether inputs must keep the shape of images."""
        return self._has_blocks or (self.kernel == "empirical_residual" and not self.is_own)

    @property
    def _has_blocks(self) -> bool:
        has = self.kernel.endswith("convolutional") or self.kernel in _MYRTLE_DEPTHS
        return has and not self.is_own

    @property
    def _is_stax(self) -> bool:
        return self.kernel.startswith("stax:")

    @property
    def _is_function(self) -> bool:
        return ":" in self.kernel and not self._is_stax

    @property
    def _dense_depth(self) -> int:
        return 3 if self.depth is None else self.depth

    @property
    def _finite_width(self) -> int:
        return _FINITE_WIDTHS[self.kernel] if self.width is None else self.width

    def run_name(self) -> str:
        """Kernel and network, for a folder's name."""
        if self.kernel_file is not None:
            return self.kernel_file.stem
        if self.is_own:
            return (self.model or self.kernel).replace(":", "_").replace("/", "_")
        name = self.kernel.replace(":", "_")
        if self._is_stax:
            return name if self.depth is None else f"{name}-depth{self.depth}"
        width = f"-width{self._finite_width}" if self.is_finite else ""
        if self.parametrisation != "ntk":
            width += f"-{self.parametrisation}"
        if self._has_blocks:
            blocks = "" if self.blocks is None else "-blocks" + "-".join(map(str, self.blocks))
            return f"{name}-{self.activation}{blocks}{width}"
        depth = (self.depth or 1) if self.takes_images else self._dense_depth
        return f"{name}-{self.activation}-depth{depth}{width}"

    def prepare(self, dataset: "Dataset") -> "Dataset":
        """The data set as this kernel takes it."""
        if self.is_own:
            return dataset.flattened() if self.flat else dataset
        if self._is_stax:
            return dataset
        if self.takes_images:
            if dataset.inputs.ndim != 4:
                raise ValueError(
                    f"dataset must hold images (n, height, width, channels) for kernel="
                    f"{self.kernel!r}; got {dataset.name!r} with inputs {dataset.inputs.shape}"
                )
            return dataset
        return dataset.normalised() if self.normalise else dataset.flattened()

    def build(
        self, dataset: "Dataset", *, seed: int, precision: "Precision"
    ) -> "tuple[Kernel, str]":
        """The kernel for inputs of a prepared data set, and its description for a reader."""
        if self.is_own:
            return self._build_own(dataset, seed=seed, precision=precision)
        if self._is_stax:
            return self._build_stax()
        variances = self._variances
        if self.is_finite:
            return self._build_empirical(dataset, seed=seed, precision=precision)
        if self._has_blocks:
            return self._build_convolutional(variances)
        from ntk_air.kernels.infinite.dense import DenseNTK

        depth = self._dense_depth
        network = f"dense {self.activation}, depth {depth}"
        architecture = DenseNTK(depth=depth, activation=self.activation, **variances)
        if self.kernel == "nngp":
            return architecture.nngp, f"{network}, infinite width, NNGP"
        return architecture, f"{network}, infinite width"

    def network(
        self, dataset: "Dataset"
    ) -> "DenseNetwork | ConvolutionalNetwork | ResidualNetwork":
        """The network of finite width whose kernel this is, with an output for each target.

        Raises ``ValueError`` for a kernel of infinite width.
        """
        if not self.is_finite:
            raise ValueError(
                f"kernel must be one of {', '.join(_FINITE_WIDTHS)} to have a network; "
                f"got {self.own_name or repr(self.kernel)}"
            )
        width = self._finite_width
        options: dict[str, Any] = self._variances | {
            "n_out": dataset.n_out,
            "activation": self.activation,
            "parametrisation": self.parametrisation,
        }
        if self.kernel == "empirical_convolutional":
            from ntk_air.networks.models.convolutional import ConvolutionalNetwork

            return ConvolutionalNetwork(width, self.blocks or (2,), **options)
        if self.kernel == "empirical_residual":
            from ntk_air.networks.models.residual import ResidualNetwork

            return ResidualNetwork(width, 1 if self.depth is None else self.depth, **options)
        from ntk_air.networks.models.dense import DenseNetwork

        return DenseNetwork((width,) * (self._dense_depth - 1), **options)

    def _build_own(
        self, dataset: "Dataset", *, seed: int, precision: "Precision"
    ) -> "tuple[Kernel, str]":
        from ntk_air.lab import own_kernels

        if self.kernel_file is not None:
            kernel = own_kernels.file_kernel(
                self.kernel_file, dataset, precision=precision, cast=self.cast
            )
            return kernel, f"matrix of one's own, {self.kernel_file.name}"
        if self.model is not None:
            kernel = own_kernels.model_kernel(
                self.model, dataset, seed=seed, precision=precision, cast=self.cast
            )
            return kernel, f"empirical NTK of {self.model}"
        return own_kernels.FunctionKernel.named(self.kernel, cast=self.cast), self.kernel

    @property
    def _variances(self) -> dict[str, Any]:
        return {"weight_variance": self.weight_variance, "bias_variance": self.bias_variance}

    def _build_empirical(
        self, dataset: "Dataset", *, seed: int, precision: "Precision"
    ) -> "tuple[Kernel, str]":
        import jax

        from ntk_air.kernels.empirical import EmpiricalNTK

        network = self.network(dataset)
        # Features of a vector, or channels of an image.
        params = network.init(jax.random.key(seed), dataset.inputs.shape[-1], precision=precision)
        kind = self.kernel.removeprefix("empirical").removeprefix("_") or "dense"
        size = f"depth {self._dense_depth}, width" if kind == "dense" else "channels"
        name = f"{kind} {self.activation}, {size} {self._finite_width}"
        if self.parametrisation != "ntk":
            name += f", {self.parametrisation} parametrisation"
        return EmpiricalNTK(network.apply, params), name

    def _build_convolutional(self, variances: dict[str, Any]) -> "tuple[Kernel, str]":
        from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK

        if self.kernel in _MYRTLE_DEPTHS:
            architecture = ConvolutionalNTK.myrtle(
                _MYRTLE_DEPTHS[self.kernel], activation=self.activation, **variances
            )
        else:
            blocks = (2,) if self.blocks is None else self.blocks
            architecture = ConvolutionalNTK(blocks, activation=self.activation, **variances)
        name = f"{self.kernel} {self.activation}, blocks {architecture.blocks}"
        return architecture, f"{name}, infinite width"

    def _build_stax(self) -> "tuple[Kernel, str]":
        from ntk_air.kernels.stax.architectures import StaxNTK

        name = self.kernel.removeprefix("stax:")
        variance = 2.0 if self.weight_variance is None else self.weight_variance
        kernel = StaxNTK(
            name,
            depth=self.depth,
            weight_variance=variance,
            bias_variance=self.bias_variance,
        )
        depth = "" if self.depth is None else f", depth {self.depth}"
        return kernel, f"stax {name}{depth}, infinite width"
