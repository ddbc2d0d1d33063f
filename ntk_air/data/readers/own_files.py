"""A user's own data: one .npz or one .csv file."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ntk_air.data.noise import HumanNoise
from ntk_air.data.readers.files import DataFileError, opened, short
from ntk_air.data.splits import RawSet, Scaling, as_given, pixels, standardised

_KERAS_NAMES = {
    "x_train": "inputs",
    "y_train": "labels",
    "x_test": "test_inputs",
    "y_test": "test_labels",
}


def npz(path: str | os.PathLike[str]) -> RawSet:
    """Arrays of your own from one .npz file (option ``path``).

    Arrays in the file: ``inputs`` (n, *features), ``labels`` (n,); optional ``noisy_labels`` (n,),
    ``test_inputs`` and ``test_labels``, ``class_names``. Keras' names ``x_train``, ``y_train``,
    ``x_test``, ``y_test`` are understood. Inputs of type uint8 are pixels, divided by 255; images
    without a channel axis get one. Labels are class indices where ``class_names`` is given, else
    any integers or strings, whose sorted values are the classes.

    Raises:
        DataFileError: no such file format, a missing array, labels of no class.
    """
    return read_npz(Path(path))


def read_npz(path: Path, class_names: tuple[str, ...] | None = None) -> RawSet:
    """Read an .npz file as ``npz`` does; ``class_names`` stands in where the file has none."""
    arrays = _load_npz(path)
    for needed in ("inputs", "labels"):
        if needed not in arrays:
            raise DataFileError(f"{path} must hold an array {needed!r}; got {sorted(arrays)}")
    if ("test_inputs" in arrays) != ("test_labels" in arrays):
        raise DataFileError(f"{path} must hold both test_inputs and test_labels, or neither")
    if "class_names" in arrays:
        class_names = tuple(str(name) for name in arrays["class_names"])
    labels, class_names = _class_indices(
        path,
        {key: arrays[key] for key in ("labels", "noisy_labels", "test_labels") if key in arrays},
        class_names,
    )
    return _raw_set(
        path,
        {key: _with_channel(arrays[key]) for key in ("inputs", "test_inputs") if key in arrays},
        labels,
        class_names=class_names,
        scaling=pixels(255.0) if arrays["inputs"].dtype == np.uint8 else as_given,
    )


def csv_table(
    path: str | os.PathLike[str],
    label_column: str = "label",
    noisy_label_column: str | None = None,
    standardise: bool = False,
) -> RawSet:
    """A table of your own from one .csv file with a header (option ``path``).

    Every column but the label columns is an input and must hold numbers. Labels are any text; its
    sorted values are the classes (sorted as numbers where all are whole numbers).

    Args:
        path: file, plain or gzipped, comma-separated, UTF-8.
        label_column: name of the column of clean labels.
        noisy_label_column: name of the column of noisy labels, if there is one.
        standardise: whether each input column is scaled by the training part's mean and deviation.

    Raises:
        DataFileError: a missing column, a row of another length, an input that is no number.
    """
    header, rows = _load_csv(Path(path))
    label_columns = {"labels": label_column}
    if noisy_label_column is not None:
        label_columns["noisy_labels"] = noisy_label_column
    for column in label_columns.values():
        if column not in header:
            raise DataFileError(f"{path} has no column {column!r}; its columns are {header}")
    texts = {
        key: np.array([row[header.index(column)] for row in rows])
        for key, column in label_columns.items()
    }
    if all(text.lstrip("-").isdigit() for values in texts.values() for text in values):
        texts = {key: values.astype(np.int64) for key, values in texts.items()}
    labels, class_names = _class_indices(Path(path), texts, None)
    columns = [i for i, column in enumerate(header) if column not in label_columns.values()]
    return _raw_set(
        Path(path),
        {"inputs": _numbers(Path(path), header, rows, columns)},
        labels,
        class_names=class_names,
        scaling=standardised if standardise else as_given,
    )


def _raw_set(
    path: Path,
    inputs: dict[str, np.ndarray],
    labels: dict[str, np.ndarray],
    *,
    class_names: tuple[str, ...],
    scaling: Scaling,
) -> RawSet:
    for inputs_name, labels_name in (("inputs", "labels"), ("test_inputs", "test_labels")):
        if inputs_name in inputs and len(inputs[inputs_name]) != len(labels[labels_name]):
            raise DataFileError(
                f"{path} must hold as many {labels_name} as {inputs_name}; "
                f"got {len(labels[labels_name])} and {len(inputs[inputs_name])}"
            )
    noise = None
    if "noisy_labels" in labels:
        if len(labels["noisy_labels"]) != len(labels["labels"]):
            raise DataFileError(
                f"{path} must hold as many noisy_labels as labels; "
                f"got {len(labels['noisy_labels'])} and {len(labels['labels'])}"
            )
        noise = HumanNoise.measure(labels["labels"], labels["noisy_labels"], len(class_names))
    return RawSet(
        inputs=inputs["inputs"],
        labels=labels["labels"],
        class_names=class_names,
        source=short(path),
        test_inputs=inputs.get("test_inputs"),
        test_labels=labels.get("test_labels"),
        noisy_labels=labels.get("noisy_labels"),
        label_noise=noise,
        scaling=scaling,
    )


def _class_indices(
    path: Path, values: dict[str, np.ndarray], class_names: tuple[str, ...] | None
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels as indices into the classes, which are all values that occur unless they are given."""
    for key, array in values.items():
        if array.ndim != 1 or array.dtype.kind not in "iuUS":
            raise DataFileError(
                f"{path}: {key} must be a vector of integers or strings; "
                f"got shape {array.shape} and type {array.dtype}"
            )
    if class_names is None:
        classes = np.unique(np.concatenate(list(values.values())))
        found = {key: np.searchsorted(classes, array) for key, array in values.items()}
        return found, tuple(str(value) for value in classes)
    for key, array in values.items():
        if array.dtype.kind not in "iu" or (array < 0).any() or (array >= len(class_names)).any():
            raise DataFileError(f"{path}: {key} must be integers in 0 … {len(class_names) - 1}")
    return {key: array.astype(np.int64) for key, array in values.items()}, class_names


def _with_channel(array: np.ndarray) -> np.ndarray:
    return array[..., None] if array.dtype == np.uint8 and array.ndim == 3 else array


def _load_npz(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {_KERAS_NAMES.get(str(name), str(name)): archive[name] for name in archive}
    except FileNotFoundError:
        raise
    # numpy reports a damaged archive as whatever its zip, zlib or header reader raises.
    except Exception as error:
        raise DataFileError(f"{path} is no readable .npz file of plain arrays: {error}") from error
    return arrays


def _load_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    with opened(path) as stream:
        try:
            lines = stream.read().decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataFileError(f"{path} is not text in UTF-8: {error}") from error
    table = [row for row in csv.reader(lines) if row]
    if len(table) < 2:
        raise DataFileError(
            f"{path} must hold a header and at least one row; got {len(table)} rows"
        )
    header, *rows = ([cell.strip() for cell in row] for row in table)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataFileError(
                f"{path}: row {number} has {len(row)} cells; the header has {len(header)}"
            )
    return header, rows


def _numbers(
    path: Path, header: list[str], rows: list[list[str]], columns: list[int]
) -> Float[np.ndarray, "n d"]:
    table = np.empty((len(rows), len(columns)))
    for number, row in enumerate(rows):
        for place, column in enumerate(columns):
            try:
                table[number, place] = float(row[column])
            except ValueError:
                raise DataFileError(
                    f"{path}: row {number + 2}, column {header[column]!r} must hold a number; "
                    f"got {row[column]!r}"
                ) from None
    return table
