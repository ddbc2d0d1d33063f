"""Any activation, by Gauss–Hermite quadrature."""

import functools
from collections.abc import Callable

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
from ntk_air.kernels.infinite.activations.dual import Activation, Dual, dual_from_products
from ntk_air.kernels.infinite.elementwise import Elementwise, safe_sqrt
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair

USUAL_TOLERANCE = 1e-3
"""By how much Hermite coefficients of φ and φ' may miss each other."""

_MOST_NODES = 256
_POWERS_AT_ONCE = 16


@kind("quadrature_activation")
class QuadratureActivation(Activation):
    """Any φ, element by element, through its Hermite coefficients.

    With orthonormal Hermite polynomials h_k, a_k(q) = E[φ(√q·z)h_k(z)] and ρ the correlation of
    the pair, Mehler's formula gives κ = Σ_k a_k(q11)·a_k(q22)·ρᵏ; φ' in place of φ gives κ̇
    (Daniely, Frostig, Singer 2016, section 4). The coefficients come from Gauss–Hermite
    quadrature with ``n_nodes`` nodes, and the sum has as many terms: at ρ = ±1 it equals the
    quadrature of φ(u)φ(±u), and for any inputs the matrix is positive semi-definite.

    The cost is O(n·n_nodes²) for n inputs and 2·n_nodes products for each pair of inputs. A
    function that is analytic near the real axis converges exponentially in √n_nodes; one with a
    kink only as a power, so use the closed forms for those.

    Whether it converged is checked at unit variance: coefficients of φ and φ' must fit each other
    to a ``tolerance``. Kernels are then off by about its square.

    Attributes:
        function: φ; JAX code, applied element by element. A new function object is compiled anew.
        n_nodes: the number of nodes.

    Raises:
        ValueError: ``n_nodes`` is not in 2 … 256; φ mixes the entries of an array or changes its
            shape or dtype, is zero, not finite at a node, or without finite moments; a kink or a
            step that the quadrature sees.
    """

    function: Callable[[Array], Array]
    n_nodes: int

    def __init__(
        self,
        function: Callable[[Array], Array],
        *,
        n_nodes: int = 128,
        tolerance: float = USUAL_TOLERANCE,
    ):
        self.function = function
        self.n_nodes = check_whole_number("n_nodes", n_nodes, minimum=2, maximum=_MOST_NODES)
        check_positive("tolerance", tolerance)
        nodes, _ = _nodes_and_projection(self.n_nodes)
        with jax.ensure_compile_time_eval():
            check_elementwise(function, nodes)
            values, slopes = self._with_derivative(jnp.asarray(nodes))
            check_finite_at(nodes, np.asarray(values), np.asarray(slopes))
            check_moments(function)
            values, slopes = self._coefficients(jnp.ones(()))
            check_smooth(np.asarray(values), np.asarray(slopes), tolerance)

    def __call__(self, x: AnyArray) -> Array:
        """φ(x), element by element."""
        return self.function(jnp.asarray(x))

    def unit_second_moment(self) -> float:
        """E[φ(z)²] for z ~ N(0, 1)."""
        with jax.ensure_compile_time_eval():
            value, _ = self._coefficients(jnp.ones(()))
            return float(jnp.sum(value**2))

    def numbers_per_input(self) -> int:
        """Values at the nodes and coefficients, of φ and of φ'."""
        return 4 * self.n_nodes

    def dual(self, pair: GaussianPair) -> Dual:
        """κ and κ̇ for each Gaussian pair."""
        values1, slopes1 = self._coefficients(pair.variance1)
        values2, slopes2 = self._coefficients(pair.variance2)
        return dual_from_products(
            _mehler_sum(values1, values2, pair.cosine),
            jnp.sum(values1**2, axis=-1),
            jnp.sum(values2**2, axis=-1),
            _mehler_sum(slopes1, slopes2, pair.cosine),
        )

    def _with_derivative(self, x: Array) -> tuple[Array, Array]:
        return jax.jvp(self.function, (x,), (jnp.ones_like(x),))

    def _coefficients(
        self, variance: Elementwise
    ) -> tuple[Float[Array, "*pairs n_nodes"], Float[Array, "*pairs n_nodes"]]:
        """Hermite coefficients of φ(√q·z) and φ'(√q·z)."""
        nodes, projection = (
            jnp.asarray(array, variance.dtype) for array in _nodes_and_projection(self.n_nodes)
        )
        values, slopes = self._with_derivative(safe_sqrt(variance)[..., None] * nodes)
        product = functools.partial(jnp.matmul, precision="highest")
        return product(values, projection), product(slopes, projection)


@functools.cache
def _nodes_and_projection(
    n_nodes: int,
) -> tuple[Float[np.ndarray, " n_nodes"], Float[np.ndarray, "n_nodes n_nodes"]]:
    """Nodes z_i for the standard normal, and w_i·h_k(z_i) in row i and column k."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    polynomials = [np.ones(n_nodes), nodes]
    for k in range(1, n_nodes - 1):
        following = (nodes * polynomials[k] - np.sqrt(k) * polynomials[k - 1]) / np.sqrt(k + 1)
        polynomials.append(following)
    return nodes, (weights / weights.sum())[:, None] * np.stack(polynomials[:n_nodes], axis=1)


def _mehler_sum(
    coefficients1: Float[Array, "*#pairs n_nodes"],
    coefficients2: Float[Array, "*#pairs n_nodes"],
    cosine: Elementwise,
) -> Elementwise:
    """Σ_k a_k·b_k·ρᵏ by Horner's scheme, from the highest power down."""

    def add_term(total: Array, coefficients: tuple[Array, Array]) -> tuple[Array, None]:
        first, second = coefficients
        return total * cosine + first * second, None

    by_power = (jnp.moveaxis(coefficients1, -1, 0), jnp.moveaxis(coefficients2, -1, 0))
    # Unrolled enough that a matrix is read and written rarely, not so far that compiling lasts.
    total, _ = jax.lax.scan(
        add_term, jnp.zeros_like(cosine), by_power, reverse=True, unroll=_POWERS_AT_ONCE
    )
    return total
