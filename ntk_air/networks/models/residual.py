"""Residual convolutional networks of finite width."""

import equinox as eqx
from jaxtyping import Array, Float

from ntk_air._base.checks import as_number, check_whole_number
from ntk_air._base.kinds import kind
from ntk_air._base.typing import AnyArray
from ntk_air.networks.models.layers import (
    FiniteNetwork,
    LayerParameters,
    check_images,
    convolution,
)


@kind("residual_network")
class ResidualNetwork(FiniteNetwork):
    """A convolution, residual blocks of two more, global average pooling and a dense layer.

    With C a 3 × 3 convolution (He et al. 2016, arXiv 1603.05027, full pre-activation, without
    normalisation):

        u⁰ = C(x),  u^{l+1} = u^l + C(φ(C(φ(u^l)))),  f = Dense(mean_p φ(u^L(p))).

    In NTK parametrisation m products that add up to an output are scaled by √σ_w²/√m and biases by
    √σ_b²; with ReLU the empirical NTK then tends, as the channels grow, to that of
    ``StaxNTK("resnet", depth=blocks)``.

    Args:
        channels: number of channels of every convolution.
        blocks: number of residual blocks.
        n_out: number of outputs.
        activation: nonlinearity φ: a name, an ``Activation``, or any callable.
        parametrisation: ``"ntk"`` or ``"standard"``.
        weight_variance: variance σ_w² of every layer's weights; ``None`` is 1/E[φ(z)²]:
            a block then doubles a signal's variance.
        bias_variance: variance σ_b² of every layer's biases; 0 is a network without biases.

    Raises:
        ValueError: for counts below 1, an unknown parametrisation or activation, and a variance
            that is not finite or is negative.

    >>> import jax
    >>> import ntk_air as na
    >>> network = na.networks.ResidualNetwork(8, blocks=1, n_out=3)
    >>> params = network.init(jax.random.key(0), 1)
    >>> network.apply(params, jax.random.normal(jax.random.key(1), (2, 6, 6, 1))).shape
    (2, 3)
    """

    channels: int = eqx.field(converter=as_number)
    blocks: int = eqx.field(default=1, converter=as_number)

    def __check_init__(self):
        for name in ("channels", "blocks"):
            check_whole_number(name, getattr(self, name), minimum=1)

    def weight_shapes(self, n_features: int) -> list[tuple[int, ...]]:
        """The first convolution's filters, two for each block, the dense layer's matrix."""
        width = self.channels
        filters = [(3, 3, n_features, width), *[(3, 3, width, width)] * (2 * self.blocks)]
        return [*filters, (width, self.n_out)]

    def apply(
        self, params: LayerParameters, x: Float[AnyArray, "n *features"]
    ) -> Float[Array, "n n_out"]:
        """The outputs, (n, n_out), of images (n, height, width, channels).

        Raises:
            ValueError: inputs that are no images, or of another number of channels.
        """
        check_images(x, params[0])
        scales = self.scales
        first, *inner, last = params
        stream = scales.outputs(first, x, convolution)
        for pair in zip(inner[::2], inner[1::2], strict=True):
            branch = stream
            for layer in pair:
                branch = scales.outputs(layer, self.activation(branch), convolution)
            stream = stream + branch
        return scales.outputs(last, self.activation(stream).mean(axis=(1, 2)))
