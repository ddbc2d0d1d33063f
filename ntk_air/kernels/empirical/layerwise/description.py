"""What layer-wise contraction does with each parameter, said on request."""

from typing import Literal

import equinox as eqx
import jax

from ntk_air.kernels.empirical.layerwise.contraction import TileSizes, cheaper_order
from ntk_air.kernels.empirical.layerwise.plan import Factors, plan_layers
from ntk_air.kernels.empirical.layerwise.rules import ProductRule
from ntk_air.kernels.empirical.methods import Tile, output_cotangents
from ntk_air.kernels.empirical.network import Network, parameter_names

Route = Literal["gram", "explicit", "gradient", "jacobian", "none"]


class ParameterContraction(eqx.Module):
    """What layer-wise contraction does with one parameter.

    Attributes:
        name: the parameter's path in ``params``.
        route: ``"gram"`` multiplies inner products of activations and of cotangents,
            ``"explicit"`` forms gradients from them, ``"gradient"`` takes the gradient of a value
            that is no factor of a product, such as a bias. ``"jacobian"`` is the fallback, the
            parameter's plain Jacobian. ``"none"``: it has no influence. Parts of a parameter that
            are used apart can differ; then the last of these words that applies counts.
        uses: the primitives that it enters, or why its Jacobian is taken.
    """

    name: str
    route: Route
    uses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.route} ({', '.join(self.uses) or 'unused'})"


def describe_parameters(network: Network, tile: Tile) -> tuple[ParameterContraction, ...]:
    """What happens to each parameter in a tile."""
    x1, x2, outputs, n_out = tile
    plan = plan_layers(network, jax.ShapeDtypeStruct(x1.shape[1:], x1.dtype))
    n_kept = len(output_cotangents(outputs, n_out, x1.dtype))
    sizes = TileSizes(x1.shape[0], (x1 if x2 is None else x2).shape[0], n_kept, outputs == "full")
    described = []
    for leaf, name in enumerate(parameter_names(network)):
        groups = [factors for factors in plan.factors if factors.leaf == leaf]
        if leaf in plan.explicit:
            described.append(ParameterContraction(name, "jacobian", (plan.explicit[leaf],)))
            continue
        kinds: list[Route] = ["none", *(_kind(factors, sizes) for factors in groups)]
        uses = tuple(use.primitive for factors in groups for use in factors.uses)
        described.append(ParameterContraction(name, max(kinds, key=_ORDER.index), uses))
    return tuple(described)


_ORDER: tuple[Route, ...] = ("none", "gram", "explicit", "gradient", "jacobian")


def _kind(factors: Factors, sizes: TileSizes) -> Route:
    if any(isinstance(use.rule, ProductRule) for use in factors.uses):
        return cheaper_order(factors, sizes)
    return "gradient"
