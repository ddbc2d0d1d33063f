"""Images of another size: means of the pixels that a smaller one covers."""

import numpy as np
import pytest

from ntk_air.data import ClassLabels, Dataset, load_dataset

IMAGES = np.random.default_rng(0).random((2, 6, 8, 3))


def resized(images, height, width):
    labels = ClassLabels(np.zeros(len(images), int), class_names=["a", "b"])
    return Dataset(images, labels).resized(height, width).inputs


def test_a_plane_stays_a_plane_and_a_constant_a_constant():
    rows = np.broadcast_to(np.arange(16)[None, :, None, None] / 15, (1, 16, 4, 1))
    small = resized(rows, 8, 4)
    # Away from the rim, a pair of rows becomes its mean.
    np.testing.assert_allclose(small[0, 1:-1, 0, 0], np.arange(16).reshape(8, 2).mean(1)[1:-1] / 15)
    np.testing.assert_allclose(resized(np.full((2, 5, 7, 1), 0.25), 3, 9), 0.25)


def test_every_image_and_channel_is_on_its_own():
    small = resized(IMAGES, 3, 4)
    assert small.shape == (2, 3, 4, 3)
    np.testing.assert_array_equal(small[1:, :, :, 2:], resized(IMAGES[1:, :, :, 2:], 3, 4))
    np.testing.assert_allclose(resized(IMAGES, 6, 8), IMAGES, atol=1e-7)


def test_data_sets_keep_their_labels():
    data = load_dataset("digits", n_train=12, n_test=5)
    small = data.resized(4, 4)
    assert small.inputs.shape == (12, 4, 4, 1)
    assert small.test_inputs.shape == (5, 4, 4, 1)
    np.testing.assert_array_equal(small.clean_labels, data.clean_labels)


@pytest.mark.parametrize(
    ("images", "size", "message"),
    [
        (IMAGES[0], (2, 2), r"inputs must be images, shape .* got shape \(6, 8, 3\)"),
        (IMAGES, (0, 2), r"height must be .* at least 1; got 0"),
        (IMAGES, (2, 0), r"width must be .* at least 1; got 0"),
    ],
)
def test_bad_arguments_are_refused(images, size, message):
    with pytest.raises(ValueError, match=message):
        resized(images, *size)
