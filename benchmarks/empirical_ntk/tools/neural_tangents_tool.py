"""neural-tangents' empirical NTK, measured in the environment of its own JAX."""

import sys
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.common import measurement
from benchmarks.empirical_ntk.networks import NETWORKS
from benchmarks.empirical_ntk.tools import jax_operations as operations

# A stand-in for the part that needs TensorFlow, before the import that would look for it (E402).
sys.modules["neural_tangents.experimental"] = types.ModuleType("experimental")

import neural_tangents as nt  # noqa: E402

IMPLEMENTATIONS = {
    "jacobian contraction": 1,
    "NTK-vector products": 2,
    "structured derivatives": 3,
    "structured derivatives, default axes": 3,
}


def answer(
    request: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The kernel by one implementation, jitted.

    In the form for networks without batch effects, ``vmap_axes=0``, which a caller must ask for;
    of the fastest implementation also in the form that is its default.
    """
    network = NETWORKS[request["network"]]
    x = jnp.asarray(arrays.pop("x"))
    parameters = {name: jnp.asarray(value) for name, value in arrays.items()}

    def apply_fn(params: Any, inputs: Any, **_: Any) -> Any:
        return network(operations, params, inputs)

    kernel_fn = jax.jit(
        nt.empirical_ntk_fn(
            apply_fn,
            trace_axes=(-1,),
            vmap_axes=None if request["method"].endswith("default axes") else 0,
            implementation=nt.NtkImplementation(IMPLEMENTATIONS[request["method"]]),
        )
    )

    def kernel() -> np.ndarray:
        return np.asarray(kernel_fn(x, None, parameters))

    numbers, values = measurement.measure(
        kernel, repeats=request["repeats"], budget_seconds=request["budget_seconds"]
    )
    return numbers, {"kernel": values}


if __name__ == "__main__":
    measurement.serve(answer)
