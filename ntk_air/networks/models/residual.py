"""Residual convolutional networks of finite width."""

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from ntk_air._base.checks import check_at_least, check_positive
from ntk_air._base.kinds import kind
from ntk_air._base.precision import Precision
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.activations.by_name import Activation, ActivationLike, as_activation
from ntk_air.networks.models.layers import (
    LayerParameters,
    LayerScales,
    Parametrisation,
    check_images,
    convolution,
)


@kind("residual_network")
class ResidualNetwork(eqx.Module):
    """A convolution, residual blocks of two more, global average pooling and a dense layer.

    With C a 3 × 3 convolution as ``LayerScales`` scales it (He et al. 2016, arXiv 1603.05027,
    full pre-activation, without normalisation):

        u⁰ = C(x),  u^{l+1} = u^l + C(φ(C(φ(u^l)))),  f = Dense(mean_p φ(u^L(p))).

    With ReLU in NTK parametrisation the empirical NTK tends, as the channels grow, to that of
    ``build_stax_kernel("resnet", depth=blocks)``.

    Attributes:
        channels: of every convolution.
        blocks: the number of residual blocks.
        n_out: the number of outputs.
        activation: φ.
        scales: parametrisation and variances.
    """

    channels: int
    blocks: int
    n_out: int
    activation: Activation
    scales: LayerScales

    def __init__(
        self,
        channels: int,
        blocks: int = 1,
        *,
        n_out: int = 1,
        activation: ActivationLike = "relu",
        parametrisation: Parametrisation = "ntk",
        weight_variance: float | None = None,
        bias_variance: float = 0.0,
    ):
        """Describe a network.

        Args:
            channels: of every convolution.
            blocks: the number of residual blocks.
            n_out: the number of outputs.
            activation: a name, an ``Activation``, or any callable.
            parametrisation: ``"ntk"`` or ``"standard"``.
            weight_variance: σ_w² of every layer; by default 1/E[φ(z)²], as in
                ``ConvolutionalNTK``: a block then doubles a signal's variance.
            bias_variance: σ_b² of every layer; 0 is a network without biases.

        Raises:
            ValueError: counts below 1, a variance that is not finite or is negative, an unknown
                parametrisation or activation.
        """
        counts = {"channels": channels, "blocks": blocks, "n_out": n_out}
        for name, count in counts.items():
            check_at_least(name, count, 1)
        self.channels, self.blocks, self.n_out = channels, blocks, n_out
        self.activation = as_activation(activation)
        if weight_variance is None:
            weight_variance = 1 / self.activation.unit_second_moment()
        check_positive("weight_variance", weight_variance)
        check_at_least("bias_variance", bias_variance, 0)
        self.scales = LayerScales(parametrisation, float(weight_variance), float(bias_variance))

    def init(
        self,
        key: PRNGKeyArray | Shaped[AnyArray, "2"],
        n_channels: int,
        *,
        precision: Precision | None = None,
    ) -> LayerParameters:
        """Draw parameters: the first convolution's, two for each block, the dense layer's.

        Args:
            key: the random key.
            n_channels: of the images.
            precision: of the parameters; by default JAX's own, float64 where it is switched on.

        Raises:
            ValueError: ``n_channels`` below 1, or float64 while JAX runs in 32 bits.
        """
        check_at_least("n_channels", n_channels, 1)
        width = self.channels
        filters = [(3, 3, n_channels, width), *[(3, 3, width, width)] * (2 * self.blocks)]
        return self.scales.draw(key, [*filters, (width, self.n_out)], precision=precision)

    def apply(
        self, params: LayerParameters, x: Float[AnyArray, "n *features"]
    ) -> Float[Array, "n n_out"]:
        """The outputs, (n, n_out), of images (n, height, width, channels).

        Raises:
            ValueError: inputs that are no images, or of another number of channels.
        """
        check_images(x, params[0])
        first, *inner, last = params
        stream = self.scales.outputs(first, x, convolution)
        for pair in zip(inner[::2], inner[1::2], strict=True):
            branch = stream
            for layer in pair:
                branch = self.scales.outputs(layer, self.activation(branch), convolution)
            stream = stream + branch
        return self.scales.outputs(last, self.activation(stream).mean(axis=(1, 2)))
