"""This project's empirical NTK, measured in a process of its own; and bare matrix products."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import measurement
from benchmarks.empirical_ntk.cases import AS_FUNCTION
from benchmarks.empirical_ntk.networks import NETWORKS
from benchmarks.empirical_ntk.tools import jax_operations as operations
from ntk_air.kernels.empirical import EmpiricalNTK


def answer(
    request: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The kernel of a request's network; times and memory unless only values are wanted."""
    if request["precision"] == "float64":
        jax.config.update("jax_enable_x64", True)
    if request["method"] == "matrix products":
        return matrix_products(request, arrays)
    network = NETWORKS[request["network"]]
    x = arrays.pop("x")
    parameters = {name: jnp.asarray(value) for name, value in arrays.items()}

    def apply_fn(parameters: Any, x: Any) -> Any:
        return network(operations, parameters, x)

    limit = request["max_memory_bytes"]
    as_function = request["method"] == AS_FUNCTION
    ntk = EmpiricalNTK(apply_fn, parameters, method="auto" if as_function else request["method"])

    def kernel() -> np.ndarray:
        return ntk.evaluate(x, max_memory_bytes=limit)

    if as_function:
        on_device, function = jnp.asarray(x), jax.jit(ntk.as_function(x))

        def kernel() -> np.ndarray:
            return np.asarray(function(parameters, on_device))

    if request["values_only"]:
        return {}, {"kernel": kernel()}
    budget = request["budget_seconds"]
    numbers, values = measurement.measure(kernel, repeats=request["repeats"], budget_seconds=budget)
    plan = ntk.plan(x, max_memory_bytes=limit)
    numbers |= {"chosen": plan.method, "tile": plan.tile}
    return numbers, {"kernel": values}


def matrix_products(
    request: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The products of layer-wise contraction of a dense network, without all that is around them.

    Each pair of inputs once: Gram matrices of the activations of each layer, and of its
    cotangents for all outputs, at the rate that a product of that many rows reaches here.
    """
    n, widths = len(arrays["x"]), request["options"]["widths"]
    n_out = widths[-1]
    terms = [*widths[:-1], *(n_out * width for width in widths[1:])]
    operations_needed = float(n * (n + 1) * sum(terms))
    length = max(terms)
    factor = jax.random.normal(jax.random.key(0), (n, length), arrays["x"].dtype)
    product = jax.jit(lambda a: jnp.matmul(a, a.T, precision=jax.lax.Precision.HIGHEST))

    def rate() -> np.ndarray:
        return np.asarray(product(factor))

    numbers, _ = measurement.measure(rate, repeats=request["repeats"])
    per_second = 2.0 * n * n * length / numbers["seconds"]
    numbers |= {
        "seconds": operations_needed / per_second,
        "operations": operations_needed,
        "operations_per_second": per_second,
        "peak_bytes": None,
    }
    return numbers, {}


if __name__ == "__main__":
    measurement.serve(answer)
