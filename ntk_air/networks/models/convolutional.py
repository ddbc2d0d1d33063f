"""Convolutional networks of finite width, whose limit is ``ConvolutionalNTK``."""

from collections.abc import Sequence

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from ntk_air._base.checks import check_at_least
from ntk_air._base.kinds import kind
from ntk_air._base.precision import Precision
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.activations.by_name import ActivationLike
from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK
from ntk_air.networks.models.layers import (
    LayerParameters,
    LayerScales,
    Parametrisation,
    check_images,
    convolution,
)


@kind("convolutional_network")
class ConvolutionalNetwork(eqx.Module):
    """A convolutional network with global average pooling, ``init`` and ``apply``.

    Blocks of 3 × 3 convolutions, each followed by the activation, 2 × 2 average pooling between
    blocks, global average pooling and a dense layer: the formula is ``ConvolutionalNTK``'s
    and the two parametrisations are ``LayerScales``'. As the channels grow the empirical NTK tends
    to that of ``architecture``.

    Attributes:
        channels: of every convolution.
        n_out: the number of outputs.
        architecture: blocks, activation and variances.
        scales: parametrisation and variances.
    """

    channels: int
    n_out: int
    architecture: ConvolutionalNTK
    scales: LayerScales

    def __init__(
        self,
        channels: int,
        blocks: Sequence[int] = (2,),
        *,
        n_out: int = 1,
        activation: ActivationLike = "relu",
        parametrisation: Parametrisation = "ntk",
        weight_variance: float | None = None,
        bias_variance: float = 0.0,
    ):
        """Describe a network; the other arguments are ``ConvolutionalNTK``'s.

        Raises:
            ValueError: ``channels`` or ``n_out`` below 1, an unknown parametrisation, or what
                ``ConvolutionalNTK`` refuses.
        """
        check_at_least("channels", channels, 1)
        check_at_least("n_out", n_out, 1)
        self.channels, self.n_out = channels, n_out
        self.architecture = ConvolutionalNTK(
            blocks,
            activation=activation,
            weight_variance=weight_variance,
            bias_variance=bias_variance,
        )
        self.scales = LayerScales(
            parametrisation, self.architecture.weight_variance, self.architecture.bias_variance
        )

    def init(
        self,
        key: PRNGKeyArray | Shaped[AnyArray, "2"],
        n_channels: int,
        *,
        precision: Precision | None = None,
    ) -> LayerParameters:
        """Draw parameters: filters (3, 3, channels, channels), then the dense layer's.

        Args:
            key: the random key.
            n_channels: of the images.
            precision: of the parameters; by default JAX's own, float64 where it is switched on.

        Raises:
            ValueError: ``n_channels`` below 1, or float64 while JAX runs in 32 bits.
        """
        check_at_least("n_channels", n_channels, 1)
        width = self.channels
        filters = [(3, 3, n_channels, width)]
        filters += [(3, 3, width, width)] * (sum(self.architecture.blocks) - 1)
        return self.scales.draw(key, [*filters, (width, self.n_out)], precision=precision)

    def apply(
        self, params: LayerParameters, x: Float[AnyArray, "n *features"]
    ) -> Float[Array, "n n_out"]:
        """The outputs, (n, n_out), of images (n, height, width, channels).

        Raises:
            ValueError: inputs that are no images, of another number of channels than the
                parameters, or of a size that cannot be pooled.
        """
        blocks = self.architecture.blocks
        check_images(x, params[0], n_poolings=len(blocks) - 1)
        hidden, convolutions = x, iter(params[:-1])
        for index, n_convolutions in enumerate(blocks):
            if index > 0:
                hidden = _pooled(hidden)
            for _ in range(n_convolutions):
                made = self.scales.outputs(next(convolutions), hidden, convolution)
                hidden = self.architecture.activation(made)
        return self.scales.outputs(params[-1], hidden.mean(axis=(1, 2)))


def _pooled(images: Float[AnyArray, "n height width channels"]) -> Float[Array, "n h w channels"]:
    """Means of 2 × 2 pixels."""
    n, height, width, channels = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
