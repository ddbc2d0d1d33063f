"""A user's own .npz and .csv files."""

import gzip
import warnings
import zipfile

import numpy as np
import pytest

from ntk_air.data import DataFileError, DataWarning, load_dataset
from tests.data.writers import random_bytes

HELD_OUT = {"test_inputs": np.full((3, 2), 20.0), "test_labels": np.arange(3) % 2}


def _npz(path, **changes):
    arrays = {"inputs": np.arange(40.0).reshape(20, 2), "labels": np.arange(20) % 2} | changes
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    return path


def test_npz_arrays_are_taken_as_they_are(tmp_path):
    path = _npz(tmp_path / "mine.npz")
    data = load_dataset("npz", path=path, n_test=0)
    np.testing.assert_array_equal(data.inputs, np.arange(40.0).reshape(20, 2))
    np.testing.assert_array_equal(data.clean_labels, np.arange(20) % 2)
    assert load_dataset("npz", path=str(path)).n_test == 4
    assert "mine.npz" in data.source


def test_npz_pixels_are_scaled_and_get_a_channel(tmp_path):
    images = random_bytes((20, 5, 5))
    data = load_dataset("npz", path=_npz(tmp_path / "a.npz", inputs=images), n_test=0)
    np.testing.assert_allclose(data.inputs[..., 0], images / 255)


def test_npz_noisy_labels_and_their_measured_noise(tmp_path):
    noisy = np.where(np.arange(20) < 4, 1 - np.arange(20) % 2, np.arange(20) % 2)
    data = load_dataset("npz", path=_npz(tmp_path / "a.npz", noisy_labels=noisy), n_test=0)
    np.testing.assert_array_equal(data.noisy_labels, noisy)
    np.testing.assert_allclose(data.transition_matrix(), [[0.8, 0.2], [0.2, 0.8]])


def test_npz_held_out_part_and_labels_of_any_kind(tmp_path):
    names = np.array(["cat", "ant", "bee"])
    path = _npz(
        tmp_path / "a.npz",
        labels=names[np.arange(20) % 3],
        test_inputs=np.ones((3, 2)),
        test_labels=names,
    )
    data = load_dataset("npz", path=path)
    assert data.class_names == ("ant", "bee", "cat")
    np.testing.assert_array_equal(data.test_labels, [2, 0, 1])
    assert [data.class_names[label] for label in data.clean_labels[:3]] == ["cat", "ant", "bee"]
    shifted = load_dataset("npz", path=_npz(path, labels=np.arange(20) % 2 * 5 - 3), n_test=0)
    assert shifted.class_names == ("-3", "2")


def test_npz_class_names_fix_the_number_of_classes(tmp_path):
    path = _npz(tmp_path / "a.npz", class_names=np.array(["x", "y", "z"]))
    assert load_dataset("npz", path=path).class_names == ("x", "y", "z")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, r"must hold an array 'labels'; got \['inputs'\]"),
        ({"test_inputs": np.ones((3, 2))}, "both test_inputs and test_labels, or neither"),
        ({"labels": np.zeros(19, int)}, "as many labels as inputs; got 19 and 20"),
        ({"labels": np.zeros(20)}, r"labels must be a vector of integers, truth .* float64"),
        ({"labels": np.zeros((20, 1), int)}, r"labels must be a vector .* shape \(20, 1\)"),
        ({"noisy_labels": np.arange(19) % 2}, "as many noisy_labels as labels; got 19 and 20"),
        ({"class_names": np.array(["x"])}, "labels must be integers in 0 … 0"),
        ({"labels": np.array([{}] * 20)}, "is no readable .npz file of plain arrays"),
        (
            {"labels": (np.arange(20) % 2).astype("m8[s]")},
            r"labels must be a vector .* timedelta64",
        ),
        (
            {"labels": np.array(["1", "1.0"] * 10)},
            "labels, row 1 must write its class .* got '1.0'",
        ),
        ({"labels": np.array(["a", ""] * 10)}, "labels, row 1 must hold a label; got ''"),
        ({"labels": np.array([b"a", b"\xff"] * 10)}, "labels is not text in UTF-8"),
        ({"noisy_labels": np.array(["0", "1"] * 10)}, "labels that are all integers or all text"),
        (
            {"class_names": np.array(["x", "y"]), "noisy_labels": np.arange(20) % 3},
            "noisy_labels must be integers in 0 … 1; got 2 in row 2",
        ),
        (
            {"class_names": np.array(["x", "y"]), "labels": np.array(["x", "y"] * 10)},
            "labels must be a vector of integers in 0 … 1, which class_names name",
        ),
        ({"class_names": np.array("xy")}, r"class_names must be a vector of .* got shape \(\)"),
        ({"class_names": np.array([0.5, 1])}, "class_names must be a vector of .* type float64"),
        ({"x_train": np.ones((20, 2))}, "must hold each array once; got 'inputs' twice"),
        ({"noisy_label": np.arange(20) % 2}, "must hold none but the arrays .* got 'noisy_label'"),
        ({"inputs": np.ones((20, 2)) * 1j}, "inputs must hold real numbers; got dtype complex128"),
        ({"inputs": np.ones((20, 2), bool)}, "inputs must hold real numbers; got dtype bool"),
        ({"inputs": np.ones((20, 2)).astype("M8[s]")}, "inputs must hold .* got dtype datetime64"),
        (
            {"inputs": np.array([["1", "2"]] * 20)},
            "inputs must hold .* text is not read as numbers",
        ),
        ({"inputs": np.array([[1.0, np.nan]] * 20)}, "inputs must be finite; .* in 20 rows: 0, 1"),
        ({"inputs": np.array([[1, 2**53 + 1]] * 20)}, "inputs must hold .* got 9007199254740993"),
        ({"inputs": np.array(1.0)}, r"inputs must have shape \(n, \*features\); got a single"),
        (
            {"inputs": np.full((20, 3, 3, 1), 255.0)},
            r"inputs must be images with pixels in \[0, 1\]",
        ),
        ({"inputs": np.zeros((20, 3, 8, 8), np.uint8)}, "inputs must be images .* channels first"),
        (
            {"inputs": np.ones((20, 2), np.uint8)} | HELD_OUT,
            "inputs and test_inputs of one type; got uint8 and float64",
        ),
        (
            HELD_OUT | {"test_inputs": np.full((3, 2), 5100.0)},
            "test_inputs must be on the scale of inputs; got rows of norm 7.21e[+]03",
        ),
    ],
)
def test_wrong_npz_files_are_named(tmp_path, changes, message):
    path = _npz(tmp_path / "mine.npz", **changes)
    with pytest.raises(DataFileError, match=f"mine.npz.*{message}"):
        load_dataset("npz", path=path)


def test_npz_labels_of_bytes_and_of_other_integers_are_what_they_say(tmp_path):
    names = np.array([b"no", b"yes"])[np.arange(20) % 2]
    assert load_dataset("npz", path=_npz(tmp_path / "a.npz", labels=names)).class_names == (
        "no",
        "yes",
    )
    unsigned = (np.arange(20) % 2).astype(np.uint64)
    path = _npz(tmp_path / "b.npz", noisy_labels=unsigned + np.uint64(2**64 - 2))
    with pytest.warns(DataWarning, match="'18446744073709551614'"):
        data = load_dataset("npz", path=path)
    assert data.class_names == ("0", "1", "18446744073709551614", "18446744073709551615")


def test_an_array_that_is_twice_in_the_archive_is_refused(tmp_path):
    path = _npz(tmp_path / "a.npz")
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("inputs.npy", archive.read("inputs.npy"))
    with pytest.raises(DataFileError, match=r"a.npz must hold each array once; got 'inputs' twice"):
        load_dataset("npz", path=path)


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"text"])
def test_damaged_npz_files_are_named(tmp_path, damage):
    path = _npz(tmp_path / "mine.npz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataFileError, match=r"mine.npz is no readable .npz file"):
        load_dataset("npz", path=path)


def test_a_missing_own_file_is_a_file_not_found(tmp_path):
    for name in ("npz", "csv"):
        with pytest.raises(FileNotFoundError):
            load_dataset(name, path=tmp_path / "none")


TABLE = """height, weight, label, guess
1.5, 2, yes, yes
2.5, 4, no, yes
3.5, 6, yes, no
4.5, 8, no, no
"""


@pytest.mark.parametrize("packed", [False, True])
def test_csv_columns_are_inputs_and_labels(tmp_path, packed):
    path = tmp_path / "table.csv"
    content = TABLE.encode("utf-8-sig")
    path.write_bytes(gzip.compress(content) if packed else content)
    data = load_dataset("csv", path=path, noisy_label_column="guess", n_test=0)
    np.testing.assert_array_equal(data.inputs, [[1.5, 2], [2.5, 4], [3.5, 6], [4.5, 8]])
    assert data.class_names == ("no", "yes")
    np.testing.assert_array_equal(data.clean_labels, [1, 0, 1, 0])
    np.testing.assert_array_equal(data.noisy_labels, [1, 1, 0, 0])
    np.testing.assert_allclose(data.transition_matrix(), np.full((2, 2), 0.5))


def test_csv_labels_that_are_numbers_sort_as_numbers(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("x,y\n" + "\n".join(f"{i},{[2, 10, 1][i % 3]}" for i in range(9)))
    data = load_dataset("csv", path=path, label_column="y", n_test=0)
    assert data.class_names == ("1", "2", "10")
    assert data.inputs.shape == (9, 1)


def test_csv_can_be_standardised(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    data = load_dataset("csv", path=path, noisy_label_column="guess", standardise=True, n_test=0)
    np.testing.assert_allclose(data.inputs.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(data.inputs.std(axis=0), 1, atol=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,label\n", "must hold a header and at least one row; got 1 rows"),
        ("x,y\n1,2\n", r"has no column 'label'; its columns are \['x', 'y'\]"),
        ("x,label\n1,a\n2\n", "row 3 has 1 cells; the header has 2"),
        ("x,label\n1,a\nhigh,b\n", "row 3, column 'x' must hold a number; got 'high'"),
        ("x,label\n1,a\n,b\n", "row 3, column 'x' must hold a number; got ''"),
    ],
)
def test_wrong_csv_files_are_named(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataFileError, match=f"table.csv.*{message}"):
        load_dataset("csv", path=path)


def test_csv_must_be_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"x,label\n\xff\xfe,a\n")
    with pytest.raises(DataFileError, match=r"table.csv is not text in UTF-8"):
        load_dataset("csv", path=path)
