"""Symmetric eigensolvers behind one interface, with the sizes at which they break.

Each returns eigenvalues in descending order and the matching eigenvectors.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from jaxtyping import Float

from ntk_air.kernels.operator import KernelOperator

EIGH_SIZE_LIMITS = {"cpu": 32_766}
"""The largest n that ``jax.numpy.linalg.eigh`` is trusted with, by platform.

On a CPU it calls LAPACK's syevd, whose workspace of 1 + 6n + 2n² elements overflows 32-bit
integers from n = 32,767 on: the result is NaN, without an error.
"""

ACCELERATOR_SIZE_LIMIT = 16_000
"""The same for every other platform: GPU solvers fail opaquely between 16k and 32k."""

HostPairs = tuple[np.ndarray, np.ndarray]


class DecompositionError(RuntimeError):
    """An eigensolver failed, or returned what is not a decomposition of the kernel."""


def eigh_size_limit(matrix: Float[jax.Array, "n n"]) -> int:
    """The largest n for ``jax.numpy.linalg.eigh`` on the devices that hold ``matrix``."""
    return min(
        EIGH_SIZE_LIMITS.get(device.platform, ACCELERATOR_SIZE_LIMIT) for device in matrix.devices()
    )


@jax.jit
def jax_eigh(
    matrix: Float[jax.Array, "n n"],
) -> tuple[Float[jax.Array, " n"], Float[jax.Array, "n n"]]:
    """All eigenpairs by ``jax.numpy.linalg.eigh``, on the device that holds the matrix."""
    eigenvalues, eigenvectors = jnp.linalg.eigh(matrix, symmetrize_input=False)
    return eigenvalues[::-1], eigenvectors[:, ::-1]


def relatively_robust(matrix: Float[np.ndarray, "n n"], *, top_k: int | None = None) -> HostPairs:
    """All or the largest eigenpairs by LAPACK's syevr, whose workspace grows only as n."""
    n = matrix.shape[0]
    wanted = None if top_k is None else (n - top_k, n - 1)
    try:
        eigenvalues, eigenvectors = scipy.linalg.eigh(
            np.array(matrix, order="F"),  # a copy, LAPACK's to overwrite
            driver="evr",
            subset_by_index=wanted,
            overwrite_a=True,
            check_finite=False,
        )
    except scipy.linalg.LinAlgError as error:
        raise DecompositionError(f"LAPACK's syevr did not converge: {error}") from error
    return eigenvalues[::-1], eigenvectors[:, ::-1]


def lanczos(
    operator: KernelOperator, top_k: int, *, dtype: np.dtype, seed: int, max_iterations: int | None
) -> HostPairs:
    """The largest eigenpairs by ARPACK's implicitly restarted Lanczos, from products alone."""
    n = operator.shape[0]
    # Products rounded more coarsely than the solver would keep it waiting for digits for ever.
    coarser = np.finfo(operator.dtype).eps > np.finfo(dtype).eps
    tolerance = float(np.finfo(operator.dtype).eps) if coarser else 0.0
    start = np.random.default_rng(seed).standard_normal(n).astype(dtype)
    try:
        eigenvalues, eigenvectors = scipy.sparse.linalg.eigsh(
            _HostOperator(operator, dtype),
            k=top_k,
            which="LA",
            v0=start,
            maxiter=max_iterations,
            tol=tolerance,  # pyright: ignore[reportArgumentType]: scipy's stub says int
        )
    except scipy.sparse.linalg.ArpackNoConvergence as error:
        raise DecompositionError(
            f"Lanczos found {len(error.eigenvalues)} of the {top_k} modes asked for within its "
            "iterations: ask for fewer, or use method='dense'"
        ) from error
    order = np.argsort(eigenvalues)[::-1]
    return eigenvalues[order], eigenvectors[:, order]


def product(operator: KernelOperator, vectors: Float[jax.Array, "n k"]) -> Float[jax.Array, "n k"]:
    """Θ·vectors in the vectors' precision, whatever the operator's own is."""
    return operator.matvec(vectors.astype(operator.dtype)).astype(vectors.dtype)


class _HostOperator(scipy.sparse.linalg.LinearOperator):
    """The product Θ·v on one vector, from and to NumPy."""

    def __init__(self, operator: KernelOperator, dtype: np.dtype):
        super().__init__(dtype, operator.shape)
        self._operator = operator

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        column = product(self._operator, jnp.asarray(x.reshape(-1, 1)))
        return np.asarray(column, self.dtype).reshape(-1)
