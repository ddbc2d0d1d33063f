"""The largest eigenpairs of a kernel from its products alone.

ARPACK's Lanczos follows one vector, whose Krylov space holds a single direction of each
eigenspace: of equal eigenvalues it may find one and miss the others, with residuals at rounding.
So the modes found are deflated, Θ − V diag(λ + λ₁) Vᵀ, which moves them to −λ₁, and what is left is
searched again until its largest eigenvalue is no larger than the last mode found.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse.linalg
from jaxtyping import Float

from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.spectrum.solvers import DecompositionError, HostPairs

# Enough digits to tell a missed mode from the next one below; its size is not used further.
_PROBE_TOLERANCE = 1e-3


def lanczos(
    operator: KernelOperator, top_k: int, *, dtype: np.dtype, seed: int, max_iterations: int | None
) -> HostPairs:
    """The ``top_k`` largest eigenpairs, descending, repeated eigenvalues included."""
    epsilon = max(np.finfo(operator.dtype).eps, np.finfo(dtype).eps)
    # Products rounded more coarsely than the solver would keep it waiting for digits for ever.
    tolerance = 0.0 if epsilon == np.finfo(dtype).eps else float(epsilon)
    random = np.random.default_rng(seed)
    n = operator.shape[0]
    remainder = _Remainder(operator, dtype)

    def largest_left(count: int, tolerance: float) -> HostPairs:
        start = random.standard_normal(n).astype(dtype)
        return _largest(remainder, count, start, tolerance=tolerance, max_iterations=max_iterations)

    values, vectors = largest_left(top_k, tolerance)
    for _ in range(top_k):  # each round finds a missed mode or is the last
        remainder.deflate(values, vectors)
        left, _ = largest_left(1, _PROBE_TOLERANCE)
        if left[0] <= values[-1] + n * epsilon * values[0]:
            return values, vectors
        more = largest_left(min(top_k, n - 1), tolerance)
        values = np.concatenate([values, more[0]])
        largest = np.argsort(values)[::-1][:top_k]
        values, vectors = values[largest], np.hstack([vectors, more[1]])[:, largest]
    raise DecompositionError(
        f"Lanczos kept finding modes that it had missed among the top {top_k}: the kernel has "
        "many equal eigenvalues; use method='dense'"
    )


def product(operator: KernelOperator, vectors: Float[jax.Array, "n k"]) -> Float[jax.Array, "n k"]:
    """Θ·vectors in the vectors' precision, whatever the operator's own is."""
    return operator.matvec(vectors.astype(operator.dtype)).astype(vectors.dtype)


def _largest(
    matrix: scipy.sparse.linalg.LinearOperator,
    count: int,
    start: np.ndarray,
    *,
    tolerance: float,
    max_iterations: int | None,
) -> HostPairs:
    try:
        values, vectors = scipy.sparse.linalg.eigsh(
            matrix,
            k=count,
            which="LA",
            v0=start,
            maxiter=max_iterations,
            tol=tolerance,  # pyright: ignore[reportArgumentType]: scipy's stub says int
        )
    except scipy.sparse.linalg.ArpackNoConvergence as error:
        raise DecompositionError(
            f"Lanczos found {len(error.eigenvalues)} of the {count} modes asked for within its "
            "iterations: raise max_iterations, ask for fewer, or use method='dense'"
        ) from error
    order = np.argsort(values)[::-1]
    return values[order], vectors[:, order]


class _Remainder(scipy.sparse.linalg.LinearOperator):
    """Θ with the modes found moved to −λ₁, as products on one vector from and to NumPy."""

    def __init__(self, operator: KernelOperator, dtype: np.dtype):
        super().__init__(dtype, operator.shape)
        self._operator = operator
        self._shifts, self._vectors = np.zeros(0, dtype), np.zeros((operator.shape[0], 0), dtype)

    def deflate(self, values: np.ndarray, vectors: np.ndarray) -> None:
        self._shifts, self._vectors = values + values[0], vectors

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        column = jnp.asarray(x.reshape(-1, 1))
        image = np.asarray(product(self._operator, column)).reshape(-1)
        return image - self._vectors @ (self._shifts * (self._vectors.T @ x.reshape(-1)))
