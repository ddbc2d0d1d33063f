"""A kernel in tiles of any size is one matrix, to rounding that is stated (``gram_matrix``)."""

import jax
import numpy as np
import pytest

from ntk_air.kernels.empirical import EmpiricalNTK
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.tiles.recomputed import recomputed_kernel
from ntk_air.kernels.tiles.tiled import TileOptions, tiled_kernel
from ntk_air.networks.models.dense import DenseNetwork

ROWS = np.random.default_rng(0).normal(size=(12, 16))
# Near pairs and opposite ones, where an angle is what rounding makes of a difference.
ROWS[1], ROWS[2], ROWS[11] = ROWS[0] * (1 + 1e-9), -ROWS[0], ROWS[5] + 1e-6
NETWORK = DenseNetwork((8,), n_out=2)
PARAMS = NETWORK.init(jax.random.key(0), 16)


def empirical(method):
    def kernel(dtype):
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), PARAMS)
        return EmpiricalNTK(NETWORK.apply, params, method=method)

    return kernel


KERNELS = {
    "relu": (lambda dtype: DenseNTK(depth=4), ROWS),
    "erf": (lambda dtype: DenseNTK(depth=3, activation="erf"), ROWS),
    "convolutional": (lambda dtype: ConvolutionalNTK((1,)), ROWS.reshape(12, 4, 4, 1)),
    "layerwise": (empirical("layerwise"), ROWS),
    "jacobian": (empirical("jacobian"), ROWS),
    "ntk_vector_products": (empirical("ntk_vector_products"), ROWS),
}
SIZES = (12, 5)


CASES = [(name, np.float64) for name in KERNELS]
CASES += [(name, np.float32) for name in ("relu", "jacobian")]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_tiles_of_any_size_make_one_matrix(name, dtype, tmp_path):
    make, inputs = KERNELS[name]
    kernel, x = make(dtype), inputs.astype(dtype)
    whole = gram_matrix(kernel, x)
    size = np.sqrt(np.outer(np.diag(whole), np.diag(whole)))
    for largest in SIZES:
        tiles = recomputed_kernel(kernel, x, largest_tile=largest)
        matrix = np.asarray(tiles.to_dense())
        assert np.abs((matrix - whole) / size).max() <= 64 * np.finfo(dtype).eps
        assert (matrix == matrix.T).all()
    options = TileOptions(largest_tile=5, kernel_id=name)
    on_disk = tiled_kernel(kernel, x, tmp_path, options=options)
    same = recomputed_kernel(kernel, x, largest_tile=5)
    assert (np.asarray(on_disk.to_dense()) == np.asarray(same.to_dense())).all()


@pytest.mark.parametrize("name", ["layerwise", "jacobian"])
def test_a_tight_budget_makes_the_same_matrix(name):
    kernel = KERNELS[name][0](np.float64)
    whole = kernel(ROWS)
    least = whole.nbytes + 8_000
    assert kernel.plan(ROWS, max_memory_bytes=least).tile < 12
    tight = kernel.evaluate(ROWS, max_memory_bytes=least)
    size = np.sqrt(np.outer(np.diag(whole), np.diag(whole)))
    assert np.abs((tight - whole) / size).max() <= 64 * np.finfo(float).eps
