"""Fully connected networks of finite width, whose limit is ``DenseArchitecture``."""

import math
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from ntk_air.checks import check_at_least, check_choice
from ntk_air.kernels.activations import ActivationLike
from ntk_air.kernels.infinite_width import DenseArchitecture
from ntk_air.precision import Precision, as_precision
from ntk_air.typing import AnyArray

Parametrisation: TypeAlias = Literal["ntk", "standard"]

DenseParameters: TypeAlias = tuple[dict[str, Array], ...]
"""One dictionary a layer: ``weight`` (fan_in, fan_out) and, with biases, ``bias`` (fan_out,)."""


class DenseNetwork(eqx.Module):
    """A fully connected network, ``init`` and ``apply`` of plain parameters.

    In NTK parametrisation (Jacot, Gabriel, Hongler 2018, section 3) all parameters are N(0, 1)
    and a layer with m inputs computes √σ_w²/√m · hW + √σ_b² b, as in ``DenseArchitecture``: the
    empirical NTK tends to that of ``architecture`` as the widths grow. In standard parametrisation
    W ~ N(0, σ_w²/m), b ~ N(0, σ_b²) and a layer computes hW + b: the same functions at
    initialisation, another kernel.

    Attributes:
        widths: the widths of the hidden layers, the one next to the input first.
        n_out: the number of outputs.
        parametrisation: ``"ntk"`` or ``"standard"``.
        architecture: depth, activation and variances.
    """

    widths: tuple[int, ...]
    n_out: int
    parametrisation: Parametrisation
    architecture: DenseArchitecture

    def __init__(
        self,
        widths: tuple[int, ...],
        *,
        n_out: int = 1,
        activation: ActivationLike = "relu",
        parametrisation: Parametrisation = "ntk",
        weight_variance: float | None = None,
        bias_variance: float = 0.0,
    ):
        """Describe a network; arguments that are not attributes are ``DenseArchitecture``'s.

        Raises:
            ValueError: a width or ``n_out`` below 1, an unknown parametrisation, or what
                ``DenseArchitecture`` refuses.
        """
        for index, width in enumerate(widths):
            check_at_least(f"widths[{index}]", width, 1)
        check_at_least("n_out", n_out, 1)
        check_choice("parametrisation", parametrisation, ("ntk", "standard"))
        self.widths = tuple(widths)
        self.n_out = n_out
        self.parametrisation = parametrisation
        self.architecture = DenseArchitecture(
            depth=len(widths) + 1,
            activation=activation,
            weight_variance=weight_variance,
            bias_variance=bias_variance,
        )

    def init(
        self,
        key: PRNGKeyArray | Shaped[AnyArray, "2"],
        n_features: int,
        *,
        precision: Precision | None = None,
    ) -> DenseParameters:
        """Draw parameters.

        Args:
            key: the random key.
            n_features: the number of values in one input, all axes together.
            precision: of the parameters; by default JAX's own, float64 where it is switched on.

        Raises:
            ValueError: ``n_features`` below 1, or float64 while JAX runs in 32 bits.
        """
        check_at_least("n_features", n_features, 1)
        if precision is None:
            dtype = jnp.result_type(float)
        else:
            dtype = as_precision(0.0, precision, what="the network").dtype
        sizes = (n_features, *self.widths, self.n_out)
        layers = []
        for layer_key, fan_in, fan_out in zip(
            jax.random.split(key, len(sizes) - 1), sizes[:-1], sizes[1:], strict=True
        ):
            weight_key, bias_key = jax.random.split(layer_key)
            weight_scale, bias_scale = (
                self._scales(fan_in) if self.parametrisation == "standard" else (1.0, 1.0)
            )
            layer = {
                "weight": weight_scale * jax.random.normal(weight_key, (fan_in, fan_out), dtype)
            }
            if self.architecture.bias_variance > 0:
                layer["bias"] = bias_scale * jax.random.normal(bias_key, (fan_out,), dtype)
            layers.append(layer)
        return tuple(layers)

    def apply(
        self, params: DenseParameters, x: Float[AnyArray, "n *features"]
    ) -> Float[Array, "n n_out"]:
        """The outputs, shape (n, n_out); the axes of an input are flattened.

        Raises:
            ValueError: the inputs have another number of features than the parameters.
        """
        hidden = jnp.reshape(x, (x.shape[0], -1))
        n_features = params[0]["weight"].shape[0]
        if hidden.shape[1] != n_features:
            raise ValueError(
                f"x must have {n_features} features, as params have; got {hidden.shape[1]}"
            )
        for index, layer in enumerate(params):
            weight_scale, bias_scale = (
                self._scales(hidden.shape[1]) if self.parametrisation == "ntk" else (1.0, 1.0)
            )
            if index > 0:
                hidden = self.architecture.activation(hidden)
            hidden = weight_scale * (hidden @ layer["weight"])
            if "bias" in layer:
                hidden = hidden + bias_scale * layer["bias"]
        return hidden

    def _scales(self, fan_in: int) -> tuple[float, float]:
        """The standard deviations of a layer's effective weights and biases."""
        architecture = self.architecture
        return (
            math.sqrt(architecture.weight_variance / fan_in),
            math.sqrt(architecture.bias_variance),
        )
