"""A folder of images by class: right rows, or a refusal that names the file."""

import numpy as np
import pytest
from PIL import Image

from ntk_air.data import load_dataset
from ntk_air.data.readers.files import DataFileError, DatasetNotFoundError
from ntk_air.data.readers.image_folder import image_folder


def save(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(path)


@pytest.fixture
def folder(tmp_path):
    for row, label in enumerate(["b", "a", "b", "a"]):
        save(tmp_path / label / f"{row}.png", np.full((2, 3), 51 * row))
    return tmp_path


def test_rows_are_sorted_by_path_and_classes_by_name(folder):
    raw = image_folder(folder)
    assert raw.class_names == ("a", "b")
    assert raw.labels.tolist() == [0, 0, 1, 1]
    assert raw.inputs.shape == (4, 2, 3, 1)
    assert raw.inputs[:, 0, 0, 0].tolist() == [51, 153, 0, 102]
    data = load_dataset("images", path=folder, n_test=0)
    assert data.inputs.max() == pytest.approx(0.6)


def test_one_image_in_colour_makes_all_of_three_channels(folder):
    colours = np.zeros((2, 3, 3))
    colours[..., 0] = 255
    save(folder / "a" / "9.png", colours)
    inputs = image_folder(folder).inputs
    assert inputs.shape == (5, 2, 3, 3)
    assert (inputs[0] == 51).all()
    assert inputs[2, 0, 0].tolist() == [255, 0, 0]


def test_a_size_brings_images_to_one(folder):
    save(folder / "a" / "9.png", np.full((5, 7), 200))
    with pytest.raises(DataFileError, match=r"images of one size.*2 × 3 and 5 × 7 in .*9\.png"):
        image_folder(folder)
    inputs = image_folder(folder, image_size=4).inputs
    assert inputs.shape == (5, 4, 4, 1)
    assert (inputs[2] == 200).all()


def test_hidden_files_do_not_count(folder):
    (folder / "a" / ".DS_Store").write_bytes(b"x")
    assert len(image_folder(folder).labels) == 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "a" / "notes.txt").write_text("x"), r"images alone.*notes\.txt"),
        (lambda folder: (folder / "a" / "9.png").write_bytes(b"x"), r"9\.png is no readable image"),
        (
            lambda folder: Image.new("RGBA", (3, 2)).save(folder / "a" / "9.png"),
            r"9\.png must be a grey or RGB image of 8 bits; got mode RGBA",
        ),
        (
            lambda folder: Image.new("I;16", (3, 2)).save(folder / "a" / "9.png"),
            r"9\.png must be a grey or RGB image of 8 bits; got mode I;16",
        ),
    ],
)
def test_what_is_no_image_is_named(folder, change, says):
    change(folder)
    with pytest.raises(DataFileError, match=says):
        image_folder(folder)


def test_no_folder_and_one_class_are_refused(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="there is none at"):
        image_folder(tmp_path / "none")
    save(tmp_path / "a" / "1.png", np.zeros((2, 2)))
    with pytest.raises(DataFileError, match="at least two subfolders"):
        image_folder(tmp_path)
    with pytest.raises(ValueError, match="image_size must be a whole number"):
        save(tmp_path / "b" / "1.png", np.zeros((2, 2)))
        image_folder(tmp_path, image_size=0)
