"""The kernel operator: what spectra and dynamics need of a kernel, and nothing more."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.checks import check_array, check_floating, shown
from ntk_air._base.typing import AnyArray


class KernelOperator(eqx.Module):
    """A symmetric positive semi-definite n × n matrix, known by its products.

    All that spectra and dynamics need of a kernel. A kind of operator of your own implements the
    five members: ``matvec`` on blocks of vectors, ``to_dense``, ``diagonal``, ``shape``, ``dtype``.
    Those of this package are made by ``tiled_kernel``, ``recomputed_kernel``, ``sharded_kernel``
    and ``matrix_free_kernel``.

    Example:
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> class Diagonal(na.KernelOperator):
        ...     values: jnp.ndarray
        ...
        ...     shape = property(lambda self: (len(self.values), len(self.values)))
        ...     dtype = property(lambda self: self.values.dtype)
        ...
        ...     def matvec(self, vectors):
        ...         return self.values[:, None] * vectors
        ...
        ...     def to_dense(self):
        ...         return jnp.diag(self.values)
        ...
        ...     def diagonal(self):
        ...         return self.values
        >>> operator = Diagonal(jnp.arange(1.0, 41.0))
        >>> na.top_modes(operator, 2).eigenvalues.round(3).tolist()
        [40.0, 39.0]
    """

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int]:
        """(n, n)."""

    @property
    @abc.abstractmethod
    def dtype(self) -> jnp.dtype:
        """The precision that products are returned in."""

    @abc.abstractmethod
    def matvec(self, vectors: Float[AnyArray, "n k"]) -> Float[Array, "n k"]:
        """The product Θ·vectors for a block of k vectors.

        Args:
            vectors: Block of k vectors, shape (n, k).
        """

    @abc.abstractmethod
    def to_dense(self) -> Float[Array, "n n"]:
        """The whole matrix."""

    @abc.abstractmethod
    def diagonal(self) -> Float[Array, " n"]:
        """The diagonal."""


class DenseKernel(KernelOperator):
    """A kernel held as a matrix in memory."""

    matrix: Float[Array, "n n"]

    def __init__(self, matrix: Float[AnyArray, "n n"], name: str = "matrix"):
        check_array(name, matrix)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"{name} must be square, (n, n); got shape {matrix.shape}")
        check_floating(name, matrix)
        self.matrix = jnp.asarray(matrix)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (self.matrix.shape[0], self.matrix.shape[1])

    @property
    def dtype(self) -> jnp.dtype:
        """The matrix's own precision."""
        return self.matrix.dtype

    def matvec(self, vectors: Float[AnyArray, "n k"]) -> Float[Array, "n k"]:
        """The product Θ·vectors for a block of k vectors."""
        return self.matrix @ vectors

    def to_dense(self) -> Float[Array, "n n"]:
        """The matrix itself."""
        return self.matrix

    def diagonal(self) -> Float[Array, " n"]:
        """The diagonal."""
        return jnp.diagonal(self.matrix)


def as_operator(
    kernel: KernelOperator | Float[AnyArray, "n n"], name: str = "operator"
) -> KernelOperator:
    """The operator itself, or that of a matrix.

    Raises:
        ValueError: under this name, a matrix that is not square or not floating-point.
    """
    return kernel if isinstance(kernel, KernelOperator) else DenseKernel(kernel, name)


def check_operator(name: str, operator: KernelOperator) -> None:
    """Require an operator, where products are all that is asked for."""
    if not isinstance(operator, KernelOperator):
        raise ValueError(
            f"{name} must be a KernelOperator, such as recomputed_kernel makes; got "
            f"{shown(operator)}: decompose takes a matrix"
        )
