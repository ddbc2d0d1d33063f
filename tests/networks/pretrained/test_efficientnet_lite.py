"""EfficientNet-Lite0 against the torch original, and its resizing against Pillow's."""

import functools

import jax
import numpy as np
import pytest
from PIL import Image

from ntk_air.networks.pretrained import efficientnet_lite
from tests.helpers.lowering import assert_lowers
from tests.networks.pretrained.original import N_BLOCKS, ORIGINAL, SMALL, WIDE

SINGLE = np.finfo(np.float32).eps


def in_pillow(images, size):
    """Each channel in floating point, clipped after each pass as 8-bit pixels are."""
    planes = np.moveaxis(np.asarray(images, np.float32), 3, 1)
    for shape in ((size, planes.shape[2]), (size, size)):
        planes = np.stack([[
            np.asarray(Image.fromarray(plane).resize(shape, Image.Resampling.BICUBIC)).clip(0, 1)
            for plane in image] for image in planes])  # fmt: skip
    return np.moveaxis(planes, 1, 3)


def pixels(images, size):
    """What the network gets, on the scale of 0 … 255."""
    return np.asarray(efficientnet_lite.prepared(images.astype(np.float32), size)) * 128 + 127


@pytest.mark.parametrize(("images", "size"), [(SMALL, 64), (WIDE, 64), (WIDE, 32)])
def test_images_are_resized_as_pillow_does_it_in_floating_point(images, size):
    expected = 255 * in_pillow(images, size)
    assert np.abs(pixels(images, size) - expected).max() < 255 * 20 * SINGLE


def test_images_are_resized_as_pillow_does_it_in_8_bits_up_to_rounding():
    extremes = (np.random.default_rng(0).random((4, 9, 11, 3)) > 0.5) * np.uint8(255)
    for images in (ORIGINAL["small"], ORIGINAL["wide"], extremes):
        made = [Image.fromarray(image).resize((64, 64), Image.Resampling.BICUBIC)
                for image in images]  # fmt: skip
        expected = np.stack([np.asarray(image) for image in made]).astype(float)
        assert np.abs(pixels(images / 255, 64) - expected).max() <= 1.2


def test_images_of_the_size_are_left_alone_but_for_their_scale():
    images = np.random.default_rng(0).random((2, 32, 32, 3)).astype(np.float32)
    made = np.asarray(efficientnet_lite.prepared(images, 32))
    assert np.abs(made - (images * 255 - 127) / 128).max() < 4 * SINGLE


def test_grey_images_are_colour_images_of_three_equal_channels():
    colour = np.repeat(WIDE[..., :1], 3, axis=3)
    np.testing.assert_array_equal(pixels(WIDE[..., :1], 64), pixels(colour, 64))


def test_the_first_blocks_are_those_of_the_original(weights):
    params = weights.params | {"blocks": weights.params["blocks"][:N_BLOCKS]}
    first = jax.jit(efficientnet_lite.after_blocks)
    images = efficientnet_lite.prepared(WIDE.astype(np.float32), 64)
    expected = ORIGINAL["wide_blocks_64"]
    made = np.asarray(first(params, weights.statistics, images))
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_the_network_lowers_for_every_platform(weights):
    images = np.zeros((1, 8, 9, 1), np.float32)
    assert_lowers(functools.partial(efficientnet_lite.pooled, size=32), *weights, images)
