"""Dense symmetric eigensolvers behind one interface, with the sizes at which they break.

Each returns eigenvalues in descending order and the matching eigenvectors.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Float

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
