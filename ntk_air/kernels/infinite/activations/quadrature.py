"""Any activation, by Hermite coefficients from a quadrature."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_positive, check_whole_number
from ntk_air._base.kinds import kind
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.infinite.activations.callables import (
    check_elementwise,
    check_finite_at,
    check_moments,
    check_smooth,
)
from ntk_air.kernels.infinite.activations.dual import Activation, Dual, smooth_dual
from ntk_air.kernels.infinite.elementwise import Elementwise, safe_divide, safe_sqrt
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair

USUAL_TOLERANCE = 1e-3
"""By how much Hermite coefficients of φ and φ' may miss each other."""

_FEWEST_NODES, _MOST_NODES = 128, 4096
_SPACING = 1.2
"""Of nodes, in units of 1/√n_nodes: polynomials of that degree are resolved at π."""
_FARTHEST = 12.5
"""The last node: the root of the normal density, which coefficients see, is below 10⁻¹⁷ there."""
_PAIRS_OF_POWERS_AT_ONCE = 8
_ALLOWED_ROUNDINGS = 16


@kind("quadrature_activation")
class QuadratureActivation(Activation):
    """Any φ, element by element, through its Hermite coefficients.

    With orthonormal Hermite polynomials h_k, a_k(q) = E[φ(√q·z)h_k(z)] and ρ the correlation of
    the pair, Mehler's formula gives κ = Σ_k a_k(q11)·a_k(q22)·ρᵏ; φ' in place of φ gives κ̇
    (Daniely, Frostig, Singer 2016, section 4). The coefficients come from the trapezoidal rule,
    and for any inputs the matrix is positive semi-definite.

    The cost is O(n·n_nodes^1.5) for n inputs and some n_nodes products for each pair of inputs. A
    function that is analytic near the real axis converges exponentially in √n_nodes; one with a
    kink only as a power, so use the closed forms for those. The wider the pre-activations, the
    nearer to a kink is what saturates: tanh takes some 75 terms for each unit of variance in
    float64. Kernels refuse an activation that ``n_nodes`` do not resolve.

    Whether it converged is checked at unit variance when it is made, coefficients of φ and φ' must
    fit each other to a ``tolerance``; and by kernels at the variances that they meet.

    Attributes:
        function: φ; JAX code, applied element by element. A new function object is compiled anew.
        n_nodes: the number of coefficients; ``None`` is as many as the inputs of a kernel ask
            for, from 128 to 4096, and 128 where they are not known, in a caller's own ``jax.jit``.
        tolerance: above 10⁻³, what E[φ²] and E[φ'²] may be off by in a kernel too.

    Raises:
        ValueError: ``n_nodes`` is not in 2 … 4096; φ mixes the entries of an array or changes its
            shape or dtype, is zero, not finite at a node, or without finite moments; a kink or a
            step that the quadrature sees.
    """

    function: Callable[[Array], Array]
    n_nodes: int | None
    tolerance: float

    def __init__(
        self,
        function: Callable[[Array], Array],
        *,
        n_nodes: int | None = None,
        tolerance: float = USUAL_TOLERANCE,
    ):
        if n_nodes is not None:
            n_nodes = check_whole_number("n_nodes", n_nodes, minimum=2, maximum=_MOST_NODES)
        check_positive("tolerance", tolerance)
        self.function, self.n_nodes, self.tolerance = function, n_nodes, float(tolerance)
        nodes = _rule(self._n_terms).nodes
        nodes = np.concatenate([-nodes[:0:-1], nodes])
        with jax.ensure_compile_time_eval():
            check_elementwise(function, nodes)
            values, slopes = self._with_derivative(jnp.asarray(nodes))
            check_finite_at(nodes, np.asarray(values), np.asarray(slopes))
            check_moments(function)
            values, slopes = (
                np.stack([np.asarray(part) for part in parts], axis=-1).ravel()
                for parts in self._coefficients(jnp.ones(()), self._n_terms)
            )
            check_smooth(values, slopes, tolerance)

    def __call__(self, x: AnyArray) -> Array:
        """φ(x), element by element."""
        return self.function(jnp.asarray(x))

    def unit_second_moment(self) -> float:
        """E[φ(z)²] for z ~ N(0, 1)."""
        with jax.ensure_compile_time_eval():
            return self._expected_squares(jnp.ones(()))[0]

    def numbers_per_input(self) -> int:
        """Values at the nodes and coefficients, of φ and of φ'."""
        return 4 * self._n_terms

    def roundings(self) -> float:
        """How many ε E[φ²] may be wrong by: values, coefficients and their squares round."""
        return 3.0

    def resolving(self, variance: Float[Array, ""]) -> "QuadratureActivation":
        """This activation with as many coefficients as pre-activations of a variance ask for.

        Raises:
            ValueError: it has not so many, or the most there are do not do.
        """
        wanted = np.asarray(self._expected_squares(variance))
        allowed = _ALLOWED_ROUNDINGS * float(jnp.finfo(variance.dtype).eps)
        if self.tolerance > USUAL_TOLERANCE:
            allowed = max(allowed, self.tolerance)
        n_terms = self._n_terms
        while True:
            found = [
                sum(float(np.square(np.asarray(part, np.float64)).sum()) for part in parts)
                for parts in self._coefficients(variance, n_terms)
            ]
            error = float(np.max(np.abs(found - wanted) / np.where(wanted > 0, wanted, 1)))
            if error <= allowed:
                break
            if self.n_nodes is not None or n_terms >= _MOST_NODES:
                raise ValueError(
                    f"activation must be smooth enough for {n_terms} Hermite coefficients at "
                    f"pre-activations of variance {float(variance):.4g}; got a relative error of "
                    f"{error:.1e} in E[φ²] or E[φ'²], where {variance.dtype} allows {allowed:.1e}"
                    ": use a closed form, smaller variances, or more n_nodes (at most "
                    f"{_MOST_NODES})"
                )
            n_terms *= 2
        if n_terms == self._n_terms:
            return self
        return QuadratureActivation(self.function, n_nodes=n_terms, tolerance=self.tolerance)

    def dual(self, pair: GaussianPair) -> Dual:
        """κ and κ̇ for each Gaussian pair."""
        values1, slopes1 = self._coefficients(pair.variance1, self._n_terms)
        values2, slopes2 = self._coefficients(pair.variance2, self._n_terms)
        moments = _sum_of_squares(values1), _sum_of_squares(values2)
        roots = safe_sqrt(moments[0]), safe_sqrt(moments[1])
        units1, units2 = (
            _Parts(*(safe_divide(part, root[..., None]) for part in values))
            for values, root in ((values1, roots[0]), (values2, roots[1]))
        )
        cosine, gap, derivative = _mehler_sums(pair, (units1, units2), (slopes1, slopes2))
        return smooth_dual(
            pair, cosine * roots[0] * roots[1], moments, near_gap=gap, derivative=derivative
        )

    @property
    def _n_terms(self) -> int:
        return _FEWEST_NODES if self.n_nodes is None else self.n_nodes

    def _with_derivative(self, x: Array) -> tuple[Array, Array]:
        return jax.jvp(self.function, (x,), (jnp.ones_like(x),))

    def _expected_squares(self, variance: Elementwise) -> list[float]:
        """E[φ(√q·z)²] and E[φ'(√q·z)²] by the finest rule."""
        rule = _rule(_MOST_NODES)
        return [
            float(sum(np.square(np.asarray(part, np.float64)) @ rule.weights for part in parts)) / 2
            for parts in self._at_nodes(variance, rule)
        ]

    def _at_nodes(self, variance: Elementwise, rule: "_Rule") -> tuple["_Parts", "_Parts"]:
        """Twice the even and the odd part of φ(√q·z) and φ'(√q·z) at the nodes."""
        x = safe_sqrt(variance)[..., None] * jnp.asarray(rule.nodes, variance.dtype)
        right, left = self._with_derivative(x), self._with_derivative(-x)
        values, slopes = (_Parts(r + s, r - s) for r, s in zip(right, left, strict=True))
        return values, slopes

    def _coefficients(self, variance: Elementwise, n_terms: int) -> tuple["_Parts", "_Parts"]:
        """Hermite coefficients of φ(√q·z) and φ'(√q·z), in pairs of powers."""
        rule = _rule(n_terms)
        even, odd = (jnp.asarray(part, variance.dtype) for part in (rule.even, rule.odd))
        values, slopes = (
            _Parts(
                jnp.matmul(parts.even, even, precision="highest"),
                jnp.matmul(parts.odd, odd, precision="highest"),
            )
            for parts in self._at_nodes(variance, rule)
        )
        return values, slopes


class _Parts(NamedTuple):
    """Of even and of odd powers: what is odd has even coefficients of exactly 0."""

    even: Float[Array, "*pairs n_even"]
    odd: Float[Array, "*pairs n_even"]


class _Rule(NamedTuple):
    """Nodes z ≥ 0, their weights in E[f(z) + f(−z)]/2, and w·h_k(z) for even and odd k."""

    nodes: Float[np.ndarray, " n_nodes"]
    weights: Float[np.ndarray, " n_nodes"]
    even: Float[np.ndarray, "n_nodes n_even"]
    odd: Float[np.ndarray, "n_nodes n_even"]


@functools.cache
def _rule(n_terms: int) -> _Rule:
    """The trapezoidal rule for the standard normal and as many polynomials, with a 0 if odd."""
    n_nodes = int(np.ceil(_FARTHEST / _SPACING * np.sqrt(max(n_terms, _FEWEST_NODES)))) + 1
    nodes = np.linspace(0, _FARTHEST, n_nodes)
    weights = np.exp(-(nodes**2) / 2)
    weights[0] /= 2
    weights /= 2 * weights.sum()
    polynomials = [np.ones(n_nodes), nodes]
    for k in range(1, n_terms - 1):
        following = (nodes * polynomials[k] - np.sqrt(k) * polynomials[k - 1]) / np.sqrt(k + 1)
        polynomials.append(following)
    if n_terms % 2:
        polynomials.append(np.zeros(n_nodes))
    projection = weights[:, None] * np.stack(polynomials, axis=1)
    return _Rule(nodes, weights, projection[:, ::2], projection[:, 1::2])


def _sum_of_squares(parts: _Parts) -> Elementwise:
    return jnp.sum(parts.even**2, axis=-1) + jnp.sum(parts.odd**2, axis=-1)


def _mehler_sums(
    pair: GaussianPair, units: tuple[_Parts, _Parts], slopes: tuple[_Parts, _Parts]
) -> tuple[Elementwise, Elementwise, Elementwise]:
    """Σ_k a_k·b_k·ρᵏ of unit vectors, its distance from ±1, and the same sum of the slopes.

    By Horner's scheme in ρ², from the highest power down, for even and odd powers apart. With
    r = |ρ|, 1 − Σ a_k·b_k·rᵏ = ½Σ(a_k − b_k)² + Σ a_k·b_k(1 − rᵏ), and Σ_j c_j(1 − r²ʲ) is
    1 − r² times Σ_j r²ʲ·Σ_{i>j} c_i: nothing near 1 is subtracted from 1.
    """
    square = pair.cosine**2

    def add_powers(totals: tuple[Array, ...], coefficients: tuple[Array, ...]):
        even, odd, even_rest, odd_rest, even_fall, odd_fall, apart, even_slope, odd_slope = totals
        even1, odd1, even2, odd2, *slope = coefficients
        even_product, odd_product = even1 * even2, odd1 * odd2
        return (
            even * square + even_product,
            odd * square + odd_product,
            even_rest + even_product,
            odd_rest + odd_product,
            even_fall * square + even_rest,
            odd_fall * square + odd_rest,
            apart + (even1 - even2) ** 2 + (odd1 - odd2) ** 2,
            even_slope * square + slope[0] * slope[2],
            odd_slope * square + slope[1] * slope[3],
        ), None

    by_power = tuple(jnp.moveaxis(part, -1, 0) for parts in (*units, *slopes) for part in parts)
    # Unrolled enough that a matrix is read and written rarely, not so far that compiling lasts.
    totals, _ = jax.lax.scan(
        add_powers,
        (jnp.zeros_like(square),) * 9,
        by_power,
        reverse=True,
        unroll=_PAIRS_OF_POWERS_AT_ONCE,
    )
    even, odd, even_rest, odd_rest, even_fall, odd_fall, apart, even_slope, odd_slope = totals
    cosine = even + pair.cosine * odd
    gap, sine_squared = pair.folded_gap, pair.sine_squared
    apart = jnp.where(pair.same_variance, 0, apart / 2)
    even_fall = sine_squared * even_fall
    odd_fall = gap * odd_rest + (1 - gap) * sine_squared * odd_fall
    acute = pair.cosine >= 0
    minus = apart + even_fall + jnp.where(acute, odd_fall, 2 * odd_rest - odd_fall)
    plus = apart + 2 * even_rest - even_fall + jnp.where(acute, 2 * odd_rest - odd_fall, odd_fall)
    return cosine, jnp.where(cosine >= 0, minus, plus), even_slope + pair.cosine * odd_slope
