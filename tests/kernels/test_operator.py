"""The five members of every kernel operator against the dense float64 matrix.

A new kind of operator joins by one line in ``KINDS``.
"""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.operator import DenseKernel, KernelOperator, as_operator
from ntk_air.kernels.operators.tiled import build_tiled_kernel
from tests.kernels.matrix_kernel import MatrixKernel, numbered
from tests.lowering import assert_lowers
from tests.problems import SPECTRA, spectral_problem
from tests.type_checks import without_type_checks


def tiled(matrix, folder):
    """Tiles on disk, some of them short, of a kernel that looks its values up."""
    return build_tiled_kernel(
        MatrixKernel(matrix), numbered(matrix), folder, kernel_id="matrix", largest_tile=17
    )


KINDS = {
    "dense": lambda matrix, folder: DenseKernel(matrix),
    "tiled": tiled,
}

TOLERANCE = {np.float64: 1e-13, np.float32: 1e-5}


@pytest.fixture(params=sorted(KINDS))
def kind(request, tmp_path):
    return functools.partial(KINDS[request.param], folder=tmp_path / "tiles")


@pytest.fixture(params=sorted(SPECTRA))
def problem(request):
    return spectral_problem(request.param)


@pytest.fixture(params=TOLERANCE)
def dtype(request):
    return request.param


def close(got, wanted, dtype, scale):
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("as_array", [np.asarray, jnp.asarray])
def test_shape_and_dtype(kind, problem, dtype, as_array):
    operator = kind(as_array(problem.matrix.astype(dtype)))
    assert isinstance(operator, KernelOperator)
    assert operator.shape == (60, 60)
    assert operator.dtype == dtype


@pytest.mark.parametrize("n_vectors", [1, 7])
def test_products(kind, problem, dtype, n_vectors):
    vectors = np.random.default_rng(1).standard_normal((60, n_vectors)).astype(dtype)
    product = kind(problem.matrix.astype(dtype)).matvec(vectors)
    assert product.shape == (60, n_vectors)
    close(product, problem.matrix @ vectors.astype(float), dtype, problem.eigenvalues[0] * 10)


def test_products_with_the_eigenvectors(kind, problem):
    product = kind(problem.matrix).matvec(problem.basis)
    close(product, problem.basis * problem.eigenvalues, np.float64, problem.eigenvalues[0])


def test_products_are_symmetric_and_not_negative(kind, problem):
    left, right = np.random.default_rng(2).standard_normal((2, 60, 3))
    operator, scale = kind(problem.matrix), problem.eigenvalues[0] * 60
    close(left.T @ operator.matvec(right), (right.T @ operator.matvec(left)).T, np.float64, scale)
    assert np.diagonal(right.T @ operator.matvec(right)).min() > 0


def test_the_whole_matrix_and_its_diagonal(kind, problem, dtype):
    operator = kind(problem.matrix.astype(dtype))
    close(operator.to_dense(), problem.matrix, dtype, problem.eigenvalues[0])
    close(operator.diagonal(), np.diagonal(problem.matrix), dtype, problem.eigenvalues[0])
    trace = float(operator.diagonal().sum())
    assert trace == pytest.approx(problem.eigenvalues.sum(), rel=TOLERANCE[dtype] * 10)


def test_products_lower_for_accelerators():
    operator = DenseKernel(spectral_problem("step").matrix)
    assert_lowers(lambda operator, v: operator.matvec(v), operator, jnp.ones((60, 2)))


def test_an_operator_and_its_matrix_are_the_same_to_as_operator():
    matrix = spectral_problem("step").matrix
    operator = as_operator(matrix)
    assert isinstance(operator, DenseKernel)
    np.testing.assert_array_equal(operator.to_dense(), matrix)
    assert as_operator(operator) is operator


@pytest.mark.parametrize("make", [DenseKernel, as_operator])
@pytest.mark.parametrize("shape", [(3, 4), (3,), (2, 2, 2)])
def test_a_matrix_that_is_not_square_is_refused(make, shape):
    refusal = pytest.raises(ValueError, match=r"matrix must be square, \(n, n\); got shape \(")
    with refusal, without_type_checks():
        make(np.zeros(shape))


@pytest.mark.parametrize("make", [DenseKernel, as_operator])
def test_integers_are_refused(make):
    refusal = pytest.raises(ValueError, match="matrix must be a floating-point array")
    with refusal, without_type_checks():
        make(np.eye(3, dtype=int))
