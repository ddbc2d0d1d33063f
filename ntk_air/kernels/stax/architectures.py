"""A name for each of some ``neural_tangents.stax`` networks: ``StaxNTK("conv_gap")``."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_at_least, check_choice, check_positive, check_whole_number
from ntk_air._base.kinds import kind
from ntk_air._base.progress import Progress
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.stax.adapter import KernelName, StaxKernel
from ntk_air.kernels.stax.compat import load_neural_tangents

VECTORS = (("features",), ("length", "channels"), ("height", "width", "channels"))
"""Inputs of any of these layouts, which the network flattens."""

IMAGES = (("height", "width", "channels"),)
SEQUENCES_OR_IMAGES = (("length", "channels"), ("height", "width", "channels"))

_Inputs1 = Float[AnyArray, "n1 *features1"]
_Inputs2 = Float[AnyArray, "n2 *features2"]

_ANY = 1
"""The width that a layer is given: at infinite width it has no effect."""


def stax_architecture_names() -> dict[str, str]:
    """Each name that ``StaxNTK`` knows, with a line that describes it."""
    return {
        name: (inspect.getdoc(build) or "").splitlines()[0]
        for name, (build, _) in _ARCHITECTURES.items()
    }


@kind("stax_ntk")
class StaxNTK(eqx.Module):
    """The kernel of a ``neural_tangents.stax`` network of infinite width, known by a name.

    The networks, all with ReLU and in NTK parametrisation: ``"dense"``, ``"layernorm"``,
    ``"conv"``, ``"conv_gap"``, ``"resnet"``, ``"attention"``; ``stax_architecture_names()``
    describes them (Novak et al. 2020, "Neural Tangents"). Needs the extra ``neural-tangents``.
    A network of your own, the ``kernel_fn`` of ``stax.serial(…)``, is a ``StaxKernel``.

    Args:
        name: Name of the network.
        get: ``"ntk"``, or ``"nngp"``: the covariance of the outputs at initialisation.
        depth: Number of repetitions of what is repeated in this network, counted as its
            description says; ``None`` is the number that its description names.
        weight_variance: Variance σ_w² of the weights of every layer; 2 keeps a signal's variance
            from layer to layer.
        bias_variance: Variance σ_b² of the biases of every layer; 0 is a network without biases.

    Raises:
        ImportError: neural-tangents is missing, or JAX is of a series that it was never seen to
            work on.
        ValueError: An unknown name or ``get``; a depth that is not a whole number above 0, a
            variance that is negative or not finite, σ_w² = 0.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> kernel = na.StaxNTK("conv_gap", depth=1)
        >>> images = np.random.default_rng(0).normal(size=(3, 4, 4, 1)).astype(np.float32)
        >>> na.gram_matrix(kernel, images, max_memory_bytes=10_000_000).shape
        (3, 3)
    """

    name: str = eqx.field(static=True)
    get: KernelName = eqx.field(static=True)
    depth: int | None = eqx.field(static=True)
    weight_variance: float = eqx.field(static=True)
    bias_variance: float = eqx.field(static=True)

    def __init__(
        self,
        name: str,
        *,
        get: KernelName = "ntk",
        depth: int | None = None,
        weight_variance: float = 2.0,
        bias_variance: float = 0.0,
    ):
        check_choice("name", name, tuple(_ARCHITECTURES))
        check_positive("weight_variance", weight_variance)
        check_at_least("bias_variance", bias_variance, 0)
        self.name, self.get = name, get
        self.depth = None if depth is None else check_whole_number("depth", depth, minimum=1)
        self.weight_variance, self.bias_variance = float(weight_variance), float(bias_variance)
        self._kernel()  # what cannot be made is refused here

    def __call__(self, x1: _Inputs1, x2: _Inputs2 | None = None) -> Float[Array, "n1 n"]:
        """The kernel between all pairs of inputs, (n1, n2), in their precision, all at once.

        Args:
            x1: Inputs, shape (n1, *features), in the layout that the network takes.
            x2: Inputs with the same features, shape (n2, *features); ``None`` stands for ``x1``.

        Raises:
            ValueError: Inputs that are empty, not finite, not of one floating dtype (float64
                needs JAX to run in 64 bits), of differing features, or of another layout.
        """
        return self._kernel()(x1, x2)

    def assemble(
        self,
        x1: _Inputs1,
        x2: _Inputs2 | None,
        *,
        max_memory_bytes: int | None,
        progress: Progress,
    ) -> Float[np.ndarray, "n1 n"]:
        """The matrix under a bound on memory, for ``gram_matrix``.

        Raises:
            MemoryBudgetError: The result and a tile of one pair of inputs cannot fit.
            ValueError: Inputs that a call refuses.
        """
        return self._kernel().assemble(x1, x2, max_memory_bytes=max_memory_bytes, progress=progress)

    def _kernel(self) -> StaxKernel:
        stax = load_neural_tangents().stax
        layers = _Layers(stax, self.weight_variance**0.5, self.bias_variance**0.5)
        return _kernel_of(layers, self.name, self.get, self.depth)


@functools.cache  # so that a network compiles once
def _kernel_of(layers: "_Layers", name: str, get: KernelName, depth: int | None) -> StaxKernel:
    build, input_axes = _ARCHITECTURES[name]
    network = build(layers) if depth is None else build(layers, depth)
    _, _, kernel_fn = layers.stax.serial(*network)
    return StaxKernel(kernel_fn, get=get, input_axes=input_axes)


class _Layers(NamedTuple):
    """The layers of ``stax`` with the deviations that hold for the entire network."""

    stax: Any
    weight_std: float
    bias_std: float

    def dense(self) -> Any:
        return self.stax.Dense(_ANY, self.weight_std, self.bias_std)

    def conv(self) -> Any:
        """3 × 3, of one output pixel per input pixel."""
        return self.stax.Conv(
            _ANY, (3, 3), padding="SAME", W_std=self.weight_std, b_std=self.bias_std
        )


def _dense(layers: _Layers, depth: int = 3) -> list:
    """Fully connected, of `depth` weight layers (3)."""
    hidden = [layers.dense(), layers.stax.Relu()] * (depth - 1)
    return [layers.stax.Flatten(), *hidden, layers.dense()]


def _layer_norm(layers: _Layers, depth: int = 3) -> list:
    """Fully connected, of `depth` weight layers (3), normalised before each ReLU."""
    stax = layers.stax
    hidden = [layers.dense(), stax.LayerNorm(), stax.Relu()] * (depth - 1)
    return [stax.Flatten(), *hidden, layers.dense()]


def _conv(layers: _Layers, depth: int = 2) -> list:
    """`depth` 3 × 3 convolutions (2), flattened into a dense layer."""
    return [*_convolutions(layers, depth), layers.stax.Flatten(), layers.dense()]


def _conv_gap(layers: _Layers, depth: int = 2) -> list:
    """`depth` 3 × 3 convolutions (2), averaged over all pixels into a dense layer."""
    return [*_convolutions(layers, depth), layers.stax.GlobalAvgPool(), layers.dense()]


def _convolutions(layers: _Layers, depth: int) -> list:
    return [layers.conv(), layers.stax.Relu()] * depth


def _resnet(layers: _Layers, depth: int = 1) -> list:
    """A convolution and `depth` residual blocks (1) of two, averaged into a dense layer."""
    stax = layers.stax
    branch = stax.serial(stax.Relu(), layers.conv(), stax.Relu(), layers.conv())
    block = stax.serial(stax.FanOut(2), stax.parallel(branch, stax.Identity()), stax.FanInSum())
    return [layers.conv(), *[block] * depth, stax.Relu(), stax.GlobalAvgPool(), layers.dense()]


def _attention(layers: _Layers, depth: int = 1) -> list:
    """`depth` softmax attention layers (1) of shared queries and keys, averaged over positions.

    At infinite width this is Hron et al. 2020 (section 4), queries tied to keys, scaled by 1/d.
    """
    stax = layers.stax
    attention = stax.GlobalSelfAttention(
        _ANY,
        n_chan_key=_ANY,
        n_chan_val=_ANY,
        n_heads=1,
        linear_scaling=True,
        W_value_std=layers.weight_std,
        b_std=layers.bias_std,
    )
    blocks = [layers.dense(), stax.Relu(), attention] * depth
    return [*blocks, stax.Relu(), stax.GlobalAvgPool(), layers.dense()]


class _Architecture(NamedTuple):
    build: Callable[..., list]
    input_axes: tuple[tuple[str, ...], ...]


_ARCHITECTURES: dict[str, _Architecture] = {
    "dense": _Architecture(_dense, VECTORS),
    "layernorm": _Architecture(_layer_norm, VECTORS),
    "conv": _Architecture(_conv, IMAGES),
    "conv_gap": _Architecture(_conv_gap, IMAGES),
    "resnet": _Architecture(_resnet, IMAGES),
    "attention": _Architecture(_attention, SEQUENCES_OR_IMAGES),
}
