"""A pair keeps what is small: the cosine near a right angle, its distance from 1 elsewhere."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.infinite.gaussian_pair import GaussianPair

ONE = jnp.ones(1)


@pytest.mark.parametrize("cosine", [1e-20, -1e-20, 0.3, -0.3])
def test_a_cosine_near_0_is_kept_and_a_large_one_is_1_less_its_gap(cosine):
    before = GaussianPair.identical(ONE)
    small = before.followed_by((ONE, ONE), cosine * ONE, 1 - abs(cosine) * ONE)
    np.testing.assert_array_equal(small.cosine, cosine * ONE)
    gap = 1e-17 * ONE  # what a cosine itself cannot say
    large = before.followed_by((ONE, ONE), np.sign(cosine) * 0.9 * ONE, gap)
    np.testing.assert_array_equal(large.cosine, np.sign(cosine))
    np.testing.assert_array_equal(large.folded_gap, gap)
