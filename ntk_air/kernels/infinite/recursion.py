"""The recursion of fully connected networks over their layers, element by element."""

from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air.kernels.infinite.activations.by_name import Activation
from ntk_air.kernels.infinite.angles import angle_gaps
from ntk_air.kernels.infinite.elementwise import Elementwise
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair

BiasInitialisation: TypeAlias = Literal["normal", "zeros"]


class Recipe(NamedTuple):
    """What of an architecture makes a new program; the variances do not."""

    activation: Activation
    depth: int
    biases: BiasInitialisation | None
    kernel: str


class Layer(NamedTuple):
    """Pre-activations of a layer, and the tangent kernel of all before and in it."""

    pair: GaussianPair
    ntk: Elementwise

    def kernel(self, recipe: Recipe) -> Elementwise:
        """The kernel that the recipe asks for."""
        return self.ntk if recipe.kernel == "ntk" else self.pair.covariance


Variances: TypeAlias = tuple[Elementwise, Elementwise] | Float[Array, " two"]
"""Of weights and of biases."""


def input_pair(
    x1: Float[Array, "n1 d"], x2: Float[Array, "n2 d"], *, symmetric: bool
) -> GaussianPair:
    """The inner products of inputs, not yet divided by the number of features."""
    # In one sum, so that equal rows have equal norms to the last bit, whatever their number.
    inputs = jnp.concatenate([x1, x2])
    norms = jnp.sum(inputs * inputs, axis=1)
    gaps = angle_gaps(x1, x2, symmetric=symmetric)
    return GaussianPair.from_gaps(norms[: len(x1), None], norms[len(x1) :], *gaps)


def first_layer(recipe: Recipe, variances: Variances, pair: GaussianPair, n_features: int) -> Layer:
    """The layer that reads the inputs."""
    weight, bias = variances
    pair = pair.affine(weight / n_features, bias if recipe.biases == "normal" else None)
    return Layer(pair, pair.covariance + (bias if recipe.biases == "zeros" else 0.0))


def next_layer(recipe: Recipe, variances: Variances, layer: Layer) -> Layer:
    """The layer behind an activation."""
    weight, bias = variances
    dual = recipe.activation.dual(layer.pair)
    pair = dual.post.affine(weight, bias if recipe.biases == "normal" else None)
    added = bias if recipe.biases == "zeros" else 0.0
    return Layer(pair, pair.covariance + added + weight * dual.derivative_product * layer.ntk)


def last_layer(recipe: Recipe, variances: Variances, pair: GaussianPair, n_features: int) -> Layer:
    """The recursion in ``DenseNTK``."""
    layer = first_layer(recipe, variances, pair, n_features)

    # A loop, not one program for all layers: that would hold arrays for each of them.
    def step(layer: Layer, _: None) -> tuple[Layer, None]:
        return next_layer(recipe, variances, layer), None

    return jax.lax.scan(step, layer, length=recipe.depth - 1)[0]
