"""Convolutional networks of finite width, whose limit is ``ConvolutionalNTK``."""

import equinox as eqx
from jaxtyping import Array, Float

from ntk_air._base.checks import as_number, check_whole_number, listed
from ntk_air._base.kinds import kind
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK
from ntk_air.networks.models.layers import (
    FiniteNetwork,
    LayerParameters,
    check_images,
    convolution,
)


@kind("convolutional_network")
class ConvolutionalNetwork(FiniteNetwork):
    """A convolutional network of finite width with global average pooling.

    Blocks of 3 × 3 convolutions, each followed by the activation, 2 × 2 average pooling between
    blocks, global average pooling and a dense layer. In NTK parametrisation m products that add up
    to an output are scaled by √σ_w²/√m and biases by √σ_b², so that the empirical NTK tends to
    ``architecture`` as the channels grow (Arora et al. 2019, arXiv 1904.11955, section 4); in
    standard parametrisation the scales are those of the draw.

    Args:
        channels: number of channels of every convolution.
        blocks: number of convolutions in each block; one fewer poolings. (2,) is two convolutions
            and no pooling but the global one.
        n_out: number of outputs.
        activation: nonlinearity φ: a name, an ``Activation``, or any callable.
        parametrisation: ``"ntk"`` or ``"standard"``.
        weight_variance: variance σ_w² of every layer's weights; ``None`` is 1/E[φ(z)²],
            which keeps the variance of a unit signal from layer to layer: 2 for ReLU.
        bias_variance: variance σ_b² of every layer's biases; 0 is a network without biases.

    Raises:
        ValueError: for ``channels`` or ``n_out`` below 1, blocks that are not whole numbers of
            convolutions, an unknown parametrisation or activation, and a variance that is not
            finite or is negative.

    >>> import jax
    >>> import ntk_air as na
    >>> network = na.networks.ConvolutionalNetwork(8, (1, 1), n_out=3)
    >>> params = network.init(jax.random.key(0), 1)
    >>> network.apply(params, jax.random.normal(jax.random.key(1), (2, 6, 6, 1))).shape
    (2, 3)
    """

    channels: int = eqx.field(converter=as_number)
    blocks: tuple[int, ...] = eqx.field(default=(2,), converter=listed("blocks"))

    def __check_init__(self):
        check_whole_number("channels", self.channels, minimum=1)
        _ = self.architecture  # refuses blocks that are none

    @property
    def architecture(self) -> ConvolutionalNTK:
        """The network's limit of infinite width: its kernel in NTK parametrisation."""
        return ConvolutionalNTK(
            self.blocks,
            activation=self.activation,
            weight_variance=self.weight_variance,
            bias_variance=self.bias_variance,
        )

    def weight_shapes(self, n_features: int) -> list[tuple[int, ...]]:
        """Filters (3, 3, channels, channels), then the dense layer's matrix."""
        width = self.channels
        filters = [(3, 3, n_features, width)]
        filters += [(3, 3, width, width)] * (sum(self.blocks) - 1)
        return [*filters, (width, self.n_out)]

    def apply(
        self, params: LayerParameters, x: Float[AnyArray, "n *features"]
    ) -> Float[Array, "n n_out"]:
        """The outputs, (n, n_out), of images (n, height, width, channels).

        Raises:
            ValueError: inputs that are no images, of another number of channels than the
                parameters, or of a size that cannot be pooled.
        """
        check_images(x, params[0], n_poolings=len(self.blocks) - 1)
        scales, hidden, convolutions = self.scales, x, iter(params[:-1])
        for index, n_convolutions in enumerate(self.blocks):
            if index > 0:
                hidden = _pooled(hidden)
            for _ in range(n_convolutions):
                made = scales.outputs(next(convolutions), hidden, convolution)
                hidden = self.activation(made)
        return scales.outputs(params[-1], hidden.mean(axis=(1, 2)))


def _pooled(images: Float[AnyArray, "n height width channels"]) -> Float[Array, "n h w channels"]:
    """Means of 2 × 2 pixels."""
    n, height, width, channels = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
