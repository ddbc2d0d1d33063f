"""This project's convolutional kernels, measured in a process of their own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import measurement
from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK


def answer(
    request: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The NTK between all pairs of the images."""
    if request["precision"] == "float64":
        jax.config.update("jax_enable_x64", True)
    x = jnp.asarray(arrays["x"])
    kernel = ConvolutionalNTK(request["blocks"])
    numbers, values = measurement.measure(
        lambda: np.asarray(kernel(x)),
        repeats=request["repeats"],
        budget_seconds=request["budget_seconds"],
    )
    return numbers, {"kernel": values}


if __name__ == "__main__":
    measurement.serve(answer)
