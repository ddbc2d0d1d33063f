"""A name for each of some ``neural_tangents.stax`` networks: ``build_stax_kernel("conv_gap")``.

All use ReLU and the NTK parametrisation. ``weight_variance`` σ_w² and ``bias_variance`` σ_b² hold
for every layer; σ_w² = 2 keeps a signal's variance from layer to layer.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from ntk_air._base.checks import check_at_least, check_choice, check_positive
from ntk_air.kernels.stax.adapter import KernelName, StaxKernel
from ntk_air.kernels.stax.compat import load_neural_tangents

VECTORS = (("features",), ("length", "channels"), ("height", "width", "channels"))
"""Inputs of any of these layouts, which the network flattens."""

IMAGES = (("height", "width", "channels"),)
SEQUENCES_OR_IMAGES = (("length", "channels"), ("height", "width", "channels"))

_ANY = 1
"""The width that a layer is given: at infinite width it has no effect."""


def stax_architecture_names() -> dict[str, str]:
    """Each name that ``build_stax_kernel`` knows, with a line that describes it."""
    return {
        name: (inspect.getdoc(build) or "").splitlines()[0]
        for name, (build, _) in _ARCHITECTURES.items()
    }


def build_stax_kernel(
    name: str,
    *,
    get: KernelName = "ntk",
    depth: int | None = None,
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
) -> StaxKernel:
    """The kernel of the infinitely wide network of that name.

    Args:
        name: one of ``stax_architecture_names()``.
        get: ``"ntk"`` or ``"nngp"``.
        depth: what is repeated in this network, counted as its description says; by default
            what its description names.
        weight_variance: σ_w² of every layer.
        bias_variance: σ_b² of every layer.

    Raises:
        ImportError: neural-tangents cannot be used: see ``load_neural_tangents``.
        ValueError: an unknown name or ``get``; a depth that is not a whole number above 0, a
            variance that is negative or not finite, σ_w² = 0.
    """
    check_choice("name", name, tuple(_ARCHITECTURES))
    build, input_axes = _ARCHITECTURES[name]
    check_positive("weight_variance", weight_variance)
    check_at_least("bias_variance", bias_variance, 0)
    if depth is not None and (int(depth) != depth or depth < 1):
        raise ValueError(f"depth must be a whole number, at least 1; got {depth!r}")
    layers = _Layers(load_neural_tangents().stax, weight_variance**0.5, bias_variance**0.5)
    network = build(layers) if depth is None else build(layers, int(depth))
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
