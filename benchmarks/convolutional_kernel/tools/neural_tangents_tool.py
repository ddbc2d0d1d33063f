"""The same kernels by neural-tangents: on its own JAX, or on this project's through its shim."""

import sys
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import measurement


def answer(
    request: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The NTK between all pairs of the images, jitted."""
    if request["precision"] == "float64":
        jax.config.update("jax_enable_x64", True)
    stax = _stax(own_jax=request["own_jax"])
    blocks = [
        layer
        for n_convolutions in request["blocks"]
        for layer in (
            *(stax.Conv(1, (3, 3), padding="SAME", W_std=2**0.5), stax.Relu()) * n_convolutions,
            stax.AvgPool((2, 2), (2, 2)),
        )
    ][:-1]
    _, _, kernel_fn = stax.serial(*blocks, stax.GlobalAvgPool(), stax.Dense(1, W_std=2**0.5))
    x = jnp.asarray(arrays["x"])
    kernel = jax.jit(lambda x: kernel_fn(x, None, "ntk"))

    with jax.numpy_dtype_promotion("standard"):
        numbers, values = measurement.measure(
            lambda: np.asarray(kernel(x)),
            repeats=request["repeats"],
            budget_seconds=request["budget_seconds"],
        )
    return numbers, {"kernel": values}


def _stax(*, own_jax: bool) -> Any:
    if not own_jax:
        from ntk_air.kernels.stax.compat import load_neural_tangents

        return load_neural_tangents().stax
    # The real one imports TensorFlow.
    sys.modules["neural_tangents.experimental"] = types.ModuleType("experimental")
    from neural_tangents import stax

    return stax


if __name__ == "__main__":
    measurement.serve(answer)
