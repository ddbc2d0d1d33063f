"""The five members of every kernel operator against the dense float64 matrix.

A new kind of operator joins by one line in ``KINDS``.
"""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.empirical import matrix_free_kernel
from ntk_air.kernels.operators.operator import DenseKernel, KernelOperator, as_operator
from ntk_air.kernels.operators.sharded import sharded_kernel
from ntk_air.kernels.tiles.recomputed import recomputed_kernel
from ntk_air.kernels.tiles.tile_operator import add_products, symmetric_product
from ntk_air.kernels.tiles.tiled import TileOptions, tiled_kernel
from tests.helpers.lowering import assert_lowers
from tests.helpers.problems import SPECTRA, spectral_problem
from tests.helpers.type_checks import without_type_checks
from tests.kernels.matrix_kernel import MatrixKernel, numbered


def tiled(matrix, folder):
    """Tiles on disk, some of them short, of a kernel that looks its values up."""
    options = TileOptions(kernel_id="matrix", largest_tile=17)
    return tiled_kernel(MatrixKernel(matrix), numbered(matrix), folder, options=options)


def linear_network(matrix, folder):
    """The empirical kernel of a network that is linear in its parameters: of its features."""
    values, basis = np.linalg.eigh(np.asarray(matrix, float))
    features = basis * np.sqrt(np.maximum(values, 0))
    dtype = matrix.dtype
    return matrix_free_kernel(
        lambda params, x: x @ params, np.ones((len(matrix), 1), dtype), features.astype(dtype)
    )


def recomputed(matrix, folder):
    return recomputed_kernel(MatrixKernel(matrix), numbered(matrix), largest_tile=17)


def sharded(matrix, folder):
    """On the one device that tests run on; several are in ``operators/test_sharded.py``."""
    return sharded_kernel(MatrixKernel(matrix), numbered(matrix), largest_tile=17)


KINDS = {
    "dense": lambda matrix, folder: DenseKernel(matrix),
    "tiled": tiled,
    "recomputed": recomputed,
    "sharded": sharded,
    "matrix_free": linear_network,
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


@pytest.mark.parametrize("kind", ["dense", "sharded"])
def test_products_lower_for_accelerators(kind):
    operator = KINDS[kind](spectral_problem("step").matrix, None)
    assert_lowers(lambda operator, v: operator.matvec(v), operator, jnp.ones((60, 2)))


@pytest.mark.parametrize("on_diagonal", [False, True])
def test_products_of_tiles_lower_for_accelerators(on_diagonal):
    assert_lowers(
        functools.partial(add_products, on_diagonal=on_diagonal),
        jnp.ones((60, 2)),
        jnp.ones((20, 20), jnp.float32),
        jnp.ones((60, 2)),
        jnp.zeros(2, jnp.int32),
    )


@pytest.mark.parametrize("kind", ["tiled", "recomputed"])
def test_tiles_multiplied_on_a_device_give_the_same(kind, tmp_path):
    problem = spectral_problem("power_law")
    operator = KINDS[kind](problem.matrix, tmp_path)
    vectors = np.random.default_rng(1).standard_normal((60, 3))
    tiles = operator.tiles(operator.grid.pairs)
    got = symmetric_product(tiles, operator.grid, vectors, where="device")
    close(got, problem.matrix @ vectors, np.float64, problem.eigenvalues[0] * 10)


BLOCKWISE = sorted(KINDS.keys() - {"dense"})


@pytest.mark.parametrize("name", BLOCKWISE)
def test_vectors_of_another_shape_or_precision_are_refused(name, tmp_path):
    operator = KINDS[name](spectral_problem("step").matrix, tmp_path)
    with pytest.raises(ValueError, match=r"vectors must have shape \(60, k\); got shape \(59, 2\)"):
        operator.matvec(np.ones((59, 2)))
    with pytest.raises(ValueError, match="precision of the kernel, float64; got float32"):
        operator.matvec(np.ones((60, 2), np.float32))


def test_an_operator_and_its_matrix_are_the_same_to_as_operator():
    matrix = spectral_problem("step").matrix
    operator = as_operator(matrix)
    assert isinstance(operator, DenseKernel)
    np.testing.assert_array_equal(operator.to_dense(), matrix)
    assert as_operator(operator) is operator


@pytest.mark.parametrize("make", [DenseKernel, as_operator])
@pytest.mark.parametrize("shape", [(3, 4), (3,), (2, 2, 2)])
def test_a_matrix_that_is_not_square_is_refused(make, shape):
    refusal = pytest.raises(
        ValueError, match=r"(matrix|operator) must be square, \(n, n\); got shape \("
    )
    with refusal, without_type_checks():
        make(np.zeros(shape))


@pytest.mark.parametrize("make", [DenseKernel, as_operator])
def test_integers_are_refused(make):
    refusal = pytest.raises(ValueError, match=r"(matrix|operator) must be a floating-point array")
    with refusal, without_type_checks():
        make(np.eye(3, dtype=int))
