"""Infinitely wide fully connected networks: NTK and NNGP in closed form."""

import math
from typing import Literal

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.checks import (
    check_at_least,
    check_choice,
    check_positive,
    check_same_dtype,
    check_same_features,
    check_whole_number,
)
from ntk_air._base.kinds import kind
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.activations.by_name import Activation, ActivationLike, as_activation
from ntk_air.kernels.infinite.conditioning import check_depth, check_pairs, fitted
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair
from ntk_air.kernels.infinite.matrices import (
    as_kernel_inputs,
    check_no_overflow,
    check_no_underflow,
    mirrored,
    row_means,
)
from ntk_air.kernels.infinite.recursion import (
    BiasInitialisation,
    Recipe,
    input_pair,
    last_layer,
)

_HELD_MATRICES = 10
"""Arrays of the kernel's shape that XLA holds at the peak, the result included."""

_DEEPEST = 2**31 - 1
"""Layers that a loop counts to."""

_HELD_INPUTS = 2
"""Arrays of the inputs' shape: unit rows, and a copy of the inputs."""

_Inputs1 = Float[AnyArray, "n1 *features1"]
_Inputs2 = Float[AnyArray, "n2 *features2"]


@kind("dense_ntk")
class DenseNTK(eqx.Module):
    """A fully connected network of infinite width in NTK parametrisation, and its kernels.

    With L = ``depth`` weight layers, so L − 1 activations (the "2-layer ReLU network" of the
    literature has one hidden layer and is ``depth=2``), and all parameters drawn from N(0, 1):

        z¹ = √σ_w²/√d · W¹x + √σ_b² b¹,   z^{l+1} = √σ_w²/√m_l · W^{l+1}φ(z^l) + √σ_b² b^{l+1},

    with f = z^L, d the number of features and m_l the width of layer l, taken to infinity. Then
    (Jacot et al. 2018, section 3; Lee et al. 2019, appendix)

        Σ¹(x, x') = σ_w² x·x'/d + σ_b²,   Σ^{l+1} = σ_w² κ(Σ^l) + σ_b²,       NNGP = Σ^L
        Θ¹ = Σ¹,                          Θ^{l+1} = Σ^{l+1} + σ_w² κ̇(Σ^l) Θ^l,  NTK = Θ^L

    Weights and biases of every layer are trained. These are the kernels of
    ``neural_tangents.stax.serial(Dense(m, W_std, b_std), φ, …, Dense(1, W_std, b_std))``.

    Inputs are (n, *features); the axes behind the first are flattened. Results have the inputs'
    precision, float32 or float64. Under a caller's own ``jax.jit`` values cannot be inspected,
    so only shapes and dtypes are checked there.

    Args:
        depth: Number L of weight layers, at least 1.
        activation: Activation φ: a name such as ``"relu"`` or ``"erf"``, an ``Activation``, or any
            callable (by quadrature).
        weight_variance: Variance σ_w² of the weights of every layer; ``None`` is 1/E[φ(z)²],
            z ~ N(0, 1), which keeps the variance of a unit signal from layer to layer: 2 for
            ReLU, 1 for the identity.
        bias_variance: Variance σ_b² of the biases of every layer; 0 is a network without biases.
        bias_initialisation: ``"normal"``, or ``"zeros"``: biases start at 0 and are trained, as in
            Basri et al. 2019; then Σ is that of a network without biases, and Θ¹ = Σ¹ + σ_b²,
            Θ^{l+1} = Σ^{l+1} + σ_b² + σ_w² κ̇(Σ^l) Θ^l.

    Raises:
        ValueError: ``depth`` below 1, a variance that is not finite or is negative, an unknown
            activation name.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> kernel = na.DenseNTK(depth=3, activation="erf")
        >>> x = np.eye(4, 3, dtype=np.float32)
        >>> kernel(x).shape, kernel.nngp(x, x[:2]).shape
        ((4, 4), (4, 2))
    """

    depth: int
    activation: Activation
    weight_variance: float
    bias_variance: float
    bias_initialisation: BiasInitialisation

    def __init__(
        self,
        *,
        depth: int = 2,
        activation: ActivationLike = "relu",
        weight_variance: float | None = None,
        bias_variance: float = 0.0,
        bias_initialisation: BiasInitialisation = "normal",
    ):
        self.depth = check_whole_number("depth", depth, minimum=1, maximum=_DEEPEST)
        self.activation = as_activation(activation)
        if weight_variance is None:
            weight_variance = 1 / self.activation.unit_second_moment()
        check_positive("weight_variance", weight_variance)
        check_at_least("bias_variance", bias_variance, 0)
        check_choice("bias_initialisation", bias_initialisation, ("normal", "zeros"))
        self.weight_variance = float(weight_variance)
        self.bias_variance = float(bias_variance)
        self.bias_initialisation = bias_initialisation

    def __call__(self, x1: _Inputs1, x2: _Inputs2 | None = None) -> Float[Array, "n1 n"]:
        """The neural tangent kernel Θ(x1, x2), (n1, n2): the same as ``ntk``."""
        return self.ntk(x1, x2)

    def ntk(self, x1: _Inputs1, x2: _Inputs2 | None = None) -> Float[Array, "n1 n"]:
        """The neural tangent kernel Θ(x1, x2), (n1, n2).

        Args:
            x1: Inputs, shape (n1, *features).
            x2: Inputs with the same features, shape (n2, *features); ``None`` stands for ``x1``,
                and then the matrix is exactly symmetric and its diagonal is ``diagonal(x1)``.

        Raises:
            ValueError: Inputs that are empty, not finite, not of one floating dtype, or whose
                features differ; inputs so large that the kernel overflows, or so small that of one
                with itself less than the least normal number is left, as deep layers with small
                weights leave it; a depth, or inputs
                that nearly coincide, by which roundings grow beyond 10⁻⁵ of a value in float32 and
                10⁻¹² in float64; an activation that its quadrature does not resolve.
        """
        return self._matrix("ntk", x1, x2)

    def nngp(self, x1: _Inputs1, x2: _Inputs2 | None = None) -> Float[Array, "n1 n"]:
        """The covariance Σ(x1, x2) of the outputs at initialisation, (n1, n2).

        Args:
            x1: Inputs, shape (n1, *features).
            x2: Inputs with the same features, shape (n2, *features); ``None`` stands for ``x1``.

        Raises:
            ValueError: Inputs that are empty, not finite, not of one floating dtype, or whose
                features differ; inputs so large that the kernel overflows, or so small that of one
                with itself less than the least normal number is left, as deep layers with small
                weights leave it; a depth, or inputs
                that nearly coincide, by which roundings grow beyond 10⁻⁵ of a value in float32 and
                10⁻¹² in float64; an activation that its quadrature does not resolve.
        """
        return self._matrix("nngp", x1, x2)

    def diagonal(
        self, x: _Inputs1, *, kernel: Literal["ntk", "nngp"] = "ntk"
    ) -> Float[Array, " n1"]:
        """The kernel of each input with itself, in O(n); what ``ntk`` refuses is refused."""
        check_choice("kernel", kernel, ("ntk", "nngp"))
        rows = _as_rows("x", x)
        recipe, variances, _ = self._checked("x", kernel, rows)
        diagonal, outputs = _diagonal(recipe, variances, rows)
        check_no_overflow("x", diagonal, depth=self.depth)
        self._check_no_underflow("x", kernel, rows, outputs)
        return diagonal

    def tile_bytes(self, x1: jax.ShapeDtypeStruct, x2: jax.ShapeDtypeStruct) -> int:
        """The most bytes held during ``kernel(x1, x2)``, its result included, for ``gram_matrix``.

        Args:
            x1: Shape and dtype of the first inputs.
            x2: Shape and dtype of the second inputs.
        """
        n_rows, n_features = len(x1) + len(x2), math.prod(x1.shape[1:])
        per_pair = _HELD_MATRICES + self.activation.numbers_per_pair()
        numbers = per_pair * len(x1) * len(x2)
        numbers += n_rows * (_HELD_INPUTS * n_features + self.activation.numbers_per_input())
        return numbers * jnp.dtype(x1.dtype).itemsize

    def _matrix(self, kernel, x1, x2):
        rows1 = _as_rows("x1", x1)
        if x2 is None:
            recipe, variances, spread = self._checked("x1", kernel, rows1)
            diagonal, outputs = _diagonal(recipe, variances, rows1)
            check_no_overflow("x1", diagonal, depth=self.depth)
            self._check_no_underflow("x1", kernel, rows1, outputs)
            check_pairs("x1", recipe, variances, (rows1, rows1), spread=spread)
            return mirrored(_upper_matrix(recipe, variances, rows1), diagonal)
        check_same_features("x1", x1, "x2", x2)
        check_same_dtype("x1", x1, "x2", x2)
        rows2 = _as_rows("x2", x2)
        recipe, variances, spread = self._checked("x1 and x2", kernel, rows1, rows2)
        matrix, row_sums, outputs = _cross_matrix(recipe, variances, rows1, rows2)
        check_no_overflow("x1 and x2", row_sums, depth=self.depth)
        for name, rows, output in zip(("x1", "x2"), (rows1, rows2), outputs, strict=True):
            self._check_no_underflow(name, kernel, rows, output)
        check_pairs("x1 and x2", recipe, variances, (rows1, rows2), spread=spread)
        return matrix

    def _checked(self, names: str, kernel, *rows):
        """The recipe and its variances, and by how much its layers take near inputs apart."""
        recipe, variances = self._recipe(kernel), self._variances(rows[0].dtype)
        if any(isinstance(part, jax.core.Tracer) for part in rows):
            return recipe, variances, 0.0
        spread = 0.0
        for part in rows:
            recipe, probed = fitted(recipe, variances, part)
            check_depth(names, recipe, variances[0], self.weight_variance, probed=probed)
            spread = spread if probed is None else max(spread, float(probed.spread))
        return recipe, variances, spread

    def _check_no_underflow(self, name, kernel, rows, outputs):
        # Biases that start at 0 are in the tangent kernel alone, and keep it above their variance.
        if kernel == "nngp" or self.bias_initialisation == "normal" or self.bias_variance == 0:
            check_no_underflow(name, rows, outputs, depth=self.depth)

    def _recipe(self, kernel):
        biases = self.bias_initialisation if self.bias_variance > 0 else None
        return Recipe(self.activation, self.depth, biases, kernel)

    def _variances(self, dtype):
        return jnp.asarray([self.weight_variance, self.bias_variance], dtype)


def _as_rows(name: str, x: AnyArray) -> Float[Array, "n d"]:
    """Check inputs and flatten what is behind the batch axis."""
    rows = as_kernel_inputs(name, x)
    return rows.reshape(rows.shape[0], -1)


@eqx.filter_jit
def _cross_matrix(recipe, variances, x1, x2):
    pair = input_pair(x1, x2, symmetric=False)
    last = last_layer(recipe, variances, pair, x1.shape[1])
    matrix = last.kernel(recipe)
    known = _known_variances(recipe, variances, pair, last.pair)
    return matrix, row_means(matrix), (known[0][:, 0], known[1])


@eqx.filter_jit
def _upper_matrix(recipe, variances, x):
    pair = input_pair(x, x, symmetric=True)
    return last_layer(recipe, variances, pair, x.shape[1]).kernel(recipe)


@eqx.filter_jit
def _diagonal(recipe, variances, x):
    pair = GaussianPair.identical(jnp.sum(x * x, axis=1))
    last = last_layer(recipe, variances, pair, x.shape[1])
    return last.kernel(recipe), _known_variances(recipe, variances, pair, last.pair)[0]


def _known_variances(recipe, variances, inputs, outputs):
    """The least of a layer: of squares that may underflow a sum is known to its ε."""
    least = float(jnp.finfo(variances.dtype).eps)
    bias = variances[1] if recipe.biases == "normal" else 0
    return [
        jnp.minimum(least * norm + bias, variance)
        for norm, variance in (
            (inputs.variance1, outputs.variance1),
            (inputs.variance2, outputs.variance2),
        )
    ]
