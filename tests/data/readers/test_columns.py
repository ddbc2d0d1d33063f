"""Tables of text and typed tables: what becomes of each column, and what is refused."""

import importlib.util

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ntk_air.data import DataFileError, load_dataset
from ntk_air.data.readers.columns import ColumnRoles, raw_set
from ntk_air.data.readers.frames import frame_of, read_frame
from ntk_air.data.readers.tables import read_table

COLUMNS = {
    "id": ["p1", "p2", "p3", "p4", "p5", "p6"],
    "age": [30.5, 41.0, 52.0, 28.0, 33.5, 47.0],
    "colour": ["red", "blue", "red", "green", "blue", "red"],
    "visits": [3, 1, 4, 1, 5, 9],
    "label": ["ill", "well", "ill", "well", "well", "ill"],
}
ROLES = ColumnRoles(leave_out=("id",), one_hot=("colour",))


def as_csv(path, columns):
    names = list(columns)
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([",".join(names), *rows]) + "\n")
    return read_table(path)


TABLES = {
    "csv": lambda columns, folder: as_csv(folder / "mine.csv", columns),
    "pandas": lambda columns, _: frame_of(pd.DataFrame(columns)),
    "polars": lambda columns, _: frame_of(pl.DataFrame(columns, strict=False)),
    "pandas categories": lambda columns, _: frame_of(
        pd.DataFrame(columns).astype({"colour": "category", "label": "category"})
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_columns_are_left_out_numbers_categories_and_labels(tmp_path, kind):
    raw = raw_set(TABLES[kind](COLUMNS, tmp_path), ROLES)
    expected = np.column_stack([COLUMNS["age"], COLUMNS["visits"], np.zeros((6, 3))])
    for row, colour in enumerate(COLUMNS["colour"]):
        expected[row, 2 + ["blue", "green", "red"].index(colour)] = 1
    np.testing.assert_array_equal(raw.inputs, expected)
    assert raw.class_names == ("ill", "well")
    assert raw.labels.tolist() == [0, 1, 0, 1, 1, 0]
    assert "6 rows, 2 columns of numbers as they are, 3 of categories" in raw.source


def test_numbers_are_standardised_and_categories_are_not(tmp_path):
    roles = ColumnRoles(leave_out=("id",), one_hot=("colour",), standardise=True)
    raw = raw_set(TABLES["pandas"](COLUMNS, tmp_path), roles)
    scaled = raw.scaling(raw.inputs, raw.inputs[:4])
    np.testing.assert_allclose(scaled[:4, :2].mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(scaled[:4, :2].std(axis=0), 1, rtol=1e-14)
    np.testing.assert_array_equal(scaled[:, 2:], raw.inputs[:, 2:])
    assert "2 columns of numbers standardised" in raw.source


def test_a_test_table_has_the_categories_and_classes_of_both():
    train = frame_of(pd.DataFrame({"x": [1.0, 2.0], "c": ["a", "b"], "label": [1, 3]}))
    test = frame_of(pd.DataFrame({"label": [3, 1], "x": [5.0, 6.0], "c": ["z", "a"]}))
    raw = raw_set(train, ColumnRoles(one_hot=("c",)), test)
    np.testing.assert_array_equal(raw.inputs, [[1, 1, 0, 0], [2, 0, 1, 0]])
    np.testing.assert_array_equal(raw.test_inputs, [[5, 0, 0, 1], [6, 1, 0, 0]])
    assert raw.class_names == ("1", "3")
    assert raw.test_labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([True, False, True, False, False, True], ("False", "True")),
        ([-1, 1, 1, -1, 1, -1], ("-1", "1")),
        ([1, 2, 10, 1, 2, 10], ("1", "2", "10")),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "pandas", "polars"])
def test_labels_are_truth_values_signs_and_numbers_from_one(tmp_path, kind, labels, names):
    raw = raw_set(TABLES[kind](COLUMNS | {"label": labels}, tmp_path), ROLES)
    assert raw.class_names == names
    assert [raw.class_names[i] for i in raw.labels] == [str(label) for label in labels]


@pytest.mark.parametrize("kind", ["csv", "pandas", "polars"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age": [30.5, None, 1, 2, 3, 4]}, "column 'age' must hold .*leave .*column out .leave_o"),
        ({"age": [30.5, float("nan"), 1, 2, 3, 4]}, "column 'age' must hold .*leave_out"),
        ({"age": ["old"] * 6}, "must hold .*number.* got .*one_hot makes an input of each categ"),
        ({"label": ["ill", None, "ill", "well", "ill", "well"]}, "row .*column 'label' must hold"),
        ({"colour": ["red", None, "red", "x", "y", "z"]}, "row .*column 'colour' must hold"),
    ],
)
def test_what_is_absent_or_no_number_is_refused_with_the_remedy(tmp_path, kind, changes, message):
    columns = COLUMNS | changes
    if kind == "csv":
        columns = {key: ["" if x is None else x for x in column] for key, column in columns.items()}
    with pytest.raises(DataFileError, match=message):
        raw_set(TABLES[kind](columns, tmp_path), ROLES)


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"leave_out": ("age", "nothing")}, "has no column 'nothing'; its columns are"),
        ({"leave_out": ("age",), "one_hot": ("age",)}, "columns must be of one kind .*'age' twice"),
        ({"one_hot": ("label",)}, "columns must be of one kind .* got 'label' twice"),
        (
            {"label": "age", "leave_out": ("id", "label", "colour")},
            "real-valued targets are ",
        ),
        ({"text": "id", "leave_out": ("age",)}, "left out beside text_column"),
        ({"leave_out": ("id", "age", "colour", "visits")}, "must have columns of inputs"),
    ],
)
def test_roles_that_do_not_hold_are_refused(tmp_path, roles, message):
    with pytest.raises(ValueError, match=message):
        raw_set(TABLES["pandas"](COLUMNS, tmp_path), ColumnRoles(**roles))


def test_real_valued_targets_are_not_taken_for_classes(tmp_path):
    targets = [1.5, 2.25, -3.0, 4.125, 0.5, 0.75]
    with pytest.raises(DataFileError, match="must hold classes; got 6 numbers in 6 rows"):
        raw_set(TABLES["csv"](COLUMNS | {"label": targets}, tmp_path), ROLES)
    halves = raw_set(TABLES["csv"](COLUMNS | {"label": [0.5, 1.5] * 3}, tmp_path), ROLES)
    assert halves.class_names == ("0.5", "1.5")


def test_dates_are_no_inputs():
    table = pd.DataFrame({"day": pd.to_datetime(["2026-01-01"] * 2), "label": [0, 1]})
    with pytest.raises(DataFileError, match="column 'day' must hold numbers; got Datetime"):
        raw_set(frame_of(table), ColumnRoles())


@pytest.mark.parametrize("suffix", ["parquet", "feather", "ndjson"])
def test_files_of_other_kinds_are_read(tmp_path, suffix):
    path = tmp_path / f"mine.{suffix}"
    table = pl.DataFrame(COLUMNS)
    {"parquet": table.write_parquet, "feather": table.write_ipc, "ndjson": table.write_ndjson}[
        suffix
    ](path)
    data = load_dataset("table", path=path, leave_out=("id",), one_hot=("colour",), n_test=2)
    assert (data.name, data.inputs.shape, data.n_test) == ("mine", (4, 5), 2)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataFileError, match=rf"mine\.{suffix} is no readable \.{suffix} file"):
        load_dataset("table", path=path)


def test_pandas_reads_where_polars_is_missing_and_neither_is_said(tmp_path, monkeypatch):
    path = tmp_path / "mine.parquet"
    pl.DataFrame(COLUMNS).write_parquet(path)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "polars" else found(name)
    )
    assert isinstance(read_frame(path).frame.to_native(), pd.DataFrame)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install \"ntk-air\[tables\]\""):
        read_frame(path)
    with pytest.raises(DataFileError, match=r"table must be a file \.parquet, \.feather"):
        read_frame(tmp_path / "mine.xlsx")
    with pytest.raises(FileNotFoundError, match="there is none at"):
        read_frame(tmp_path / "none.parquet")


def test_what_is_no_table_is_refused():
    with pytest.raises(ValueError, match=r"must be a table of pandas, polars or .*; got dict"):
        frame_of(COLUMNS)
    with pytest.raises(ValueError, match="columns named by text; got 0"):
        frame_of(pd.DataFrame(np.eye(2)))
    with pytest.raises(ValueError, match="at least one row; got none"):
        frame_of(pl.DataFrame({"x": []}))
