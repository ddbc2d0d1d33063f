"""The networks of the benchmark, written once for every tool.

A network is a function of ``operations``, a library's few primitives in that library's own layout
of images; parameters and inputs are NumPy arrays. Imports the standard library and NumPy alone,
for it runs in the environments of peers too.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Parameters = dict[str, Any]
"""Arrays by name. Filters are (height, width, in, out), or as the library wants them."""

N_HEADS = 4


def dense(operations: Any, parameters: Parameters, x: Any) -> Any:
    """Fully connected layers with biases and ReLU."""
    n_layers = len(parameters) // 2
    for layer in range(n_layers):
        x = x @ parameters[f"{layer}.weight"] + parameters[f"{layer}.bias"]
        x = x if layer == n_layers - 1 else operations.relu(x)
    return x


def convolutional(operations: Any, parameters: Parameters, x: Any) -> Any:
    """Three 3 × 3 convolutions, an average pooling behind the first two, global pooling."""
    x = operations.images(x)
    for layer in range(3):
        filters, bias = parameters[f"{layer}.filter"], parameters[f"{layer}.bias"]
        x = operations.relu(operations.add(operations.convolve(x, filters, 1), bias))
        x = x if layer == 2 else operations.average_pool(x)
    return operations.global_mean(x) @ parameters["last.weight"] + parameters["last.bias"]


def residual(operations: Any, parameters: Parameters, x: Any) -> Any:
    """ResNet-18 for small images (He et al. 2016), with LayerNorm over channels for BatchNorm."""

    def normalised(x: Any, name: str) -> Any:
        return operations.layer_norm(x, parameters[f"{name}.scale"], parameters[f"{name}.bias"])

    x = operations.convolve(operations.images(x), parameters["first.filter"], 1)
    x = operations.relu(normalised(x, "first"))
    for block in range(8):
        stride = 2 if block in (2, 4, 6) else 1
        y = operations.convolve(x, parameters[f"{block}.a.filter"], stride)
        y = operations.relu(normalised(y, f"{block}.a"))
        y = normalised(operations.convolve(y, parameters[f"{block}.b.filter"], 1), f"{block}.b")
        if stride == 2:
            x = operations.convolve(x, parameters[f"{block}.skip.filter"], stride)
        x = operations.relu(x + y)
    return operations.global_mean(x) @ parameters["last.weight"] + parameters["last.bias"]


def transformer(operations: Any, parameters: Parameters, x: Any) -> Any:
    """Blocks of attention and a dense layer, LayerNorm in front of each; the mean over tokens."""

    def normalised(x: Any, name: str) -> Any:
        scale, bias = parameters[f"{name}.scale"], parameters[f"{name}.bias"]
        return operations.layer_norm_of_tokens(x, scale, bias)

    def heads(x: Any, weight: Any) -> Any:
        x = x @ weight
        return x.reshape(x.shape[0], x.shape[1], N_HEADS, x.shape[2] // N_HEADS)

    x = x @ parameters["embedding.weight"] + parameters["embedding.position"]
    for block in range(4):
        y = normalised(x, f"{block}.attention")
        query, key, value = (
            heads(y, parameters[f"{block}.{name}.weight"]) for name in ("query", "key", "value")
        )
        scores = operations.einsum("nqhd,nkhd->nhqk", query, key) / math.sqrt(query.shape[-1])
        y = operations.einsum("nhqk,nkhd->nqhd", operations.softmax(scores), value)
        x = x + y.reshape(x.shape) @ parameters[f"{block}.output.weight"]
        y = normalised(x, f"{block}.dense")
        y = operations.relu(y @ parameters[f"{block}.up.weight"] + parameters[f"{block}.up.bias"])
        x = x + y @ parameters[f"{block}.down.weight"] + parameters[f"{block}.down.bias"]
    return normalised(x, "last").mean(1) @ parameters["last.weight"] + parameters["last.offset"]


NETWORKS: dict[str, Callable[[Any, Parameters, Any], Any]] = {
    each.__name__: each for each in (dense, convolutional, residual, transformer)
}


def parameter_shapes(network: str, options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's parameters."""
    if network == "dense":
        return _dense_shapes(options["widths"])
    if network == "convolutional":
        return _convolutional_shapes(options["channels"], options["n_out"])
    if network == "residual":
        return _residual_shapes(options["width"], options["n_out"])
    return _transformer_shapes(options["n_tokens"], options["features"], options["width"])


def random_parameters(
    network: str, options: Mapping[str, Any], generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Standard parameters that keep the size of activations; biases and scales off 0 and 1."""
    parameters = {}
    for name, shape in parameter_shapes(network, options).items():
        draw = generator.standard_normal(shape)
        kind = name.rpartition(".")[2]
        if kind in ("weight", "filter"):
            parameters[name] = draw * math.sqrt(2 / math.prod(shape[:-1]))
        else:
            parameters[name] = 0.1 * draw + (kind == "scale")
    return parameters


def _dense_shapes(widths: list[int]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
        shapes |= {f"{layer}.weight": (fan_in, fan_out), f"{layer}.bias": (fan_out,)}
    return shapes


def _convolutional_shapes(channels: list[int], n_out: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(channels)):
        shapes |= {f"{layer}.filter": (3, 3, fan_in, fan_out), f"{layer}.bias": (fan_out,)}
    return shapes | {"last.weight": (channels[-1], n_out), "last.bias": (n_out,)}


def _residual_shapes(width: int, n_out: int) -> dict[str, tuple[int, ...]]:
    def normalised(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
        return {
            f"{name}.filter": shape,
            f"{name}.scale": (shape[-1],),
            f"{name}.bias": (shape[-1],),
        }

    shapes = normalised("first", 3, 3, 3, width)
    channels = width
    for block in range(8):
        fan_out = width * 2 ** (block // 2)
        shapes |= normalised(f"{block}.a", 3, 3, channels, fan_out)
        shapes |= normalised(f"{block}.b", 3, 3, fan_out, fan_out)
        if fan_out != channels:
            shapes[f"{block}.skip.filter"] = (1, 1, channels, fan_out)
        channels = fan_out
    return shapes | {"last.weight": (channels, n_out), "last.bias": (n_out,)}


def _transformer_shapes(n_tokens: int, features: int, width: int) -> dict[str, tuple[int, ...]]:
    def norm(name: str) -> dict[str, tuple[int, ...]]:
        return {f"{name}.scale": (width,), f"{name}.bias": (width,)}

    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (features, width),
        "embedding.position": (n_tokens, width),
    }
    for block in range(4):
        square = ("query", "key", "value", "output")
        shapes |= {f"{block}.{name}.weight": (width, width) for name in square}
        shapes |= norm(f"{block}.attention") | norm(f"{block}.dense")
        shapes |= {f"{block}.up.weight": (width, 4 * width), f"{block}.up.bias": (4 * width,)}
        shapes |= {f"{block}.down.weight": (4 * width, width), f"{block}.down.bias": (width,)}
    return shapes | norm("last") | {"last.weight": (width, 10), "last.offset": (10,)}
