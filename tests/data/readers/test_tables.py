"""Tables of text: the cells that Python's strict reader sees, and no number that is guessed."""

import csv
import io

import numpy as np
import pytest

from ntk_air.data import DataFileError, DataWarning, load_dataset
from ntk_air.data.readers.tables import read_table


def load(tmp_path, text, **options):
    path = tmp_path / "tablé with space.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_dataset("csv", path=path, n_test=0, **options)


def refused(tmp_path, text, message, **options):
    with pytest.raises(DataFileError, match=f"tablé with space.csv.*{message}"):
        load(tmp_path, text, **options)


@pytest.mark.parametrize(
    "text",
    [
        "a,label\r\n1,x\r\n2,y\r\n",
        "a,label\r1,x\r2,y",
        'a,label\n1,"x\ny"\n2,xy\n3,z\n',
        'a,label\n1,"x\r\ny"\n2,z\n\n\n',
        "a,label\n1,x\u2028y\n2,z\n",
        "a,label\n1,x\x85y\n2,z\n",
        "a,label\n1,x\x0cy\n2,x\x1cz\n",
        'a,label\n1,"say ""x"""\n2,x"y\n',
        'a,label\n1,"x,y"\n2,z\n',
        "a,label\n1,x\n2," + "y" * 100_000 + "\n",
    ],
)
def test_labels_are_the_cells_that_the_strict_reader_sees(tmp_path, text):
    data = load(tmp_path, text)
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert [data.class_names[index] for index in data.clean_labels] == [
        row[1] for row in rows[1:] if row
    ]
    with_mark = load(tmp_path, "\ufeff" + text)
    assert with_mark.content_hash == data.content_hash


@pytest.mark.parametrize("text", ["1", " 1\t", "-.5", "+5.e3", "0e-400", "0.1234567890123456789"])
def test_decimal_numbers_are_read_as_python_does(tmp_path, text):
    got = load(tmp_path, f"a,label\n{text},x\n2,y\n").inputs[0, 0]
    assert got == float(text)
    assert load(tmp_path, f"a,label\n{2**53},x\n2,y\n").inputs[0, 0] == 2**53


@pytest.mark.parametrize(
    "cell",
    ["", "nan", "NA", "inf", "True", "1j", "0x1", "1_0", "１", "1 000", '"1,5"', '"1\n2"', "1d3"],
)
def test_what_is_no_decimal_number_is_refused(tmp_path, cell):
    text = f"a,b,label\n1,2,x\n1,{cell},y\n"
    refused(tmp_path, text, r"row 3, column 'b' must hold a number; got")


@pytest.mark.parametrize("cell", ["1e400", "-1e400", "1e-400", f"{2**53 + 1}", f"{2**53 + 1}.0"])
def test_numbers_that_float64_does_not_hold_are_refused(tmp_path, cell):
    text = f"a,label\n{cell},x\n2,y\n"
    refused(tmp_path, text, f"row 2, column 'a' must hold a number that float64 holds; got '{cell}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a,label\n0,q\n1,"x\n2,y\n3,z\n', "row 3 must be cells .* their quotes closed .*end of"),
        ('a,label\n1,"x"y\n2,z\n', "row 2 must be cells .* nothing behind them"),
        ("a,label\n1," + "x" * 140_000 + "\n2,y\n", "row 2 must be cells .* field limit"),
        ("a,label\n1,x\n\n2,y\n", "row 3 must hold cells; got an empty line"),
        ("\na,label\n1,x\n2,y\n", "row 1 must hold cells; got an empty line"),
        ("", "must hold a header and at least one row; got 0 rows"),
        ("a,label\n1,x,3\n2,y\n", "row 2 has 3 cells; the header has 2"),
        ("a,label,label\n1,x,y\n", "different names; got 'label' as columns 2 and 3"),
        (",a,label\n0,1,x\n", "column 1 must have a name in the header; got an empty one"),
        ("label\nx\ny\n", r"must have columns of inputs; got \['label'\] alone"),
        ("a;label\n1;x\n", r"has no column 'label'; its columns are \['a;label'\]"),
        ("a,label\n1,x\n2,y\n".encode("utf-16"), "not text in UTF-8: line 1.*begins as UTF-16"),
        ("a,label\n1,x\n2,y\n".encode("utf-16-le"), "line 1 holds a NUL byte, as .* UTF-16 do"),
        ("a,label\n1,é\n2,y\n".encode("latin-1"), "not text in UTF-8: line 2: .*byte 0xe9"),
        ("a,label\n1,x\n2,y\0\n", "not text in UTF-8: line 3 holds a NUL byte"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path, text, message):
    refused(tmp_path, text, message)


@pytest.mark.parametrize("header", ["5.1,3.5,1", "5,3,1", "1,1.0,2"])
def test_a_row_of_data_is_not_taken_for_the_header(tmp_path, header):
    text = f"{header}\n1,2,0\n3,4,1\n"
    label = header.rpartition(",")[2]
    refused(tmp_path, text, "must have a header of names; got the numbers", label_column=label)


@pytest.mark.parametrize("header", ["0,1,2", "1,2,3", "400,402,label"])
def test_columns_may_be_named_by_numbers(tmp_path, header):
    label = header.rpartition(",")[2]
    data = load(tmp_path, f"{header}\n1,2,0\n3,4,1\n", label_column=label)
    np.testing.assert_array_equal(data.inputs, [[1, 2], [3, 4]])


def test_one_column_is_not_clean_and_noisy_labels(tmp_path):
    with pytest.raises(
        ValueError, match=r"columns must be of one kind .label, noisy label.*; got 'label' twice"
    ):
        load(tmp_path, "a,label\n1,x\n2,y\n", noisy_label_column="label")


def test_plain_rows_are_read_as_others_are(tmp_path):
    """A row of plain numbers takes a short way past the checks of single cells."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(20, 3)) * 10.0 ** rng.integers(-3, 4, (20, 3))
    path = tmp_path / "t.csv"
    lines = [",".join(repr(float(value)) for value in row) for row in numbers]
    path.write_text("a,b,c\n" + "\n".join(lines))
    np.testing.assert_array_equal(read_table(path).numbers(["a", "b", "c"]), numbers)


def test_constant_columns_cannot_be_standardised(tmp_path):
    for value in ("7", "0.1", "0"):  # the mean of three 0.1 is another number
        text = "a,b,label\n" + "".join(f"{i},{value},{'xy'[i % 2]}\n" for i in range(3))
        message = f"column 'b' must vary over the 3 training rows .* got {float(value)} in each"
        refused(tmp_path, text, message, standardise=True)
        assert load(tmp_path, text).inputs.shape == (3, 2)


@pytest.mark.parametrize("scale", [1e200, 1e-200, 3.0])
def test_columns_of_any_size_are_standardised(tmp_path, scale):
    text = "a,label\n" + "".join(f"{i * scale!r},{'xy'[i % 2]}\n" for i in (1, 2, 4))
    got = load(tmp_path, text, standardise=True).inputs[:, 0]
    wanted = (np.array([1, 2, 4]) - 7 / 3) / np.std([1, 2, 4])
    np.testing.assert_allclose(got, wanted, rtol=1e-13)


def test_columns_thousands_apart_are_said_and_not_changed(tmp_path):
    text = "a,b,label\n0.5,4000,x\n0.25,5000,y\n"
    with pytest.warns(DataWarning, match=r"column 1 .* up to 5e\+03 and column 0 up to 0.5"):
        data = load(tmp_path, text)
    np.testing.assert_array_equal(data.inputs, [[0.5, 4000], [0.25, 5000]])
