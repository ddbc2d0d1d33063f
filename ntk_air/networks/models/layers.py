"""Layers of finite networks: how their parameters are drawn and scaled, alike in every model."""

import abc
import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from ntk_air._base.checks import (
    as_float,
    as_number,
    check_at_least,
    check_choice,
    check_positive,
    check_whole_number,
)
from ntk_air._base.kinds import kind
from ntk_air._base.precision import Precision, as_precision
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.activations.by_name import Activation, as_activation

Parametrisation: TypeAlias = Literal["ntk", "standard"]

Layer: TypeAlias = dict[str, Array]
"""``weight`` (…, fan_in, fan_out) and, with biases, ``bias`` (fan_out,)."""

LayerParameters: TypeAlias = tuple[Layer, ...]
"""One dictionary a layer, the one next to the input first."""

Product: TypeAlias = Callable[[AnyArray, Array], Array]
"""``product(hidden, weight)``, linear in both."""


@kind("layer_scales")
class LayerScales(eqx.Module):
    """σ_w² and σ_b² of every layer, and where they stand.

    In NTK parametrisation (Jacot, Gabriel, Hongler 2018, section 3) all parameters are N(0, 1) and
    a layer in which m products add up to each output computes √σ_w²/√m · hW + √σ_b² b. In standard
    parametrisation W ~ N(0, σ_w²/m), b ~ N(0, σ_b²) and a layer computes hW + b: the same functions
    at initialisation, another kernel.

    Args:
        parametrisation: ``"ntk"`` or ``"standard"``.
        weight_variance: variance σ_w² of the weights.
        bias_variance: variance σ_b² of the biases; at 0 there are none.

    Raises:
        ValueError: for an unknown parametrisation, or a variance that is not finite or is negative.
    """

    parametrisation: Parametrisation
    weight_variance: float
    bias_variance: float

    def __check_init__(self):
        check_choice("parametrisation", self.parametrisation, ("ntk", "standard"))
        check_positive("weight_variance", self.weight_variance)
        check_at_least("bias_variance", self.bias_variance, 0)

    def draw(
        self,
        key: PRNGKeyArray | Shaped[AnyArray, "2"],
        shapes: list[tuple[int, ...]],
        *,
        precision: Precision | None,
    ) -> LayerParameters:
        """Parameters of layers with weights of these shapes; m is all of a shape but its last axis.

        Raises ``ValueError`` for float64 while JAX runs in 32 bits.
        """
        if precision is None:
            dtype = jnp.result_type(float)
        else:
            dtype = as_precision(0.0, precision, what="the network").dtype
        layers = []
        for layer_key, shape in zip(jax.random.split(key, len(shapes)), shapes, strict=True):
            weight_key, bias_key = jax.random.split(layer_key)
            scales = self._of(shape) if self.parametrisation == "standard" else (1.0, 1.0)
            layer = {"weight": scales[0] * jax.random.normal(weight_key, shape, dtype)}
            if self.bias_variance > 0:
                layer["bias"] = scales[1] * jax.random.normal(bias_key, shape[-1:], dtype)
            layers.append(layer)
        return tuple(layers)

    def outputs(self, layer: Layer, hidden: AnyArray, product: Product = jnp.matmul) -> Array:
        """What a layer makes of its inputs, by its product with the weight."""
        weight = layer["weight"]
        scales = self._of(weight.shape) if self.parametrisation == "ntk" else (1.0, 1.0)
        made = scales[0] * product(hidden, weight)
        return made + scales[1] * layer["bias"] if "bias" in layer else made

    def _of(self, shape: tuple[int, ...]) -> tuple[float, float]:
        """The standard deviations of a layer's effective weights and biases."""
        fan_in = math.prod(shape[:-1])
        return math.sqrt(self.weight_variance / fan_in), math.sqrt(self.bias_variance)


class FiniteNetwork(eqx.Module):
    """What networks of finite width share: their layers' scales, and how parameters are drawn.

    Attributes:
        n_out: number of outputs.
        activation: nonlinearity φ: a name, an ``Activation``, or any callable.
        parametrisation: ``"ntk"`` or ``"standard"``.
        weight_variance: variance σ_w² of every layer's weights; ``None`` is 1/E[φ(z)²],
            which keeps the variance of a unit signal from layer to layer: 2 for ReLU.
        bias_variance: variance σ_b² of every layer's biases; 0 is a network without biases.
    """

    n_out: int = eqx.field(default=1, converter=as_number, kw_only=True)
    activation: Activation = eqx.field(default="relu", converter=as_activation, kw_only=True)
    parametrisation: Parametrisation = eqx.field(default="ntk", kw_only=True)
    weight_variance: float | None = eqx.field(default=None, kw_only=True)
    bias_variance: float = eqx.field(default=0.0, converter=as_float, kw_only=True)

    def __check_init__(self):
        check_whole_number("n_out", self.n_out, minimum=1)
        _ = self.scales  # refuses an unknown parametrisation and variances that are none

    @property
    def scales(self) -> LayerScales:
        """Parametrisation and variances, by which parameters are drawn and applied."""
        variance = self.weight_variance
        if variance is None:
            variance = 1 / self.activation.unit_second_moment()
        return LayerScales(self.parametrisation, as_float(variance), self.bias_variance)

    @abc.abstractmethod
    def weight_shapes(self, n_features: int) -> list[tuple[int, ...]]:
        """The shapes of all layers' weights, the one next to the input first."""

    @abc.abstractmethod
    def apply(
        self, params: LayerParameters, x: Float[AnyArray, "n *features"]
    ) -> Float[Array, "n n_out"]:
        """The outputs, (n, n_out)."""

    def init(
        self,
        key: PRNGKeyArray | Shaped[AnyArray, "2"],
        n_features: int,
        *,
        precision: Precision | None = None,
    ) -> LayerParameters:
        """Draw parameters, one dictionary for each layer.

        Args:
            key: PRNG key of the draw.
            n_features: number of features of an input: the channels of an image, or all values of
                an input that a dense network flattens.
            precision: precision of the parameters, ``"float32"`` or ``"float64"``; ``None`` is
                JAX's own, float64 where it is switched on.

        Returns:
            The parameters, the layer next to the input first.

        Raises:
            ValueError: ``n_features`` below 1, or float64 while JAX runs in 32 bits.
        """
        check_whole_number("n_features", n_features, minimum=1)
        return self.scales.draw(key, self.weight_shapes(n_features), precision=precision)


def convolution(
    images: Float[AnyArray, "n height width channels"], filters: Float[Array, "3 3 channels more"]
) -> Float[Array, "n height width more"]:
    """A 3 × 3 convolution of stride 1, padded with zeros so that it keeps the size."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        jnp.asarray(images), filters, (1, 1), "SAME", dimension_numbers=layout
    )


def check_images(
    x: Float[AnyArray, "n *features"], first_layer: Layer, *, n_poolings: int = 0
) -> None:
    """Require images of as many channels as the parameters are for, of a size to be pooled."""
    n_channels = first_layer["weight"].shape[2]
    if x.ndim != 4 or x.shape[3] != n_channels:
        raise ValueError(
            f"x must be images (n, height, width, {n_channels}), as params have channels; "
            f"got shape {x.shape}"
        )
    if any(side % 2**n_poolings for side in x.shape[1:3]):
        raise ValueError(
            f"x must have a height and a width divisible by {2**n_poolings}, for {n_poolings} "
            f"poolings of 2 × 2; got {x.shape[1]} × {x.shape[2]}"
        )
