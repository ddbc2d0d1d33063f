"""The empirical NTK by torch.func: per-example Jacobians by vmap of jacrev, contracted.

As in PyTorch's own tutorial on neural tangent kernels, with the mean over outputs taken in the
contraction.
"""

from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.func import jacrev, vmap  # pyright: ignore[reportMissingImports]

from benchmarks.common import measurement
from benchmarks.empirical_ntk.networks import NETWORKS


class Operations:
    """What the networks are made of, with PyTorch's order of axes."""

    relu = staticmethod(torch.relu)
    einsum = staticmethod(torch.einsum)

    @staticmethod
    def softmax(x: Any) -> Any:
        return torch.softmax(x, -1)

    @staticmethod
    def images(x: Any) -> Any:
        return x.permute(0, 3, 1, 2)

    @staticmethod
    def add(x: Any, bias: Any) -> Any:
        return x + bias[:, None, None]

    @staticmethod
    def convolve(x: Any, filters: Any, stride: int) -> Any:
        padding = (filters.shape[-1] - 1) // 2
        return torch.nn.functional.conv2d(x, filters, stride=stride, padding=padding)

    @staticmethod
    def average_pool(x: Any) -> Any:
        return torch.nn.functional.avg_pool2d(x, 2)

    @staticmethod
    def global_mean(x: Any) -> Any:
        return x.mean((2, 3))

    @staticmethod
    def layer_norm(x: Any, scale: Any, bias: Any) -> Any:
        by_pixel = x.movedim(1, -1)
        normalised = torch.nn.functional.layer_norm(by_pixel, scale.shape, scale, bias, 1e-5)
        return normalised.movedim(-1, 1)

    @staticmethod
    def layer_norm_of_tokens(x: Any, scale: Any, bias: Any) -> Any:
        return torch.nn.functional.layer_norm(x, scale.shape, scale, bias, 1e-5)


def answer(
    request: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The kernel of a request's network."""
    network = NETWORKS[request["network"]]
    x = torch.from_numpy(arrays.pop("x"))
    parameters = {name: torch.from_numpy(_ordered(name, a)) for name, a in arrays.items()}

    def of_one(parameters: Any, example: Any) -> Any:
        return network(Operations, parameters, example[None])[0]

    jacobians = vmap(jacrev(of_one), (None, 0))

    def kernel() -> np.ndarray:
        with torch.no_grad():
            leaves = [leaf.flatten(2) for leaf in jacobians(parameters, x).values()]
            parts = [torch.einsum("iap,jap->ij", leaf, leaf) for leaf in leaves]
            return (sum(parts) / leaves[0].shape[1]).numpy()

    numbers, values = measurement.measure(
        kernel, repeats=request["repeats"], budget_seconds=request["budget_seconds"]
    )
    return numbers, {"kernel": values}


def _ordered(name: str, array: np.ndarray) -> np.ndarray:
    """Filters as PyTorch has them, (out, in, height, width)."""
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if name.endswith("filter") else array


if __name__ == "__main__":
    measurement.serve(answer)
