"""Inputs of data sets: pixels, channels, the scales of parts and columns, numbers of any size."""

import numpy as np
import pytest

from ntk_air.data import ClassLabels, Dataset, DataWarning
from ntk_air.data.draws import generator
from tests.helpers.type_checks import without_type_checks

LABELS = np.arange(8) % 2
TABLE = generator(0, "test inputs").random((8, 3)) - 0.5
IMAGES = generator(1, "test inputs").random((8, 6, 5, 3))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((IMAGES * 255).astype(np.uint8), r"must not be uint8.* \(8, 6, 5, 3\): divide pixels"),
        ((TABLE * 255).astype(np.uint8), "must not be uint8, as pixels in 0 … 255 are"),
        (IMAGES * 255, r"must be images with pixels in \[0, 1\], or standardised; got pixels from"),
        (IMAGES * 16, r"must be images with pixels in \[0, 1\]"),
        (IMAGES * 255 - 128, r"must be images with pixels in \[0, 1\]"),
    ],
)
@pytest.mark.parametrize("part", ["inputs", "test_inputs"])
def test_images_that_are_not_as_documented_are_refused(part, inputs, message):
    fine = np.full(inputs.shape, 0.5)
    train, test = (inputs, fine) if part == "inputs" else (fine, inputs)
    with pytest.raises(ValueError, match=f"{part} {message}"):
        Dataset(train, LABELS, test=(test, LABELS))


@pytest.mark.parametrize("images", [np.moveaxis(IMAGES, -1, 1), IMAGES[:, None, :, :, 0]])
def test_images_with_their_channels_first_are_refused(images):
    with pytest.raises(ValueError, match=r"inputs must be images of shape .* channels first: np"):
        Dataset(images, LABELS)


@pytest.mark.parametrize(
    "inputs",
    [IMAGES, 6 * IMAGES - 3, 1.2 * IMAGES, IMAGES[:, :1], IMAGES[:, :3, :4], IMAGES[..., 0]],
)
def test_pixels_in_0_1_and_standardised_ones_are_taken_as_they_are(inputs):
    np.testing.assert_array_equal(Dataset(inputs, LABELS).inputs, inputs)


@pytest.mark.parametrize("factor", [255, 1000, 1 / 255])
def test_parts_of_different_scales_are_refused(factor):
    with pytest.raises(ValueError, match="test_inputs must be on the scale of inputs; got rows of"):
        Dataset(TABLE, LABELS, test=(TABLE * factor, LABELS))


@pytest.mark.parametrize("factor", [5, 0.2, 0])
def test_parts_that_samples_can_be_are_taken(factor):
    test = TABLE[:1] * factor
    np.testing.assert_array_equal(Dataset(TABLE, LABELS, test=(test, [0])).test_inputs, test)


def test_columns_of_scales_thousands_apart_are_said():
    with pytest.warns(DataWarning, match=r"column 1 holds values up to .*e\+03 and column 0 up to"):
        data = Dataset(TABLE * [0.3, 9000, 1], LABELS)
    np.testing.assert_array_equal(data.inputs, TABLE * [0.3, 9000, 1])


@pytest.mark.parametrize("inputs", [TABLE * [1, 200, 0], TABLE * 0, (IMAGES > 0.9) / 255.0])
def test_other_columns_are_not_spoken_of(inputs):
    assert Dataset(inputs, LABELS).n_train == 8  # warnings are errors here


@pytest.mark.parametrize("scale", [1e200, 1e-200, 5e-324])
def test_inputs_of_any_size_are_normalised(scale):
    inputs = np.array([[3.0, 4.0], [-6.0, 8.0], [0.0, 5.0]]) * [[1], [scale], [1]]
    unit = Dataset(inputs, ClassLabels([0, 0, 1])).normalised().inputs
    expected = [0.6, 0.8] if scale > 1e-300 else np.array([6, 8]) / 10
    np.testing.assert_allclose(np.abs(unit[1]), expected, rtol=1e-15)
    np.testing.assert_allclose(unit[::2], [[0.6, 0.8], [0, 1]], rtol=1e-15)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 1, "must hold every class from 0 on, .* got the classes 1, 2"),
        (LABELS * 2, "got the classes 0, 2"),
        (LABELS * 2**40, "got the classes 0, 1099511627776"),
        (np.full(8, 2**64 - 1, np.uint64), r"below 2\^63; got 18446744073709551615"),
        (LABELS == 1, "clean_labels must hold real numbers; got dtype bool"),
        ([0, 1, True, 0, 1, 0, 1, 0], "got True among them at row 2"),
        (np.ma.array(LABELS, mask=LABELS == 1), "must have all its values; .* first at row 1"),
        ([0, 1, None, 0, 1, 0, 1, 0], "got objects, such as None"),
        (LABELS.astype("m8[s]"), "got dtype timedelta64"),
        (["0", "1"] * 4, "got dtype <U1: text is not read as numbers"),
        (ClassLabels(LABELS, class_names="ab"), "class_names must be a list of names; got 'ab'"),
        (ClassLabels(LABELS, probabilities=np.ones((8, 2))), "probabilities must have rows that"),
    ],
)
def test_labels_that_are_no_class_indices_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        Dataset(TABLE, labels)


def test_classes_that_are_only_held_out_are_said():
    with pytest.warns(DataWarning, match="classes without a single training example: '2'"):
        data = Dataset(TABLE, LABELS, test=(TABLE, np.arange(8) % 3))
    assert data.n_classes == 3
    named = ClassLabels(LABELS + 1, class_names=["x", "a", "b"])
    assert Dataset(TABLE, named).n_classes == 3


@pytest.mark.parametrize("test", [TABLE, (TABLE, LABELS, LABELS), "ab"])
def test_the_held_out_part_is_a_pair(test):
    with (
        without_type_checks(),
        pytest.raises(ValueError, match="test must be a pair, inputs and labels; got"),
    ):
        Dataset(TABLE, LABELS, test=test)
