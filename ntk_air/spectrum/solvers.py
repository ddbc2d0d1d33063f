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

LAPACK_INDEX_LIMIT = 2**31 - 1
"""The longest workspace that LAPACK with 32-bit integers can address, in elements."""

ACCELERATOR_SIZE_LIMIT = 16_000
"""Up to here eigh was seen to work on GPUs; opaque errors were seen between 16k and 32k."""

HostPairs = tuple[np.ndarray, np.ndarray]


class DecompositionError(RuntimeError):
    """An eigensolver failed, or returned what is not a decomposition of the kernel."""


def divide_and_conquer_fits(n: int, index_limit: int) -> bool:
    """Whether LAPACK's syevd can count its own workspace, 1 + 6n + 2n² elements, at size n.

    Past it (n ≥ 32,767 with 32-bit integers) jnp.linalg.eigh on a CPU returns NaN.
    """
    return 1 + 6 * n + 2 * n * n <= index_limit


def divide_and_conquer(matrix: Float[np.ndarray, "n n"]) -> HostPairs:
    """All eigenpairs by LAPACK's syevd: the fastest and the most orthogonal on a CPU."""
    return _lapack(matrix, driver="evd")


def relatively_robust(matrix: Float[np.ndarray, "n n"], *, top_k: int | None = None) -> HostPairs:
    """All or the largest eigenpairs by LAPACK's syevr, whose workspace grows only as n."""
    n = matrix.shape[0]
    wanted = None if top_k is None else (n - top_k, n - 1)
    return _lapack(matrix, driver="evr", subset_by_index=wanted)


def _lapack(matrix: Float[np.ndarray, "n n"], **options) -> HostPairs:
    try:
        # The copy is LAPACK's to overwrite: syevd puts the eigenvectors there.
        eigenvalues, eigenvectors = scipy.linalg.eigh(
            np.array(matrix, order="F"), overwrite_a=True, check_finite=False, **options
        )
    except scipy.linalg.LinAlgError as error:
        raise DecompositionError(f"LAPACK's eigh did not converge: {error}") from error
    return eigenvalues[::-1], eigenvectors[:, ::-1]


@jax.jit
def jax_eigh(
    matrix: Float[jax.Array, "n n"],
) -> tuple[Float[jax.Array, " n"], Float[jax.Array, "n n"]]:
    """All eigenpairs by ``jax.numpy.linalg.eigh``, on the device that holds the matrix."""
    eigenvalues, eigenvectors = jnp.linalg.eigh(matrix, symmetrize_input=False)
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
            tol=tolerance,
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
