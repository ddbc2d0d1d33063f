"""A parameter's part of the kernel from the two factors of its gradients, in the cheaper order.

The Gram order multiplies inner products, Σ_k Σ_pq (A_kp · A'_kq)(D_kp · D'_kq): cheap where
positions are few. The explicit order forms the gradients G = Σ_p A ⊗ D first: cheap where a filter
has few entries beside its many positions.
"""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air.kernels.empirical.layerwise.linearised import (
    Cotangents,
    Linearised,
    left_factor,
    mixed_factors,
    right_factor,
)
from ntk_air.kernels.empirical.layerwise.plan import Factors

Order = Literal["gram", "explicit"]

LARGEST_SQUARE = 512
"""Rows of a symmetric matrix of inner products whose mirrored half is computed too: of more rows,
the half is copied."""

LONGEST_SUM = 2**16
"""Terms of an inner product in one matrix product: longer ones are slow on CPUs."""

_HIGHEST = jax.lax.Precision.HIGHEST
"""Accelerators would round the factors to fewer bits than their own precision."""


class TileSizes(NamedTuple):
    """Examples in the two batches, combinations of outputs, and whether every pair is kept."""

    n1: int
    n2: int
    n_kept: int
    full: bool


def operations(factors: Factors, sizes: TileSizes) -> dict[Order, float]:
    """Multiplications and additions of both orders."""
    k, p, i, j = factors.sizes
    n_pairs = sizes.n1 * sizes.n2
    n_outputs = sizes.n_kept ** (2 if sizes.full else 1)
    gram = 2.0 * n_pairs * k * p**2 * (i + n_outputs * (j + 1))
    forming = 2.0 * (sizes.n1 + sizes.n2) * sizes.n_kept * k * p * i * j
    return {"gram": gram, "explicit": forming + 2.0 * n_pairs * n_outputs * k * i * j}


def cheaper_order(factors: Factors, sizes: TileSizes) -> Order:
    """The order with fewer operations; explicit where cotangents are on both sides.

    Of a bias, whose gradients are the cotangents, the two orders are alike; the Gram matrix of
    these is at hand from the weight before it.
    """
    if any(factors.swapped):
        return "explicit"
    if factors.sizes[:3] == (1, 1, 1):
        return "gram"
    needed = operations(factors, sizes)
    return "gram" if needed["gram"] <= needed["explicit"] else "explicit"


class Contraction:
    """One group's part of a tile: what all outputs share is computed once.

    Args:
        factors: the group.
        first: the rows.
        second: the columns, which can be the same object.
        sizes: the number of each.
        dtype: the precision of the parameter: factors in fewer bits are taken to it before they
            are multiplied.
    """

    def __init__(
        self,
        factors: Factors,
        first: Linearised,
        second: Linearised,
        *,
        sizes: TileSizes,
        dtype: np.dtype,
    ):
        self._factors = factors
        self._dtype = dtype
        self._batches = [first] if second is first else [first, second]
        self._order = cheaper_order(factors, sizes)
        self._full = sizes.full
        self._mixed = any(factors.swapped)
        self._lefts = []
        if not self._mixed:
            self._lefts = [left_factor(factors, batch, dtype) for batch in self._batches]
        if self._order == "gram":
            self._activations = _gram(self._lefts[0], self._lefts[-1])
        else:
            self._lefts = list(map(_positions_last, self._lefts))

    def __call__(self, cotangents: list[Cotangents]) -> Float[Array, "n1 n2 *outputs"]:
        """The sum over these outputs, or every pair of them."""
        if self._mixed:
            pairs = [
                mixed_factors(self._factors, batch, side, self._dtype)
                for batch, side in zip(self._batches, cotangents, strict=True)
            ]
            return self._explicit([(_positions_last(left), right) for left, right in pairs])
        rights = [right_factor(self._factors, side, self._dtype) for side in cotangents]
        if self._order == "gram":
            return self._gram(rights[0], rights[-1])
        return self._explicit(list(zip(self._lefts, rights, strict=True)))

    def _gram(
        self,
        right1: Float[Array, "n_kept n1 k p j"],
        right2: Float[Array, "n_kept n2 k q j"],
    ) -> Float[Array, "n1 n2 *outputs"]:
        if self._full:
            grams = jnp.einsum("cakpj,dbkqj->kapbqcd", right1, right2, precision=_HIGHEST)
            return jnp.einsum("kapbq,kapbqcd->abcd", self._activations, grams, precision=_HIGHEST)
        first = _outputs_last(right1)
        grams = _gram(first, first if right2 is right1 else _outputs_last(right2))
        return jnp.sum(self._activations * grams, axis=(0, 2, 4))

    def _explicit(self, pairs: list[tuple[Array, Array]]) -> Float[Array, "n1 n2 *outputs"]:
        lefts, rights = zip(*pairs, strict=True)
        if self._full:
            return _pairs_of_outputs(*_both(map(_gradients, lefts, rights)))
        if not self._mixed:

            def one_output(*rights: Array) -> Array:
                return _inner(*_both(map(_gradient, lefts, rights)))

            return _sum_over_outputs(one_output, *rights)

        def one_mixed_output(*factors: Array) -> Array:
            return _inner(*_both(map(_gradient, factors[::2], factors[1::2])))

        return _sum_over_outputs(one_mixed_output, *(factor for pair in pairs for factor in pair))


def _gram(
    first: Float[Array, "n1 k p m"], second: Float[Array, "n2 k q m"]
) -> Float[Array, "k n1 p n2 q"]:
    """Inner products over the last axis between all examples and positions, for each k."""
    (n1, k, p, _), (n2, _, q, _) = first.shape, second.shape
    if k > 1:
        return jnp.einsum("akpi,bkqi->kapbq", first, second, precision=_HIGHEST)
    # Without the batch axis k, for which compilers would write out the transpose of the columns.
    rows, columns = (side.reshape(-1, side.shape[-1]) for side in (first, second))
    products = _symmetric_inner(rows) if first is second else _inner(rows, columns)
    return products.reshape(k, n1, p, n2, q)


def _outputs_last(right: Float[Array, "n_kept n k p j"]) -> Float[Array, "n k p outputs_j"]:
    """The right factor with all outputs side by side: one product sums over them."""
    moved = right.transpose(1, 2, 3, 0, 4)
    return moved.reshape(*moved.shape[:3], -1)


def contract_gradients(sides: list[Array], *, full: bool) -> Float[Array, "n1 n2 *outputs"]:
    """Inner products of explicit gradients: summed over the outputs, or of every pair of them.

    Args:
        sides: those of the rows, and of the columns where they are others: (n_kept, n, *entries).
        full: whether every pair of outputs is kept.
    """
    flat = [side.reshape(*side.shape[:2], -1) for side in sides]
    if full:
        return _pairs_of_outputs(*_both(flat))
    return _sum_over_outputs(lambda *sides: _inner(*_both(sides)), *flat)


def _both(sides: Iterable[Array]) -> tuple[Array, Array]:
    """Rows and columns, which are the rows where there are no others."""
    both = list(sides)
    return both[0], both[-1]


def _sum_over_outputs(part: Callable[..., Array], *arrays: Array) -> Array:
    """The sum of a function over the first axis of its arguments.

    One output after the other: its gradients stay in the processor's caches.
    """
    shape = jax.eval_shape(part, *(array[0] for array in arrays))
    start = jnp.zeros(shape.shape, shape.dtype)
    return jax.lax.scan(lambda total, each: (total + part(*each), None), start, arrays)[0]


def _positions_last(left: Float[Array, "*n k p i"]) -> Float[Array, "*n k i p"]:
    """The left factor as matrix products read it row by row: once for all outputs."""
    return left.swapaxes(-1, -2)


def _gradient(
    left: Float[Array, "n k i p"], right: Float[Array, "n k p j"]
) -> Float[Array, "n entries"]:
    """G = Σ_p A ⊗ D of each example."""
    formed = jnp.einsum("akip,akpj->akij", left, right, precision=_HIGHEST)
    return formed.reshape(len(left), -1)


def _gradients(
    left: Float[Array, "*n_kept n k i p"], right: Float[Array, "n_kept n k p j"]
) -> Float[Array, "n_kept n entries"]:
    """G of each combination of outputs and example."""
    return jax.vmap(_gradient, in_axes=(0 if left.ndim == right.ndim else None, 0))(left, right)


def _pairs_of_outputs(
    first: Float[Array, "n_kept n1 entries"], second: Float[Array, "n_kept n2 entries"]
) -> Float[Array, "n1 n2 n_kept n_kept"]:
    """Inner products of every pair of outputs."""
    rows, columns = (side.reshape(-1, side.shape[-1]) for side in (first, second))
    products = _inner(rows, columns)
    blocks = products.reshape(*first.shape[:2], *second.shape[:2])
    return blocks.transpose(1, 3, 0, 2)


def _inner(rows: Float[Array, "a s"], columns: Float[Array, "b s"]) -> Float[Array, "a b"]:
    """Rows times columns, in sums of bounded length."""
    parts = [
        jnp.matmul(
            rows[:, start : start + LONGEST_SUM],
            columns[:, start : start + LONGEST_SUM].T,
            precision=_HIGHEST,
        )
        for start in range(0, rows.shape[1], LONGEST_SUM)
    ]
    return sum(parts[1:], start=parts[0])


def _symmetric_inner(rows: Float[Array, "a s"]) -> Float[Array, "a a"]:
    """Rows times rows: of the blocks off the diagonal, each pair once."""
    n = len(rows)
    if n <= LARGEST_SQUARE:
        return _inner(rows, rows)
    upper, lower = rows[: n // 2], rows[n // 2 :]
    across = _inner(upper, lower)
    return jnp.block([[_symmetric_inner(upper), across], [across.T, _symmetric_inner(lower)]])
