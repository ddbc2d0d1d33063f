"""Infinitely wide convolutional networks with global average pooling: NTK and NNGP."""

import math
from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import (
    as_number,
    check_at_least,
    check_choice,
    check_positive,
    check_same_dtype,
    check_same_features,
    check_whole_number,
    shown,
)
from ntk_air._base.kinds import kind
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.activations.by_name import Activation, ActivationLike, as_activation
from ntk_air.kernels.infinite.activations.piecewise_linear import PiecewiseLinear
from ntk_air.kernels.infinite.conditioning import (
    check_depth,
    check_errors,
    fitted,
    parts_inputs,
)
from ntk_air.kernels.infinite.image_conditioning import changes_of_pairs, probe_images
from ntk_air.kernels.infinite.image_matrix import cross_matrix, pairs_at_once, self_kernels
from ntk_air.kernels.infinite.matrices import (
    as_kernel_inputs,
    check_no_overflow,
    check_no_underflow,
    mirrored,
    row_means,
)
from ntk_air.kernels.infinite.pixel_covariances import Recipe

_MYRTLE_BLOCKS = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}

_HELD_PAIRS = 16
"""Arrays of numbers at all pairs of positions that XLA holds at the peak."""

_HELD_FOR_SIGNS = 8
"""… and more of them where covariances have two signs."""

_HELD_IMAGES = 6
"""Copies of the images and of the moments at their positions."""

_HELD_MATRICES = 3

_Images1 = Float[AnyArray, "n1 height width channels"]
_Images2 = Float[AnyArray, "n2 height width channels"]


@kind("convolutional_ntk")
class ConvolutionalNTK(eqx.Module):
    """A convolutional network of infinite width in NTK parametrisation, and its kernels.

    Blocks of 3 × 3 convolutions (stride 1, zero padding that keeps the size), each followed by the
    activation; 2 × 2 average pooling between blocks; global average pooling and a dense layer at
    the end. With all parameters drawn from N(0, 1), m channels, u the pre-activations:

        u^{l+1}(p) = √σ_w²/√(9m_l) · Σ_δ W_δ^{l+1} φ(u^l(p + δ)) + √σ_b² b^{l+1},
        f = √σ_w²/√m_L · W · mean_p φ(u^L(p)) + √σ_b² b.

    Its kernels (Arora et al. 2019, arXiv 1904.11955, section 4; Novak et al. 2019, section 2) are
    computed from the covariances of all pairs of positions p, p' of two images, from layer to layer

        Σ'(p, p') = σ_w²/9 · Σ_δ κ(Σ)(p + δ, p' + δ) + σ_b²,
        Θ'(p, p') = σ_w²/9 · Σ_δ [κ(Σ) + κ̇(Σ)Θ](p + δ, p' + δ) + σ_b²,

    so time and memory for a pair of images grow as (height · width)². The kernels are those of
    ``neural_tangents.stax.serial(Conv(m, (3, 3), padding="SAME", W_std=σ_w, b_std=σ_b), φ, …,
    AvgPool((2, 2), (2, 2)), …, GlobalAvgPool(), Dense(1, σ_w, σ_b))``.

    Inputs are images (n, height, width, channels). Results have the inputs' precision, float32 or
    float64. Under a caller's own ``jax.jit`` values cannot be inspected, so only shapes and dtypes
    are checked there.

    Behind a pooling angles between windows are known to about √(16ε) alone. With an activation that
    has a corner, such as ReLU, the kernel of images that nearly coincide without being equal is off
    by up to √(16ε)/π of it for each activation behind: 4·10⁻⁴ in float32, 2·10⁻⁸ in float64. That
    is not refused; ``docs/precision.md`` has what was measured.

    Args:
        blocks: Number of convolutions in each block; one fewer poolings. (2,) is two convolutions
            and no pooling but the global one.
        activation: Activation φ: a name such as ``"relu"``, an ``Activation``, or any callable (by
            quadrature).
        weight_variance: Variance σ_w² of the weights of every layer; ``None`` is 1/E[φ(z)²],
            z ~ N(0, 1), which keeps the variance of a unit signal from layer to layer: 2 for
            ReLU.
        bias_variance: Variance σ_b² of the biases of every layer; 0 is a network without biases.

    Raises:
        ValueError: No blocks, a block that is not a whole number of convolutions above 0, a
            variance that is not finite or is negative, an unknown activation name.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> kernel = na.ConvolutionalNTK((1, 1))
        >>> images = np.random.default_rng(0).normal(size=(3, 4, 4, 1)).astype(np.float32)
        >>> kernel(images).shape, kernel(images, images[:2]).shape
        ((3, 3), (3, 2))
    """

    blocks: tuple[int, ...]
    activation: Activation
    weight_variance: float
    bias_variance: float

    def __init__(
        self,
        blocks: Sequence[int] = (2,),
        *,
        activation: ActivationLike = "relu",
        weight_variance: float | None = None,
        bias_variance: float = 0.0,
    ):
        if isinstance(blocks, str) or not isinstance(blocks, Sequence) or len(blocks) == 0:
            raise ValueError(
                "blocks must be whole numbers of convolutions, at least 1 in each of at least 1 "
                f"block; got {shown(blocks)}"
            )
        self.blocks = tuple(
            check_whole_number(f"blocks[{index}]", block, minimum=1)
            for index, block in enumerate(blocks)
        )
        self.activation = as_activation(activation)
        if weight_variance is None:
            weight_variance = 1 / self.activation.unit_second_moment()
        check_positive("weight_variance", weight_variance)
        check_at_least("bias_variance", bias_variance, 0)
        self.weight_variance = float(weight_variance)
        self.bias_variance = float(bias_variance)

    @classmethod
    def myrtle(
        cls,
        depth: int = 5,
        *,
        activation: ActivationLike = "relu",
        weight_variance: float | None = None,
        bias_variance: float = 0.0,
    ) -> "ConvolutionalNTK":
        """The Myrtle family of Shankar et al. 2020 (arXiv 2003.02237, section 5).

        Three blocks with pooling between them; on 32 × 32 images its last three poolings are the
        global one.

        Args:
            depth: Depth, one of 5, 7, 10: blocks of (2, 1, 1), (2, 2, 2) or (3, 3, 3)
                convolutions.
            activation: Activation φ: a name, an ``Activation``, or any callable (by quadrature).
            weight_variance: Variance σ_w² of the weights of every layer; ``None`` is 1/E[φ(z)²],
                z ~ N(0, 1).
            bias_variance: Variance σ_b² of the biases of every layer; 0 is a network without
                biases.

        Raises:
            ValueError: Another depth, a variance that is not finite or is negative, an unknown
                activation name.
        """
        if as_number(depth) not in tuple(_MYRTLE_BLOCKS) or isinstance(as_number(depth), float):
            raise ValueError(f"depth must be one of 5, 7, 10; got {depth!r}")
        return cls(
            _MYRTLE_BLOCKS[depth],
            activation=activation,
            weight_variance=weight_variance,
            bias_variance=bias_variance,
        )

    def __call__(self, x1: _Images1, x2: _Images2 | None = None) -> Float[Array, "n1 n"]:
        """The neural tangent kernel Θ(x1, x2), (n1, n2): the same as ``ntk``."""
        return self.ntk(x1, x2)

    def ntk(self, x1: _Images1, x2: _Images2 | None = None) -> Float[Array, "n1 n"]:
        """The neural tangent kernel Θ(x1, x2), (n1, n2).

        Args:
            x1: Images, shape (n1, height, width, channels).
            x2: Images of the same size, shape (n2, height, width, channels); ``None`` stands for
                ``x1``, and then half the pairs are computed, the matrix is exactly symmetric and
                its diagonal is ``diagonal(x1)``.

        Raises:
            ValueError: Inputs that are no images, empty, not finite, not of one floating dtype, of
                different sizes, or of an odd size where they are pooled; inputs so large that the
                kernel overflows, or so small that nothing is left of it in deep layers; a depth,
                or images that nearly coincide, by which roundings grow beyond 10⁻⁵ of a value in
                float32 and 10⁻¹² in float64; an activation that its quadrature does not resolve.
        """
        return self._matrix("ntk", x1, x2)

    def nngp(self, x1: _Images1, x2: _Images2 | None = None) -> Float[Array, "n1 n"]:
        """The covariance Σ(x1, x2) of the outputs at initialisation, (n1, n2).

        Args:
            x1: Images, shape (n1, height, width, channels).
            x2: Images of the same size, shape (n2, height, width, channels); ``None`` stands for
                ``x1``.

        Raises:
            ValueError: Inputs that are no images, empty, not finite, not of one floating dtype, of
                different sizes, or of an odd size where they are pooled; inputs so large that the
                kernel overflows, or so small that nothing is left of it in deep layers; a depth,
                or images that nearly coincide, by which roundings grow beyond 10⁻⁵ of a value in
                float32 and 10⁻¹² in float64; an activation that its quadrature does not resolve.
        """
        return self._matrix("nngp", x1, x2)

    def diagonal(
        self, x: _Images1, *, kernel: Literal["ntk", "nngp"] = "ntk"
    ) -> Float[Array, " n1"]:
        """The kernel of each image with itself, in O(n); what ``ntk`` refuses is refused."""
        check_choice("kernel", kernel, ("ntk", "nngp"))
        images = self._as_images("x", x)
        recipe, variances, spread = self._checked("x", kernel, images)
        return self._diagonal("x", recipe, variances, images, spread=spread)

    def tile_bytes(self, x1: jax.ShapeDtypeStruct, x2: jax.ShapeDtypeStruct) -> int:
        """The most bytes held during ``kernel(x1, x2)``, its result included, for ``gram_matrix``.

        Args:
            x1: Shape and dtype of the first images.
            x2: Shape and dtype of the second images.
        """
        itemsize = jnp.dtype(x1.dtype).itemsize
        n_positions = math.prod(x1.shape[1:3])
        at_once = pairs_at_once(x2.shape, itemsize)
        per_image = n_positions * (x1.shape[3] + 2 * sum(self.blocks) + 1)
        numbers = (_HELD_PAIRS + _HELD_FOR_SIGNS * self._with_signs) * at_once * n_positions**2
        numbers += _HELD_IMAGES * (len(x1) + len(x2) + 2 * at_once) * per_image
        numbers += at_once * n_positions * 4 * self.activation.numbers_per_input()
        numbers += _HELD_MATRICES * len(x1) * (len(x2) + at_once)
        return numbers * itemsize

    def _matrix(self, kernel, x1, x2):
        images = self._as_images("x1", x1)
        if x2 is None:
            recipe, variances, spread = self._checked("x1", kernel, images)
            diagonal = self._diagonal("x1", recipe, variances, images, spread=spread)
            upper = _upper_matrix(recipe, variances, images)
            if parts_inputs(spread, images.dtype):
                of = recipe, variances
                self._check_pairs("x1", upper, (images, images), of=of, spread=spread)
            return mirrored(upper, diagonal)
        check_same_features("x1", x1, "x2", x2)
        check_same_dtype("x1", x1, "x2", x2)
        both = images, self._as_images("x2", x2)
        recipe, variances, spread = self._checked("x1 and x2", kernel, *both)
        matrix, least = _cross_matrix(recipe, variances, *both)
        check_no_overflow("x1 and x2", row_means(matrix), depth=recipe.depth)
        for name, part, least_of_part in zip(("x1", "x2"), both, least, strict=True):
            check_no_underflow(name, part, least_of_part, depth=recipe.depth)
        if parts_inputs(spread, images.dtype):
            of = recipe, variances
            self._check_pairs("x1 and x2", matrix, both, of=of, spread=spread)
        return matrix

    def _as_images(self, name: str, x: AnyArray) -> Float[Array, "n height width channels"]:
        if x.ndim != 4:
            raise ValueError(
                f"{name} must be images of shape (n, height, width, channels); got shape {x.shape}"
            )
        n_pooled = len(self.blocks) - 1
        if any(side % 2**n_pooled for side in x.shape[1:3]):
            raise ValueError(
                f"{name} must have a height and a width divisible by {2**n_pooled}, for {n_pooled} "
                f"poolings of 2 × 2; got {x.shape[1]} × {x.shape[2]}"
            )
        return as_kernel_inputs(name, x)

    def _checked(self, names: str, kernel, *images):
        """The recipe and its variances, and by how much its layers take near inputs apart."""
        recipe, variances = self._recipe(kernel), self._variances(images[0].dtype)
        if any(isinstance(part, jax.core.Tracer) for part in (*images, variances)):
            return recipe, variances, 0.0
        spread = 0.0
        for part in images:
            recipe, probed = fitted(recipe, variances, part, probe=probe_images)
            share, weight = variances[0] / 9, self.weight_variance / 9
            check_depth(names, recipe, share, weight, probed=probed)
            spread = spread if probed is None else max(spread, float(probed.spread))
        return recipe, variances, spread

    def _diagonal(self, name: str, recipe, variances, images, *, spread: float):
        diagonal, least = _diagonal(recipe, variances, images)
        check_no_overflow(name, diagonal, depth=recipe.depth)
        check_no_underflow(name, images, least, depth=recipe.depth)
        if parts_inputs(spread, images.dtype):
            anew, _ = _diagonal(recipe._replace(rounded_anew=True), variances, images)
            errors = np.diag(np.abs(np.asarray(diagonal - anew)) / np.asarray(diagonal))
            check_errors(name, recipe.depth, errors, spread=spread)
        return diagonal

    def _check_pairs(self, names: str, matrix, images, *, of, spread: float):
        (x1, x2), (recipe, variances) = images, of
        anew = _cross_matrix(recipe._replace(rounded_anew=True), variances, x1, x2)[0]
        of_outputs = recipe._replace(kernel="nngp")
        scales = [_diagonal(of_outputs, variances, part)[0] for part in images]
        errors = changes_of_pairs(matrix, anew, (scales[0], scales[1]))
        if x1 is x2:  # above the diagonal, which has been looked at
            errors = np.triu(errors, 1)
        check_errors(names, recipe.depth, errors, spread=spread)

    def _recipe(self, kernel):
        return Recipe(
            self.activation, self.blocks, self.bias_variance > 0, kernel, self._with_signs
        )

    @property
    def _with_signs(self) -> bool:
        """Whether covariances can be negative behind an activation."""
        slopes = self.activation
        return not (
            isinstance(slopes, PiecewiseLinear)
            and slopes.negative_slope * slopes.positive_slope <= 0
        )

    def _variances(self, dtype):
        return jnp.asarray([self.weight_variance, self.bias_variance], dtype)


@eqx.filter_jit
def _cross_matrix(recipe, variances, x1, x2):
    return cross_matrix(recipe, variances, x1, x2)


@eqx.filter_jit
def _upper_matrix(recipe, variances, x):
    return cross_matrix(recipe, variances, x, x, upper=True)[0]


@eqx.filter_jit
def _diagonal(recipe, variances, x):
    return self_kernels(recipe, variances, x)
