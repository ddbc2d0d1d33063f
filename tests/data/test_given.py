"""Data sets of what is at hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_diabetes, load_wine

import ntk_air as na
from ntk_air.data import DataFileError

INPUTS = np.arange(24.0).reshape(12, 2)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([-1, 1] * 6, ("-1", "1")),
        (np.array([False, True] * 6), ("False", "True")),
        ([1, 2, 3] * 4, ("1", "2", "3")),
        (["no", "yes"] * 6, ("no", "yes")),
        (pd.Series(["no", "yes"] * 6), ("no", "yes")),
    ],
)
def test_arrays_come_with_labels_of_any_kind(labels, names):
    data = na.Dataset.from_arrays(INPUTS, labels, n_test=3, seed=1)
    assert data.class_names == names
    assert (data.n_train, data.n_test) == (9, 3)
    for row, label in zip(data.rows.train, data.clean_labels, strict=True):
        assert names[label] == str(list(labels)[row])
    np.testing.assert_array_equal(data.inputs, INPUTS[data.rows.train])


def test_an_official_test_part_stays_it_and_bytes_are_pixels():
    images = np.arange(8 * 9, dtype=np.uint8).reshape(8, 3, 3)
    test = (images[:2] + np.uint8(100), ["a", "b"])
    data = na.Dataset.from_arrays(images, ["a", "b"] * 4, test=test, name="mine")
    assert (data.n_train, data.n_test, data.name) == (8, 2, "mine")
    np.testing.assert_allclose(data.inputs[..., 0], images[data.rows.train] / 255)
    np.testing.assert_allclose(data.test_inputs[..., 0].min(), 100 / 255)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.linspace(0, 1, 12), {}, "arrays: labels must be a vector of integers, truth values"),
        ([None, "a"] * 6, {}, "labels must be of one type; got NoneType, str"),
        ([1, True] * 6, {}, "labels must be of one type; got bool, int"),
        (np.array(["a", None] * 6, object), {}, "labels must all be texts, .* got None in row 1"),
        ([0, 1] * 5, {}, "as many labels as inputs; got 10 and 12"),
        ([0, 1] * 6, {"test": INPUTS}, "test must be a pair"),
        ([0, 1] * 6, {"n_tests": 3}, r"options must be among .*; got \['n_tests'\]"),
        ([0, 1] * 6, {"n_test": 1.5}, "n_test must be a whole number"),
        ([0, 1] * 6, {"leave_out": ("a",)}, r"options must be among .*; got \['leave_out'\]"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(labels, options, message):
    with pytest.raises(ValueError, match=message):
        na.Dataset.from_arrays(INPUTS, labels, **options)


def test_a_bunch_of_scikit_learn_is_a_data_set():
    bunch: Any = load_wine()
    data = na.Dataset.from_table(bunch, n_test=0, standardise=True)
    assert data.class_names == tuple(bunch.target_names)
    np.testing.assert_array_equal(data.clean_labels, bunch.target[data.rows.train])
    np.testing.assert_allclose(data.inputs.std(axis=0), 1)
    whole: Any = load_wine(as_frame=True)
    frame = whole.frame
    table = na.Dataset.from_table(frame, "target", n_test=0, standardise=True, leave_out=["ash"])
    assert table.inputs.shape == (178, 12)
    with pytest.raises(ValueError, match="leave_out must be left out for a Bunch"):
        na.Dataset.from_table(bunch, leave_out=["ash"])
    with pytest.raises(DataFileError, match=r"labels must be a vector of integers.*float64"):
        na.Dataset.from_table(load_diabetes())


def test_options_of_tables_are_what_they_are_asked_to_be():
    table = pd.DataFrame({"x": [1.0, 2, 3, 4], "y": [0, 1, 0, 1], "label": [0, 1, 1, 0]})
    noisy = na.Dataset.from_table(table, noisy_label_column="y", n_test=0)
    assert noisy.noise_fraction == 0.5
    with pytest.raises(ValueError, match="standardise must be True or False; got 1"):
        na.Dataset.from_table(table, standardise=1)
    with pytest.raises(ValueError, match="leave_out must be a list; got 'x'"):
        na.Dataset.from_table(table, leave_out="x")
    with pytest.raises(ValueError, match=r"options must be among .*; got \['one_hots'\]"):
        na.Dataset.from_table(table, one_hots=["x"])


def test_a_folder_of_images_is_a_data_set(tmp_path):
    for i in range(8):
        folder = tmp_path / "flowers" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4 + i, 4), 30 * i, np.uint8)).save(folder / f"{i}.png")
    data = na.Dataset.from_image_folder(tmp_path / "flowers", image_size=5, n_test=2)
    assert (data.inputs.shape, data.class_names, data.name) == ((6, 5, 5, 1), ("a", "b"), "flowers")
