"""Kernels that no tiles are made of, and tiles that are none."""

import numpy as np
import pytest

from ntk_air.kernels.tiles.tiled import tiled_kernel
from tests.kernels.matrix_kernel import MatrixKernel, numbered
from tests.kernels.tiles.test_tiled import MATRIX, build, tile_files


def test_an_asymmetric_kernel_is_refused(tmp_path):
    with pytest.raises(ValueError, match="kernel must be symmetric"):
        build(tmp_path, MatrixKernel(np.triu(MATRIX)))


def test_values_that_are_not_finite_are_refused(tmp_path):
    broken = MATRIX.copy()
    broken[20, 50] = np.nan
    with pytest.raises(ValueError, match="between inputs 20 and 50"):
        build(tmp_path, MatrixKernel(broken))
    assert len(tile_files(tmp_path)) == 6  # those before it are kept


def test_a_kernel_without_content_needs_an_identity(tmp_path):
    with pytest.raises(ValueError, match=r"kernel must be known by content.*pass kernel_id"):
        tiled_kernel(lambda x1, x2=None: x1, numbered(MATRIX), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_tile_of_no_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="largest_tile must be a whole number, at least 1"):
        build(tmp_path, largest_tile=0)
