"""The coding of theory.md section 0: ±1 for two classes, else centred one-hot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntk_air.data.labels import decode_targets, encode_labels
from tests.helpers.type_checks import without_type_checks


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
        (np.array([0, 1]), 2.5, r"n_classes must be a whole number, at least 2; got 2.5"),
        (np.ma.array([0, 1], mask=[False, True]), 2, "labels must have all its values"),
        (np.array([0.0, 1.0]), 2, "labels must be a vector of integer class indices"),
        (np.array([0, 1], np.dtype("m8[s]")), 2, "labels must hold real numbers; got dtype timed"),
        (np.array([0, 0]), 1, r"n_classes must be a whole number, at least 2; got 1"),
    ],
)
def test_labels_out_of_range_are_refused(labels, n_classes, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        encode_labels(labels, n_classes)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.array([[1.0], [np.nan]]), "targets must be finite; got NaN or infinity in 1 rows"),
        (np.array([1.0, -1.0]), r"targets must have shape \(n, n_out\); got \(2,\)"),
        (np.zeros((2, 0)), r"targets must have shape \(n, n_out\); got \(2, 0\)"),
        (np.array([[1j]]), "targets must hold real numbers; got dtype complex128"),
        (np.ma.array([[1.0]], mask=[[True]]), "targets must have all its values"),
    ],
)
def test_targets_that_are_none_are_refused(targets, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        decode_targets(targets)
