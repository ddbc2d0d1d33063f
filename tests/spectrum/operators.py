"""Operators that stand for kernels that are not dense."""

import jax.numpy as jnp
import numpy as np

from ntk_air.kernels.operators.operator import KernelOperator


class ProductOnly(KernelOperator):
    """A matrix that can only be multiplied with: asking for the whole fails the test."""

    matrix: jnp.ndarray

    def __init__(self, matrix: np.ndarray):
        self.matrix = jnp.asarray(matrix)

    @property
    def shape(self) -> tuple[int, int]:
        n_row, n_column = self.matrix.shape
        return n_row, n_column

    @property
    def dtype(self) -> jnp.dtype:
        return self.matrix.dtype

    def matvec(self, vectors):
        return self.matrix @ vectors

    def to_dense(self):
        raise AssertionError("the whole matrix was asked for")

    def diagonal(self):
        return jnp.diagonal(self.matrix)
