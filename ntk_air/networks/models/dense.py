"""Fully connected networks of finite width, whose limit is ``DenseNTK``."""

import itertools

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.checks import check_whole_number, listed
from ntk_air._base.kinds import kind
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.networks.models.layers import FiniteNetwork, LayerParameters


@kind("dense_network")
class DenseNetwork(FiniteNetwork):
    """A fully connected network of finite width, as ``init`` and ``apply`` of plain parameters.

    In NTK parametrisation a layer with m inputs computes √σ_w²/√m · hW + √σ_b² b (Jacot, Gabriel,
    Hongler 2018, section 3), so that the empirical NTK tends to ``architecture`` as the widths
    grow. In standard parametrisation it computes hW + b with W ~ N(0, σ_w²/m), b ~ N(0, σ_b²): the
    same functions at initialisation, another kernel.

    Args:
        widths: widths of the hidden layers, the one next to the input first.
        n_out: number of outputs.
        activation: nonlinearity φ: a name, an ``Activation``, or any callable.
        parametrisation: ``"ntk"`` or ``"standard"``.
        weight_variance: variance σ_w² of every layer's weights; ``None`` is 1/E[φ(z)²],
            which keeps the variance of a unit signal from layer to layer: 2 for ReLU.
        bias_variance: variance σ_b² of every layer's biases; 0 is a network without biases.

    Raises:
        ValueError: for a width or ``n_out`` below 1, an unknown parametrisation or activation, and
            a variance that is not finite or is negative.

    >>> import jax
    >>> import ntk_air as na
    >>> network = na.networks.DenseNetwork((64, 64), n_out=3)
    >>> params = network.init(jax.random.key(0), 5)
    >>> network.apply(params, jax.random.normal(jax.random.key(1), (8, 5))).shape
    (8, 3)
    """

    widths: tuple[int, ...] = eqx.field(converter=listed("widths"))

    def __check_init__(self):
        for index, width in enumerate(self.widths):
            check_whole_number(f"widths[{index}]", width, minimum=1)

    @property
    def architecture(self) -> DenseNTK:
        """The network's limit of infinite width: its kernel in NTK parametrisation."""
        return DenseNTK(
            depth=len(self.widths) + 1,
            activation=self.activation,
            weight_variance=self.weight_variance,
            bias_variance=self.bias_variance,
        )

    def weight_shapes(self, n_features: int) -> list[tuple[int, ...]]:
        """Matrices (fan_in, fan_out)."""
        return list(itertools.pairwise((n_features, *self.widths, self.n_out)))

    def apply(
        self, params: LayerParameters, x: Float[AnyArray, "n *features"]
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
        scales = self.scales
        for index, layer in enumerate(params):
            if index > 0:
                hidden = self.activation(hidden)
            hidden = scales.outputs(layer, hidden)
        return hidden
