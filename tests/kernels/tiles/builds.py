"""A kernel of 60 inputs in tiles on disk, and what is in its folder."""

import numpy as np

from ntk_air.kernels.tiles.tile_files import HEADER_BYTES
from ntk_air.kernels.tiles.tiled import TileOptions, tiled_kernel
from tests.helpers.problems import spectral_problem
from tests.kernels.matrix_kernel import MatrixKernel, numbered

MATRIX = spectral_problem("power_law").matrix
TILE_BYTES = HEADER_BYTES + 15**2 * 8  # 60 rows in tiles of at most 17: 4 blocks of 15
VECTORS = np.random.default_rng(0).standard_normal((60, 3))


def build(folder, kernel=None, *, kernel_id="matrix", largest_tile=17, **options):
    kernel = MatrixKernel(MATRIX) if kernel is None else kernel
    tiles = TileOptions(kernel_id=kernel_id, largest_tile=largest_tile)
    return tiled_kernel(kernel, numbered(MATRIX), folder, options=tiles, **options)


def tile_files(folder):
    return sorted(folder.glob("*/*.tile"))


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in tile_files(folder)}
