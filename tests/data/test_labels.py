"""The coding of theory.md section 0: ±1 for two classes, else centred one-hot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntk_air.data.labels import decode_targets, encode_labels


def test_two_classes_have_one_output_with_class_1_positive():
    np.testing.assert_array_equal(encode_labels(np.array([0, 1, 1]), 2), [[-1.0], [1.0], [1.0]])


def test_more_classes_are_one_hot_minus_one_over_their_number():
    targets = encode_labels(np.array([2, 0]), 3)
    np.testing.assert_allclose(targets, [[-1 / 3, -1 / 3, 2 / 3], [2 / 3, -1 / 3, -1 / 3]])
    np.testing.assert_allclose(targets.sum(axis=1), 0, atol=1e-15)


@given(n_classes=st.integers(2, 12), data=st.data())
def test_decoding_undoes_encoding_at_any_positive_scale(n_classes, data):
    labels = np.array(data.draw(st.lists(st.integers(0, n_classes - 1), min_size=1)))
    scale = data.draw(st.floats(1e-6, 1e6))
    np.testing.assert_array_equal(decode_targets(scale * encode_labels(labels, n_classes)), labels)


def test_ties_decode_to_the_smallest_class():
    np.testing.assert_array_equal(decode_targets(np.zeros((2, 1))), [0, 0])
    np.testing.assert_array_equal(decode_targets(np.array([[0.1, 0.3, 0.3]])), [1])


@pytest.mark.parametrize(
    ("labels", "n_classes", "message"),
    [
        (np.array([0, 3]), 3, r"labels must lie in 0 … 2; got 3 at position 1"),
        (np.array([-1, 0]), 2, r"labels must lie in 0 … 1; got -1 at position 0"),
        (np.array([0, 0]), 1, r"n_classes must be a whole number, at least 2; got 1"),
    ],
)
def test_labels_out_of_range_are_refused(labels, n_classes, message):
    with pytest.raises(ValueError, match=message):
        encode_labels(labels, n_classes)


def test_targets_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="targets must be finite; got NaN or infinity in 1 rows"):
        decode_targets(np.array([[1.0], [np.nan]]))
