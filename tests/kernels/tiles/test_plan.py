"""Tiles that fit: what is held while one is computed, and while products are made of it."""

import numpy as np
import pytest

from ntk_air.kernels.tiles.plan import plan_tiles
from ntk_air.kernels.tiles.tile_operator import PRODUCT_COPIES


class Light:
    """A kernel that holds nothing beside its result."""

    def __call__(self, x1, x2=None):
        return x1 @ (x1 if x2 is None else x2).T

    def tile_bytes(self, x1, x2):
        return 0


@pytest.mark.parametrize("held", [1, 3])
def test_products_in_more_bits_than_the_tiles_make_tiles_smaller(held):
    bound = 2_000_000
    options = {"largest_tile": 2000, "max_memory_bytes": bound, "tiles_held": held}
    inputs = np.ones((2000, 2), np.float32)
    source, dtype = plan_tiles(Light(), inputs, precision="float64", **options)
    assert dtype == np.float64
    tile = source.grid.tile
    assert tile**2 * (held * 4 + PRODUCT_COPIES * 8) <= bound
    coarser, _ = plan_tiles(Light(), inputs, precision=None, **options)
    assert coarser.grid.tile > tile
