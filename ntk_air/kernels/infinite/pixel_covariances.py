"""The recursion of convolutional kernels: two images at all pairs of their positions.

Arrays of one set of images have axes (height, width, n), those of pairs (height, width, height,
width, n): positions of the first image, positions of the second, and n pairs of images. The pairs
come last: shifts of positions then move whole rows of numbers, whatever the size of the image.

What is carried is not the covariance q12 of two positions but G = √(q11·q22) − q12 ≥ 0, the gap
that it leaves to its largest value. Convolutions add gaps and differences of norms, all of them
squares, so that patches that are parallel, as in skies and margins, keep small angles accurate;
the arccosine of a rounded correlation would lose half the digits there. Opposite patches keep
theirs by √(q11·q22) + q12 in the same way; behind a ReLU there are none, and it is left out.
"""

import functools
import itertools
import operator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air.kernels.infinite.activations.by_name import Activation
from ntk_air.kernels.infinite.elementwise import safe_divide, safe_sqrt
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair

# One image may stand for all n.
_Image = Float[Array, "h w #n"]
_Layers = Float[Array, "n_conv h w #n"]
_Pairs = Float[Array, "h w h w #n"]

_ROUNDINGS_OF_A_NUMBER = 2
_MIXING = 0x9E3779B97F4A7C15
"""A factor whose product has in its first bit something of all bits of a number."""

_ROUNDINGS = 8
"""How many ε an angle's 1 − cos θ may be wrong by behind a pooling."""


class Recipe(NamedTuple):
    """What of an architecture makes a new program; the variances do not."""

    activation: Activation
    blocks: tuple[int, ...]
    has_biases: bool
    kernel: str
    with_signs: bool
    rounded_anew: bool = False
    """Whether norms, directions and angles behind poolings are other roundings of themselves."""

    @property
    def depth(self) -> int:
        """Weight layers, the dense one at the end included."""
        return sum(self.blocks) + 1


class BlockMoments(eqx.Module):
    """Second moments at the positions of single images, in one block of convolutions.

    Attributes:
        before: E[φ(u)²] in front of each convolution; in front of the first, ‖x‖²/channels.
        behind: E[u²] behind each convolution.
        last: E[φ(u)²] behind the block.
        within: the mean gap between two positions of a 2 × 2 window; None where no pooling
            follows.
    """

    before: _Layers
    behind: _Layers
    last: _Image
    within: Float[Array, "h2 w2 n"] | None

    @property
    def mean_norm(self) -> Float[Array, "h2 w2 n"]:
        """The mean of √E[φ(u)²] over each window."""
        return window_means(safe_sqrt(self.last), (0, 1))

    @property
    def pooled(self) -> Float[Array, "h2 w2 n"]:
        """Second moments behind the pooling."""
        assert self.within is not None
        return jnp.maximum(self.mean_norm**2 - self.within, 0)


class PositionPairs(eqx.Module):
    """Two images behind an activation, at all pairs of positions.

    Attributes:
        gap: √(q11·q22) − q12.
        signed: q12 and √(q11·q22) + q12; None behind what is of one sign.
        ntk: q12 and the tangent kernel of what lies before, together; None where only the
            covariance is asked for.
    """

    gap: _Pairs
    signed: tuple[_Pairs, _Pairs] | None
    ntk: _Pairs | None


def image_moments(
    recipe: Recipe, variances: Float[Array, " two"], x: Float[Array, "h w c n"]
) -> list[BlockMoments]:
    """The moments of each image in every block.

    What pooling loses depends on all pairs of positions inside a window, and so on the image's
    pairs with itself in everything before; behind the last pooling single positions suffice.
    """
    moment, own, found = _mean_square(x), None, []
    n_pooled = len(recipe.blocks) - 1
    for block, n_convolutions in enumerate(recipe.blocks):
        before, behind, last = _moments_of_block(recipe, variances, moment, n_convolutions)
        moments = BlockMoments(before, behind, last, None)
        if block < n_pooled:
            own = input_pairs(recipe, x, x, with_ntk=False) if own is None else own
            own = through_block(recipe, variances, own, (moments, moments))
            within = _same_position(window_means(own.gap, (0, 1, 2, 3)))
            moments = BlockMoments(before, behind, last, within)
            moment = moments.pooled
            own = pooled(recipe, own, (moments, moments))
        found.append(moments)
    return found


def kernel_of_pairs(
    recipe: Recipe,
    variances: Float[Array, " two"],
    first: tuple[Float[Array, "h w c n1"], list[BlockMoments]],
    second: tuple[Float[Array, "h w c n2"], list[BlockMoments]],
) -> Float[Array, " n"]:
    """The kernel between each first and its second image; one first image stands for all."""
    (x1, moments1), (x2, moments2) = first, second
    pairs = input_pairs(recipe, x1, x2, with_ntk=recipe.kernel == "ntk")
    for of_first, of_second in zip(moments1, moments2, strict=True):
        pairs = through_block(recipe, variances, pairs, (of_first, of_second))
        if of_first.within is not None:
            pairs = pooled(recipe, pairs, (of_first, of_second))
    outputs = pairs.ntk
    if outputs is None:
        scale = _scale(moments1[-1].last, moments2[-1].last)
        outputs = scale - pairs.gap if pairs.signed is None else pairs.signed[0]
    weight, bias = variances
    return weight * jnp.mean(outputs, axis=(0, 1, 2, 3)) + bias


def input_pairs(
    recipe: Recipe, x1: Float[Array, "h w c n1"], x2: Float[Array, "h w c n2"], *, with_ntk: bool
) -> PositionPairs:
    """The pairs of pixels: √(q11·q22)/2 · ‖x/‖x‖ − x'/‖x'‖‖² is their gap."""
    moment1, moment2 = _mean_square(x1), _mean_square(x2)

    def directions(x: Array, moment: Array) -> Array:
        scaled = safe_divide(x, safe_sqrt(moment * x.shape[2])[:, :, None])
        return jnp.moveaxis(_as_rounded(recipe, scaled), 2, 0)

    def add_channel(totals: list[Array], channel: tuple[Array, Array]) -> tuple[list[Array], None]:
        u, v = (_first(channel[0]), _second(channel[1]))
        added = [(u - v) ** 2] if len(totals) == 1 else [(u - v) ** 2, u * v, (u + v) ** 2]
        return [total + more for total, more in zip(totals, added, strict=True)], None

    scale = _scale(moment1, moment2)
    channels = directions(x1, moment1), directions(x2, moment2)
    start = [jnp.zeros_like(scale)] * (3 if recipe.with_signs else 1)
    (distance, *more), _ = jax.lax.scan(add_channel, start, channels)
    gap = scale * distance / 2
    if not recipe.with_signs:
        return PositionPairs(gap, None, scale - gap if with_ntk else None)
    product = scale * more[0]
    return PositionPairs(gap, (product, scale * more[1] / 2), product if with_ntk else None)


def through_block(
    recipe: Recipe,
    variances: Float[Array, " two"],
    pairs: PositionPairs,
    moments: tuple[BlockMoments, BlockMoments],
) -> PositionPairs:
    """Behind some convolutions, each with its activation.

    A loop, so that one layer's values are held before the next one reads each of them nine times:
    in one program XLA would compute them nine times. It takes a loop of one step for no loop, but
    not a step on a condition.
    """

    def next_layer(
        pairs: PositionPairs, layer: tuple[Array, Array, Array, Array]
    ) -> tuple[PositionPairs, None]:
        before1, behind1, before2, behind2 = layer
        images = (before1, behind1), (before2, behind2)
        pair, ntk = _convolved(recipe, variances, pairs, images)
        dual = recipe.activation.dual(pair)
        scale, post = dual.post.scale, dual.post
        gap, signed = scale * post.one_minus_cosine, None
        product = scale - gap
        if recipe.with_signs:
            product = post.covariance
            signed = product, scale * post.one_plus_cosine
        if ntk is not None:
            ntk = product + ntk * dual.derivative_product
        return PositionPairs(gap, signed, ntk), None

    first, second = moments
    layers = (first.before, first.behind, second.before, second.behind)
    if len(first.before) > 1:
        pairs, _ = jax.lax.scan(next_layer, pairs, layers)
        return pairs
    always = variances[0] >= 0
    only = jax.tree.map(lambda layer: layer[0], layers)
    return jax.lax.cond(
        always, lambda pairs: next_layer(pairs, only)[0], lambda pairs: pairs, pairs
    )


def pooled(
    recipe: Recipe, pairs: PositionPairs, moments: tuple[BlockMoments, BlockMoments]
) -> PositionPairs:
    """Behind an average over 2 × 2 windows of either image.

    With norms n = √q11 in a window, their mean n̄ and the norm N of the average, the gap between
    two averages is mean(G) − n̄1·n̄2 + N1·N2. As N² = n̄² − mean(G within the window), that is

        N1·N2 · [mean(G)/(N1·N2) + ½(n̄1/N1 − n̄2/N2)² − ½(g1 + g2)],  g = mean(G within)/N²,

    which no scale of either image makes less accurate. What rounding may have left of nothing,
    between windows that are parallel, is taken for nothing: the angle would be its root.
    """

    def in_units(moments: BlockMoments) -> tuple[Array, Array, Array, Array]:
        assert moments.within is not None
        norm = safe_sqrt(moments.pooled)
        inverse = safe_divide(jnp.ones_like(norm), norm)
        return norm, inverse, moments.mean_norm * inverse, moments.within * inverse * inverse

    norm1, inverse1, ratio1, within1 = in_units(moments[0])
    norm2, inverse2, ratio2, within2 = in_units(moments[1])
    inside = (_first(within1) + _second(within2)) / 2
    apart = (_first(ratio1) - _second(ratio2)) ** 2 / 2

    def gap_of(before: Array) -> Array:
        across = window_means(before, (0, 1, 2, 3)) * _first(inverse1) * _second(inverse2)
        angle = across + apart - inside
        rounding = _ROUNDINGS * float(jnp.finfo(angle.dtype).eps) * (1 + inside)
        if recipe.rounded_anew:  # but what is one window remains one
            same = (_corresponding(before) == 0) & (apart == 0)
            angle = jnp.where(same, 0, jnp.maximum(angle, 0) + rounding)
            rounding = 0
        return _first(norm1) * _second(norm2) * jnp.where(angle > rounding, angle, 0)

    signed = None
    if pairs.signed is not None:
        product, opposite = pairs.signed
        signed = window_means(product, (0, 1, 2, 3)), gap_of(opposite)
    ntk = None if pairs.ntk is None else window_means(pairs.ntk, (0, 1, 2, 3))
    return PositionPairs(gap_of(pairs.gap), signed, ntk)


def _convolved(
    recipe: Recipe,
    variances: Array,
    pairs: PositionPairs,
    images: tuple[tuple[_Image, _Image], tuple[_Image, _Image]],
) -> tuple[GaussianPair, _Pairs | None]:
    """The pairs of positions and their tangent kernel behind a convolution, before its activation.

    With a_δ = √(σ_w²/9)·√q11(p + δ)/√q11'(p) and b_δ likewise of the second image, q' behind the
    convolution, 1 − cos θ = σ_w²/9 · Σ_δ G(p + δ, p' + δ)/√(q11'q22') + ½ Σ_δ (a_δ − b_δ)²: a_δ
    and b_δ are unit vectors. The biases are one more component. Outside the image all is 0. For
    1 + cos θ the second vector is turned round, but for its bias.
    """
    weight, bias = variances
    share = weight / 9

    def components(before: _Image, behind: _Image) -> tuple[list[Array], Array]:
        inverse = safe_divide(jnp.ones_like(behind), safe_sqrt(behind))
        norms = neighbours(jnp.sqrt(share) * safe_sqrt(before), (0,), (1,))
        if recipe.has_biases:
            norms.append(jnp.sqrt(bias))
        return [norm * inverse for norm in norms], inverse

    (units1, inverse1), (units2, inverse2) = (components(*image) for image in images)
    weights = share * _first(inverse1) * _second(inverse2)

    def convolved(x: Array) -> Array:
        return _total(neighbours(x, (0, 2), (1, 3)))

    def mismatch(sign: int) -> Array:
        turned = [sign * unit for unit in units2[9:]]
        differences = zip(units1, units2[:9] + turned, strict=True)
        return _total([(_first(a) - _second(b)) ** 2 for a, b in differences]) / 2

    minus = jnp.minimum(convolved(pairs.gap) * weights + mismatch(1), 2)
    behind1, behind2 = _first(images[0][1]), _second(images[1][1])
    if pairs.signed is None:
        pair = GaussianPair.from_gaps(behind1, behind2, minus, 2 - minus)
    else:
        product, opposite = (convolved(x) * weights for x in pairs.signed)
        biases = zip(units1[9:], units2[9:], strict=True)
        product += sum(_first(a) * _second(b) for a, b in biases)
        cosine = jnp.clip(product, -1, 1)
        gap = jnp.where(cosine >= 0, minus, opposite + mismatch(-1))
        pair = GaussianPair(behind1, behind2, cosine, cosine * 0, behind1 == behind2)
        pair = pair.followed_by((behind1, behind2), cosine, gap)
    if pairs.ntk is None:
        return pair, None
    return pair, share * convolved(pairs.ntk) + bias


def _moments_of_block(
    recipe: Recipe, variances: Array, moment: _Image, n_convolutions: int
) -> tuple[_Layers, _Layers, _Image]:
    weight, bias = variances

    def next_layer(before: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        behind = weight / 9 * sum(neighbours(before, (0,), (1,))) + bias
        behind = _as_rounded(recipe, behind)
        dual = recipe.activation.dual(GaussianPair.identical(behind))
        return dual.post.variance1, (before, behind)

    last, (before, behind) = jax.lax.scan(next_layer, moment, length=n_convolutions)
    return before, behind, last


def _as_rounded(recipe: Recipe, x: Array) -> Array:
    """Numbers as they are, or wrong by two ε up or down, by their bits: equal ones stay equal."""
    if not recipe.rounded_anew:
        return x
    eps = float(jnp.finfo(x.dtype).eps)
    integer = jnp.uint64 if x.dtype == jnp.float64 else jnp.uint32
    n_bits = jnp.iinfo(integer).bits
    factor, last = (jnp.asarray(part % 2**n_bits, integer) for part in (_MIXING, n_bits - 1))
    bits = jax.lax.bitcast_convert_type(jnp.abs(x), integer)
    up = ((bits * factor) >> last).astype(x.dtype)
    return x * (1 + _ROUNDINGS_OF_A_NUMBER * eps * (2 * up - 1))


def _total(parts: list[Array]) -> Array:
    return functools.reduce(operator.add, parts)


def _mean_square(x: Float[Array, "h w c n"]) -> _Image:
    return jnp.mean(x * x, axis=2)


def _scale(moment1: _Image, moment2: _Image) -> _Pairs:
    return _first(safe_sqrt(moment1)) * _second(safe_sqrt(moment2))


def _first(x: _Image) -> Float[Array, "h w 1 1 n"]:
    return x[:, :, None, None]


def _second(x: _Image) -> Float[Array, "1 1 h w n"]:
    return x[None, None]


def _same_position(x: _Pairs) -> _Image:
    height, width, *_, n = x.shape
    flat = x.reshape(height * width, height * width, n)
    return jnp.diagonal(flat).T.reshape(height, width, n)


def neighbours(x: Array, row_axes: tuple[int, ...], column_axes: tuple[int, ...]) -> list[Array]:
    """The array shifted by at most one row and one column, in nine ways, zeros coming in."""
    moving = row_axes + column_axes
    padded = jnp.pad(x, [(1, 1) if axis in moving else (0, 0) for axis in range(x.ndim)])

    def shifted(row: int, column: int) -> Array:
        starts = [
            row * (axis in row_axes) + column * (axis in column_axes) for axis in range(x.ndim)
        ]
        stops = [start + length for start, length in zip(starts, x.shape, strict=True)]
        return jax.lax.slice(padded, starts, stops)

    return list(itertools.starmap(shifted, itertools.product(range(3), repeat=2)))


def _corresponding(x: _Pairs) -> Float[Array, "h2 w2 h2 w2 #n"]:
    """Sums over the four positions that two windows have in common."""
    corners = itertools.product(range(2), repeat=2)
    return _total([x[row::2, column::2, row::2, column::2] for row, column in corners])


def window_means(x: Array, axes: tuple[int, ...]) -> Array:
    """Averages over windows of two along each of the axes."""
    shape, windows = [], []
    for axis, length in enumerate(x.shape):
        if axis in axes:
            shape.append(length // 2)
            windows.append(len(shape))
            shape.append(2)
        else:
            shape.append(length)
    return jnp.mean(x.reshape(shape), axis=tuple(windows))
