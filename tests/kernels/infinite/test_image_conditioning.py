"""What single images tell of a depth: those of one position are vectors; layers of sine by hand."""

import functools
import math

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.infinite import conditioning
from ntk_air.kernels.infinite.activations.by_name import as_activation
from ntk_air.kernels.infinite.image_conditioning import _follow, changes_of_pairs, probe_images
from ntk_air.kernels.infinite.pixel_covariances import BlockMoments
from ntk_air.kernels.infinite.pixel_covariances import Recipe as ImageRecipe
from ntk_air.kernels.infinite.recursion import Recipe


def test_images_of_one_position_are_followed_as_vectors_are():
    """In blocks of 64, of which the second one's are the largest norm and spread."""
    x = np.random.default_rng(0).standard_normal((2, 5)) * [[0.5], [1.0]]
    sine, numbers = as_activation("sine"), [64, 1]
    images = np.repeat(x, numbers, axis=0)[:, None, None]
    found = probe_images(
        ImageRecipe(sine, (3,), False, "ntk", True), jnp.asarray([36.0, 0]), images
    )
    dense = Recipe(sine, 4, None, "ntk"), jnp.asarray([36.0 / 9, 0])
    first, second = (conditioning.probe(*dense, jnp.asarray(row[None])) for row in x)
    assert second.spread > 1.1 * first.spread
    assert second.variance > 1.1 * first.variance
    assert_near = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    assert_near(found.spread, second.spread)
    assert_near(found.variance, second.variance)
    for of_images, *of_rows in zip(found[2:], first[2:], second[2:], strict=True):
        assert_near(of_images, np.repeat(np.concatenate(of_rows), numbers))


def moments_by_hand(n_convolutions, variance, share):
    """Of positions that are all alike, with q and E[sin² u] = (1 − e^{−2q})/2 in each layer."""
    before, behind = [], []
    for _ in range(n_convolutions):
        before.append(variance)
        behind.append(share * variance)
        variance = (1 - math.exp(-2 * behind[-1])) / 2
    return before, behind, variance


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_layers_and_poolings_multiply_a_distance_and_a_kernel_by_their_slopes(kernel):
    """Two convolutions of 2 × 2 positions that see each other, a pooling, one of one position."""
    weight = 8.0
    shares = 4 * weight / 9, weight / 9
    first = moments_by_hand(2, 0.7, shares[0])
    second = moments_by_hand(1, first[2], shares[1])
    spread, ntk = 1.0, 0.7
    for share, (_, behind, _) in zip(shares, (first, second), strict=True):
        for q in behind:
            moment, slope = (1 - math.exp(-2 * q)) / 2, (1 + math.exp(-2 * q)) / 2
            spread *= slope * q / moment
            ntk = moment + slope * share * ntk

    def filled(parts, side):
        before, behind, last = (np.asarray(part)[..., None, None, None] for part in parts)
        before, behind = (
            jnp.broadcast_to(part, (len(part), side, side, 1)) for part in (before, behind)
        )
        within = jnp.zeros((1, 1, 1)) if side > 1 else None
        return BlockMoments(before, behind, jnp.broadcast_to(last, (side, side, 1)), within)

    recipe = ImageRecipe(as_activation("sine"), (2, 1), False, kernel, True)
    moments, one = [filled(first, 2), filled(second, 1)], jnp.ones(())
    found, amplified = _follow(recipe, jnp.asarray([weight, 0]), moments, one)
    wanted = ntk if kernel == "ntk" else second[2]
    np.testing.assert_allclose(found, weight * wanted, rtol=1e-12)
    np.testing.assert_allclose(amplified, spread, rtol=1e-12)


def test_what_a_rounding_changes_is_relative_to_the_kernel_or_to_the_images_own():
    matrix = jnp.asarray([[8.0, 0.0], [1.0, -3.0]])
    scales = jnp.asarray([4.0, 1.0]), jnp.asarray([9.0, 0.0])
    changes = changes_of_pairs(matrix, matrix + 0.6, scales)
    # Roots of the products of variances are 6, 0 and 3, 0.
    np.testing.assert_allclose(changes, [[0.6 / 8, 0], [0.6 / 3, 0.6 / 3]], rtol=1e-14)
