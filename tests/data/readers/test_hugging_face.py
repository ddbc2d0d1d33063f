"""Sets of Hugging Face's package, on disk, that the tests make."""

import sys

import numpy as np
import pytest
from PIL import Image

import ntk_air as na
from ntk_air.data import DataFileError

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A set of two splits, with numbers, categories and named classes."""
    folder = tmp_path_factory.mktemp("sets") / "iris2"
    label = datasets.ClassLabel(names=["setosa", "virginica"])

    def split(n, first):
        columns = {
            "x": [float(i) for i in range(n)],
            "kind": ["ab"[i % 2] for i in range(n)],
            "label": [(first + i) % 2 for i in range(n)],
        }
        return datasets.Dataset.from_dict(columns).cast_column("label", label)

    datasets.DatasetDict({"train": split(6, 0), "test": split(3, 1)}).save_to_disk(folder)
    return folder


def test_splits_are_parts_and_classes_have_their_names(table):
    data = na.Dataset.from_huggingface(table, one_hot=["kind"])
    assert (data.class_names, data.name) == (("setosa", "virginica"), "iris2")
    np.testing.assert_array_equal(data.clean_labels[np.argsort(data.inputs[:, 0])], [0, 1] * 3)
    assert (data.n_test, data.inputs.shape) == (3, (6, 3))
    assert na.load_dataset("hf", path=table, leave_out=("kind",)).inputs.shape == (6, 1)


def test_images_are_pixels_of_one_size(tmp_path):
    pictures = [Image.fromarray(np.full((6, 4), 40 * i, np.uint8)) for i in range(6)]
    made = datasets.Dataset.from_dict({"image": pictures, "label": [0, 1] * 3})
    made.cast_column("image", datasets.Image()).save_to_disk(tmp_path / "grey")
    data = na.Dataset.from_huggingface(tmp_path / "grey", n_test=2)
    assert data.inputs.shape == (4, 6, 4, 1)
    for image, label in zip(data.inputs, data.clean_labels, strict=True):
        assert round(image[0, 0, 0] * 255) % 80 == 40 * label
    assert na.Dataset.from_huggingface(tmp_path / "grey", image_size=3).inputs.shape[1:3] == (3, 3)


def test_what_is_no_set_or_lacks_labels_is_refused(table, tmp_path, monkeypatch):
    with pytest.raises(DataFileError, match=r"column 'kind' must hold numbers.*one_hot"):
        na.Dataset.from_huggingface(table)
    with pytest.raises(DataFileError, match="has no column 'species'; it has"):
        na.Dataset.from_huggingface(table, label_column="species")
    with pytest.raises(DataFileError, match=r"hf:.* cannot be loaded: FileNotFoundError"):
        na.Dataset.from_huggingface(tmp_path)
    held_back = datasets.Dataset.from_dict({"x": [1.0, 2.0], "label": [0, -1]})
    held_back = held_back.cast_column("label", datasets.ClassLabel(names=["a", "b"]))
    held_back.save_to_disk(tmp_path / "held_back")
    with pytest.raises(DataFileError, match="row 1, column 'label' must hold a value"):
        na.Dataset.from_huggingface(tmp_path / "held_back")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install \"ntk-air\[hf\]\""):
        na.Dataset.from_huggingface(table)
