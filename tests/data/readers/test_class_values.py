"""Labels of files: every class is there, and written in one way."""

import numpy as np
import pytest

from ntk_air.data import DataFileError, DataWarning, load_dataset
from ntk_air.data.readers.class_values import class_indices


def indices(*texts):
    return class_indices({"labels": texts}, lambda key, index: f"file: {key} {index}")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "1.0"),
        ("1", "1e0"),
        ("1", "01"),
        ("1", "+1"),
        ("1", " 1"),
        ("1", "True"),
        ("0", "false"),
        ("0", "-0"),
        ("1", "１"),
        ("yes", "Yes"),
        ("yes", "yes\u00a0"),
        ("a b", "a  b"),
        ("x", "x\u200b"),
        ("x", "\ufeffx"),
        ("é", "e\u0301"),
    ],
)
def test_a_class_written_in_two_ways_is_refused(first, second):
    with pytest.raises(DataFileError) as caught:
        indices("other", first, first, second)
    assert str(caught.value).startswith("file: labels 3 must write its class as it is written")
    assert repr(first) in str(caught.value)
    assert repr(second) in str(caught.value)


@pytest.mark.parametrize(
    "texts",
    [
        ("-1", "0", "2", "10"),
        ("0.0", "1.0"),
        ("False", "True"),
        ("+", "-"),
        ("x\ny", "xy"),
        (f"1{'0' * 40}", f"1{'0' * 39}1"),
        ("inf", "snan"),
        ("1", "2nd"),
    ],
)
def test_different_classes_stay_different_and_in_order(texts):
    found, classes = indices(*reversed(texts), texts[0])
    assert classes == texts
    np.testing.assert_array_equal(found["labels"], [*reversed(range(len(texts))), 0])


@pytest.mark.parametrize("text", ["", " ", "nan", "NaN", "NA", "n/a", "None", "NULL", "<NA>", "?"])
def test_absent_labels_are_refused(text):
    with pytest.raises(DataFileError, match=r"^file: labels 1 must hold a label; got"):
        indices("a", text, "b")


def test_absent_labels_of_a_table_are_refused_with_their_place(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,label,noisy\n1,a,a\n2,b,\n")
    with pytest.raises(DataFileError, match=r"t.csv: row 3, column 'noisy' must hold a label"):
        load_dataset("csv", path=path, noisy_label_column="noisy")


@pytest.mark.parametrize("number", [int, float])
def test_columns_that_lost_a_value_are_not_other_classes(tmp_path, number):
    """A column of whole numbers is written as floats by those who lost a value of it."""
    path = tmp_path / "t.csv"
    rows = "".join(f"{i}.5,{i % 2},{number(i % 2 if i != 3 else 0)}\n" for i in range(10))
    path.write_text("a,label,noisy\n" + rows)
    if number is int:
        data = load_dataset("csv", path=path, noisy_label_column="noisy", n_test=0)
        assert (data.n_classes, data.noise_fraction) == (2, 0.1)
    else:
        with pytest.raises(DataFileError, match=r"row 2, column 'noisy' .* '0'; got '0.0'"):
            load_dataset("csv", path=path, noisy_label_column="noisy", n_test=0)


def test_spaces_around_a_cell_are_no_other_class(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,label\n1,1\n2, 1\n3,1\t\n4,2\n")
    assert load_dataset("csv", path=path, n_test=0).class_names == ("1", "2")


def test_a_class_that_only_annotators_know_is_said(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,label,noisy\n1,x,x\n2,y,y\n3,x,unsure\n")
    with pytest.warns(DataWarning, match="classes without a single training example: 'unsure'"):
        data = load_dataset("csv", path=path, noisy_label_column="noisy", n_test=0)
    assert data.class_names == ("unsure", "x", "y")
