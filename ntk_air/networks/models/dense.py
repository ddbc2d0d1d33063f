"""Fully connected networks of finite width, whose limit is ``DenseNTK``."""

import itertools

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from ntk_air._base.checks import check_at_least
from ntk_air._base.kinds import kind
from ntk_air._base.precision import Precision
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.activations.by_name import ActivationLike
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.networks.models.layers import LayerParameters, LayerScales, Parametrisation


@kind("dense_network")
class DenseNetwork(eqx.Module):
    """A fully connected network, ``init`` and ``apply`` of plain parameters.

    In NTK parametrisation a layer with m inputs computes √σ_w²/√m · hW + √σ_b² b, as in
    ``DenseNTK``: the empirical NTK tends to that of ``architecture`` as the widths grow.
    In standard parametrisation the same functions at initialisation have another kernel: see
    ``LayerScales``.

    Attributes:
        widths: the widths of the hidden layers, the one next to the input first.
        n_out: the number of outputs.
        architecture: depth, activation and variances.
        scales: parametrisation and variances.
    """

    widths: tuple[int, ...]
    n_out: int
    architecture: DenseNTK
    scales: LayerScales

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
        """Describe a network; arguments that are not attributes are ``DenseNTK``'s.

        Raises:
            ValueError: a width or ``n_out`` below 1, an unknown parametrisation, or what
                ``DenseNTK`` refuses.
        """
        for index, width in enumerate(widths):
            check_at_least(f"widths[{index}]", width, 1)
        check_at_least("n_out", n_out, 1)
        self.widths = tuple(widths)
        self.n_out = n_out
        self.architecture = DenseNTK(
            depth=len(widths) + 1,
            activation=activation,
            weight_variance=weight_variance,
            bias_variance=bias_variance,
        )
        self.scales = LayerScales(
            parametrisation, self.architecture.weight_variance, self.architecture.bias_variance
        )

    @property
    def parametrisation(self) -> Parametrisation:
        """``"ntk"`` or ``"standard"``."""
        return self.scales.parametrisation

    def init(
        self,
        key: PRNGKeyArray | Shaped[AnyArray, "2"],
        n_features: int,
        *,
        precision: Precision | None = None,
    ) -> LayerParameters:
        """Draw parameters.

        Args:
            key: the random key.
            n_features: the number of values in one input, all axes together.
            precision: of the parameters; by default JAX's own, float64 where it is switched on.

        Raises:
            ValueError: ``n_features`` below 1, or float64 while JAX runs in 32 bits.
        """
        check_at_least("n_features", n_features, 1)
        sizes = (n_features, *self.widths, self.n_out)
        shapes = list(itertools.pairwise(sizes))
        return self.scales.draw(key, shapes, precision=precision)

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
        for index, layer in enumerate(params):
            if index > 0:
                hidden = self.architecture.activation(hidden)
            hidden = self.scales.outputs(layer, hidden)
        return hidden
