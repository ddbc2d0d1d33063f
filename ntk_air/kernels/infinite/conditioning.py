"""What rounding does to a deep kernel, and the refusal where it does too much.

A layer multiplies a small distance 1 − cos θ between inputs by χ = w·E[φ'²]·q/(w·E[φ²] + b). Where
it is above 1, near inputs part, and what rounding left of a tiny distance decides when. The
distance is carried relative to its size, so that only what is not known of it counts: the
difference of the norms, each of which is rounded. Where the layers that follow forget when inputs
parted, that is no harm, and only a derivative of the kernel itself tells.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air.kernels.infinite.activations.piecewise_linear import PiecewiseLinear
from ntk_air.kernels.infinite.elementwise import safe_divide
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair
from ntk_air.kernels.infinite.pixel_covariances import Recipe as ImageRecipe
from ntk_air.kernels.infinite.recursion import (
    Layer,
    Recipe,
    first_layer,
    input_pair,
    next_layer,
)

_PROMISED = {"float32": 1e-5, "float64": 1e-12}
_PAIRS_AT_ONCE = 2**18
_ROUNDINGS_OF_A_NORM = 2
_ROUNDINGS_OF_A_NORM_IN_A_LAYER = 1
_ROUNDINGS_OF_A_SLOPE = 1.5
_ROUNDINGS_OF_A_GAP = 8
_ROUNDINGS_OF_A_GAP_IN_A_LAYER = 2


_Recipe = TypeVar("_Recipe", Recipe, ImageRecipe)


class Probe(NamedTuple):
    """What deep layers make of single inputs, for each of them or the largest of all.

    Attributes:
        variance: the largest variance of a pre-activation.
        spread: the largest factor by which layers multiply a small 1 − cos θ.
        by_norm: relative change of the kernel with itself by that of the input's square norm.
        by_weight: … by that of the weight variance.
        by_slope: … by that of each layer's κ̇, of which a deep tangent kernel is a product.
    """

    variance: Float[Array, ""]
    spread: Float[Array, ""]
    by_norm: Float[Array, " n"]
    by_weight: Float[Array, " n"]
    by_slope: Float[Array, " n"]


@eqx.filter_jit
def probe(recipe: Recipe, variances: Float[Array, " two"], x: Float[Array, "n d"]) -> Probe:
    """Follow each input, its like at a tiny distance, a longer one, heavier weights, steeper φ."""
    dtype, n_features = x.dtype, x.shape[1]
    near = float(jnp.finfo(dtype).tiny) ** 0.5
    more = float(jnp.finfo(dtype).eps) ** 0.5
    norms = jnp.sum(x * x, axis=1)
    rows = np.ones((4, 5))
    rows[0, 2] = rows[1, 3] = rows[2, 4] = 1 + more
    rows[3] = [0, near, 0, 0, 0]
    scales, weights, slopes, gaps = jnp.broadcast_to(
        jnp.asarray(rows, dtype)[:, :, None], (4, 5, len(x))
    )
    heavier = (variances[0] * weights, variances[1])

    def set_near(layer: Layer) -> tuple[Layer, Array]:
        pair = layer.pair
        spread = jnp.log(pair.folded_gap[1] / near).max()
        pair = GaussianPair(
            pair.variance1, pair.variance2, jnp.ones_like(gaps), gaps, pair.same_variance
        )
        return Layer(pair, layer.ntk), spread

    def step(state: tuple[Layer, Array, Array, Array], _: None):
        layer, total, most, variance = state
        variance = jnp.maximum(variance, layer.pair.variance1.max())
        steeper = Layer(layer.pair, slopes * layer.ntk)
        layer, spread = set_near(next_layer(recipe, heavier, steeper))
        total = total + spread
        return (layer, total, jnp.maximum(most, total), variance), None

    pair = GaussianPair(norms * scales, norms * scales, 1 - gaps, gaps, gaps == gaps)
    layer, _ = set_near(first_layer(recipe, heavier, pair, n_features))
    zero = jnp.zeros((), dtype)
    state = (layer, zero, zero, zero)
    (layer, _, most, variance), _ = jax.lax.scan(step, state, length=recipe.depth - 1)
    kernels = jnp.broadcast_to(layer.kernel(recipe), gaps.shape)
    changes = jnp.abs(jnp.log(kernels[2:] / kernels[0])) / more
    changes = jnp.where(kernels[0] > 0, changes, 0)
    return Probe(variance, jnp.exp(most), *changes)


def fitted(
    recipe: _Recipe,
    variances: Array,
    x: Array,
    *,
    probe: Callable[[_Recipe, Array, Array], Probe] = probe,
) -> tuple[_Recipe, Probe | None]:
    """The recipe with an activation that is accurate for these inputs, and what was found of them.

    What is linear on either side of zero needs no look: it takes no inputs apart.

    Raises:
        ValueError: the activation cannot be integrated accurately.
    """
    if isinstance(recipe.activation, PiecewiseLinear):
        return recipe, None
    while True:
        probed = probe(recipe, variances, x)
        activation = recipe.activation.resolving(probed.variance)
        if activation is recipe.activation:
            return recipe, probed
        recipe = recipe._replace(activation=activation)


def check_depth(
    name: str,
    recipe: Recipe | ImageRecipe,
    used: Float[Array, ""],
    weight: float,
    *,
    probed: Probe | None,
) -> None:
    """Refuse a depth whose roundings add up to more than the precision promises.

    Args:
        name: of the inputs.
        recipe: of the kernel.
        used: what every layer multiplies by.
        weight: the same, not rounded.
        probed: what is known of the inputs; ``None`` where layers only multiply.

    Raises:
        ValueError: with the depth and by how much it multiplies roundings.
    """
    dtype = used.dtype
    eps, promised = float(jnp.finfo(dtype).eps), _PROMISED[dtype.name]
    of_weight = abs(float(used) / weight - 1)
    if probed is None:
        by_norm, by_weight, by_slope = 0.0, float(recipe.depth), 0.0
    else:
        by_norm, by_weight, by_slope = (float(np.max(part)) for part in probed[2:])
        of_weight += recipe.activation.roundings() * eps
    error = of_weight * by_weight + _ROUNDINGS_OF_A_NORM * eps * by_norm
    error += _ROUNDINGS_OF_A_SLOPE * eps * by_slope
    if promised < error < float("inf"):  # what overflows is refused as such
        raise ValueError(
            f"depth must be small enough for the kernel of {name} to be accurate to {promised:.0e} "
            f"in {dtype}; got depth {recipe.depth}, which multiplies roundings by up to "
            f"{max(by_norm, by_weight, by_slope):.1e}, to {error:.1e}{_advice(dtype)}"
        )


def check_pairs(
    names: str, recipe: Recipe, variances: Array, inputs: tuple[Array, Array], *, spread: float
) -> None:
    """Refuse inputs that deep layers take apart by more than is known of their distance.

    Raises:
        ValueError: with the depth, the amplification and the first two inputs.
    """
    x1, x2 = inputs
    if not parts_inputs(spread, x1.dtype):
        return
    at_once = min(len(x1), max(1, _PAIRS_AT_ONCE // len(x2)))
    for start in range(0, len(x1), at_once):
        start = min(start, len(x1) - at_once)
        errors = np.asarray(_errors(recipe, variances, x1[start : start + at_once], x2))
        check_errors(names, recipe.depth, errors, spread=spread, first_row=start)


def parts_inputs(spread: float, dtype: jnp.dtype) -> bool:
    """Whether layers take near inputs apart by so much that each pair needs a look."""
    return spread * float(jnp.finfo(dtype).eps) > _PROMISED[dtype.name]


def check_errors(
    names: str, depth: int, errors: np.ndarray, *, spread: float, first_row: int = 0
) -> None:
    """Refuse kernels of pairs that may be off by more than the precision promises.

    Raises:
        ValueError: with the depth, the amplification and the pair that is worst.
    """
    promised = _PROMISED[errors.dtype.name]
    if errors.max() > promised:
        row, column = np.unravel_index(np.argmax(errors), errors.shape)
        raise ValueError(
            f"{names} must not hold inputs that nearly coincide where a kernel takes them "
            f"apart; got depth {depth}, which multiplies 1 − cos of the angle between "
            f"near inputs by up to {spread:.1e}: rounding in {errors.dtype} may change the kernel "
            f"of rows {first_row + row} and {column} by {errors.max():.1e} of its size, where "
            f"{promised:.0e} is promised{_advice(errors.dtype)}"
        )


@eqx.filter_jit
def _errors(recipe: Recipe, variances: Array, x1: Array, x2: Array) -> Array:
    """What rounding the norms and the gap of each pair makes of its kernel, relative to it.

    By the kernel with the norms further apart, with them nearer each other, and with a larger gap,
    by as much as rounding may have done in front of each layer. Of norms squares of differences
    count, so that rounding to one number is no matter of a derivative; only of an input and itself,
    or its opposite, they are known to be one.
    """
    pair = input_pair(x1, x2, symmetric=False)
    pair = eqx.tree_at(
        lambda pair: (pair.variance1, pair.variance2, pair.same_variance),
        pair,
        (
            *jnp.broadcast_arrays(pair.variance1, pair.variance2),
            pair.same_variance & (pair.folded_gap == 0),
        ),
    )
    of_inputs = jnp.asarray([_ROUNDINGS_OF_A_NORM, _ROUNDINGS_OF_A_GAP], x1.dtype)
    of_layer = jnp.asarray(
        [_ROUNDINGS_OF_A_NORM_IN_A_LAYER, _ROUNDINGS_OF_A_GAP_IN_A_LAYER], x1.dtype
    )

    def kernel(counted: Array) -> tuple[Array, Array]:
        def step(layer: Layer, _: None) -> tuple[Layer, None]:
            layer = Layer(_rounded(layer.pair, of_layer * counted), layer.ntk)
            return next_layer(recipe, variances, layer), None

        inputs = _rounded(pair, of_inputs * counted)
        layer = first_layer(recipe, variances, inputs, x1.shape[1])
        last, _ = jax.lax.scan(step, layer, length=recipe.depth - 1)
        return last.kernel(recipe), last.pair.scale

    directions = jnp.asarray([[0, 0], [1, 0], [-1, 0], [0, 1]], x1.dtype)
    (value, *others), scales = jax.vmap(kernel)(directions)
    apart, nearer, farther = (jnp.abs(other - value) for other in others)
    size = jnp.maximum(jnp.abs(value), scales[0])
    return safe_divide(jnp.maximum(apart, nearer) + farther, size)


def _rounded(pair: GaussianPair, roundings: Float[Array, " two"]) -> GaussianPair:
    """The pair with norms further apart, to equal ones at least, and a larger gap, by so many ε."""
    apart, farther = float(jnp.finfo(roundings.dtype).eps) * roundings
    variance1, variance2 = pair.variance1, pair.variance2
    shorter = jnp.minimum(variance2 * (1 - apart), variance1)
    longer = jnp.maximum(variance2 * (1 + apart), variance1)
    moved = jnp.where(variance2 < variance1, shorter, longer)
    variance2 = jnp.where(pair.same_variance, variance2, moved)
    cosine = jnp.abs(pair.cosine) - farther * pair.folded_gap
    cosine = jnp.copysign(jnp.maximum(cosine, 0), pair.cosine)
    return pair.followed_by((variance1, variance2), cosine, pair.folded_gap * (1 + farther))


def _advice(dtype: jnp.dtype) -> str:
    return ": give inputs in float64" if dtype == jnp.float32 else ": take fewer layers"
