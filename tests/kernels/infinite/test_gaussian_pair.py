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


def test_variances_that_are_one_number_part_no_identical_inputs_however_each_was_rounded():
    """Two norms of one input, summed in another order, differ in their last bit."""
    one, zero = jnp.ones((1, 1)), jnp.zeros((1, 1))
    weight, bias = jnp.asarray(1.5), jnp.asarray(0.1)
    pair = GaussianPair(one, jnp.nextafter(one, 2 * one), one, zero, zero == 0)
    for _ in range(3):
        pair = pair.affine(weight, bias)
    assert float(pair.folded_gap[0, 0]) == 0.0
    assert float(pair.squared_distance[0, 0]) == 0.0
    apart = GaussianPair(one, 2 * one, one, zero, zero != 0).affine(weight, bias)
    assert float(apart.folded_gap[0, 0]) > 0.0
