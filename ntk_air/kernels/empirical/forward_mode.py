"""Whether a network can be differentiated in forward mode."""

from typing import Any

import jax

from ntk_air.kernels.empirical.network import Network
from ntk_air.kernels.empirical.work import primitive_names

_REVERSE_ONLY = "custom_lin"
"""The primitive that JAX writes for the forward derivative that a ``custom_vjp`` does not have."""


@jax.jit
def _forward_derivative(network: Network, x: Any) -> Any:
    at = network.trainable
    return jax.jvp(lambda trainable: network.batch(trainable, x), (at,), (at,))


def has_forward_derivative(network: Network, x: jax.ShapeDtypeStruct) -> bool:
    """Whether no function in the network has a derivative in reverse mode alone.

    JAX itself says so only when it compiles, or not at all before it vectorises.
    """
    traced = _forward_derivative.trace(network, x)
    return _REVERSE_ONLY not in primitive_names(traced.jaxpr.jaxpr)
