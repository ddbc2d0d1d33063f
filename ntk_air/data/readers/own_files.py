"""A user's own data: one .npz or one .csv file."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ntk_air._base.arrays import real_array
from ntk_air._base.checks import check_finite
from ntk_air.data.class_labels import warn_of_unseen
from ntk_air.data.noise import HumanNoise
from ntk_air.data.raw import RawSet, Scaling, as_given, pixels
from ntk_air.data.readers.class_values import class_indices
from ntk_air.data.readers.columns import ColumnRoles, raw_set
from ntk_air.data.readers.files import DataFileError, naming, short
from ntk_air.data.readers.frames import read_frame
from ntk_air.data.readers.tables import read_table

_KERAS_NAMES = {
    "x_train": "inputs",
    "y_train": "labels",
    "x_test": "test_inputs",
    "y_test": "test_labels",
}
_KNOWN = ("inputs", "labels", "noisy_labels", "test_inputs", "test_labels", "class_names")
_LABELS = ("labels", "noisy_labels", "test_labels")
_INPUTS = ("inputs", "test_inputs")


def npz(path: str | os.PathLike[str]) -> RawSet:
    """Arrays of your own from one .npz file (option ``path``).

    Arrays in the file: ``inputs`` (n, *features), ``labels`` (n,); optional ``noisy_labels`` (n,),
    ``test_inputs`` and ``test_labels``, ``class_names``. Keras' names ``x_train``, ``y_train``,
    ``x_test``, ``y_test`` are understood. Inputs of type uint8 are pixels, divided by 255; images
    without a channel axis get one. Labels are class indices where ``class_names`` is given, else
    any integers, truth values or strings, whose sorted values are the classes.

    Args:
        path: file.

    Raises:
        DataFileError: no such file format, a missing array, one of another name or of two names,
            parts of different types, inputs that are no finite numbers, labels of no class.
    """
    return dataclasses.replace(read_npz(Path(path)), name=Path(path).name.split(".")[0])


def read_npz(path: Path, class_names: tuple[str, ...] | None = None) -> RawSet:
    """Read an .npz file as ``npz`` does; ``class_names`` stands in where the file has none."""
    return raw_arrays(str(path), _load_npz(path), class_names, source=short(path))


def raw_arrays(
    path: str,
    arrays: dict[str, np.ndarray],
    class_names: tuple[str, ...] | None = None,
    *,
    source: str,
) -> RawSet:
    """Arrays by the names that ``npz`` has for them; ``path`` is what errors call them all."""
    for needed in ("inputs", "labels"):
        if needed not in arrays:
            raise DataFileError(f"{path} must hold an array {needed!r}; got {sorted(arrays)}")
    if ("test_inputs" in arrays) != ("test_labels" in arrays):
        raise DataFileError(f"{path} must hold both test_inputs and test_labels, or neither")
    inputs = {key: _inputs(path, key, arrays[key]) for key in _INPUTS if key in arrays}
    if len({array.dtype for array in inputs.values()}) > 1:
        raise DataFileError(
            f"{path} must hold inputs and test_inputs of one type; got "
            f"{inputs['inputs'].dtype} and {inputs['test_inputs'].dtype}"
        )
    if "class_names" in arrays:
        class_names = tuple(_texts(path, "class_names", arrays["class_names"]))
    given = {key: arrays[key] for key in _LABELS if key in arrays}
    if class_names is None:
        texts = {key: _texts(path, key, array) for key, array in given.items()}
        _check_one_type(path, given)
        labels, class_names = class_indices(texts, lambda key, i: f"{path}: {key}, row {i}")
        warn_of_unseen(class_names, labels["labels"])
    else:
        labels = {
            key: _indices(path, key, array, class_names=class_names) for key, array in given.items()
        }
    scaling = pixels(255.0) if inputs["inputs"].dtype == np.uint8 else as_given
    return _raw_set(path, source, inputs, labels, class_names=class_names, scaling=scaling)


def csv_table(
    path: str | os.PathLike[str],
    *,
    label_column: str = "label",
    noisy_label_column: str | None = None,
    standardise: bool = False,
    leave_out: tuple[str, ...] = (),
    one_hot: tuple[str, ...] = (),
) -> RawSet:
    """A table of your own from one .csv file with a header (option ``path``).

    Every column but the named ones is an input and must hold numbers. Labels are any text; its
    sorted values are the classes (sorted as numbers where all are whole numbers). Spaces and tabs
    around a cell do not count.

    Args:
        path: file, plain or gzipped, comma-separated, UTF-8.
        label_column: name of the column of clean labels.
        noisy_label_column: name of the column of noisy labels, if there is one.
        standardise: whether each input column is scaled by the training part's mean and deviation.
        leave_out: names of columns that are no inputs, such as identifiers.
        one_hot: names of columns of categories, each of which becomes an input, 0 or 1.

    Raises:
        DataFileError: a missing column, one without a name or of a name used before, a row of
            another length, quotes that are not closed, an input that is no finite number, a label
            that is absent (empty, or text such as ``nan``), a class written in two ways.
        ValueError: a column that is to be two things.
    """
    roles = ColumnRoles(label_column, noisy_label_column, leave_out, one_hot, standardise)
    return raw_set(read_table(Path(path)), roles)


def table_file(
    path: str | os.PathLike[str],
    *,
    label_column: str = "label",
    noisy_label_column: str | None = None,
    standardise: bool = False,
    leave_out: tuple[str, ...] = (),
    one_hot: tuple[str, ...] = (),
) -> RawSet:
    """A table of your own from one .parquet, .feather, .arrow or .ndjson file (option ``path``).

    Read by polars or pandas, whichever is installed. Labels are whole numbers, truth values, texts
    or categories.

    Args:
        path: file.
        label_column: name of the column of clean labels.
        noisy_label_column: name of the column of noisy labels, if there is one.
        standardise: whether each input column is scaled by the training part's mean and deviation.
        leave_out: names of columns that are no inputs, such as identifiers.
        one_hot: names of columns of categories, each of which becomes an input, 0 or 1.

    Raises:
        ModuleNotFoundError: neither polars nor pandas is installed.
        DataFileError: a file that is no table, a missing column, an absent value, a column that
            holds no numbers, labels that are no classes.
        ValueError: a column that is to be two things.
    """
    roles = ColumnRoles(label_column, noisy_label_column, leave_out, one_hot, standardise)
    return raw_set(read_frame(Path(path)), roles)


def _raw_set(
    path: str,
    source: str,
    inputs: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
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
        source=source,
        test_inputs=inputs.get("test_inputs"),
        test_labels=labels.get("test_labels"),
        noisy_labels=labels.get("noisy_labels"),
        label_noise=noise,
        scaling=scaling,
    )


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays by their own names; each name once, and none that is not known."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            names = [_KERAS_NAMES.get(str(name), str(name)) for name in archive]
            for name in names:
                if names.count(name) > 1:
                    raise DataFileError(f"{path} must hold each array once; got {name!r} twice")
                if name not in _KNOWN:
                    raise DataFileError(
                        f"{path} must hold none but the arrays {', '.join(_KNOWN)}, for no other "
                        f"is read; got {name!r}"
                    )
            return dict(zip(names, (archive[name] for name in archive), strict=True))
    except (FileNotFoundError, DataFileError):
        raise
    # numpy reports a damaged archive as whatever its zip, zlib or header reader raises.
    except Exception as error:
        raise DataFileError(f"{path} is no readable .npz file of plain arrays: {error}") from error


def _inputs(path: str, key: str, array: np.ndarray) -> np.ndarray:
    """Finite real numbers of at least one axis; grey images with a channel."""
    with naming(path):
        if array.ndim == 0:
            raise ValueError(f"{key} must have shape (n, *features); got a single value")
        real_array(key, array)
        if array.dtype.kind == "f":
            check_finite(key, array)
    return array[..., None] if array.dtype == np.uint8 and array.ndim == 3 else array


def _texts(path: str, key: str, array: np.ndarray) -> list[str]:
    """Integers or strings as text."""
    if array.ndim != 1 or array.dtype.kind not in "biuUS":
        raise DataFileError(
            f"{path}: {key} must be a vector of integers, truth values or strings; "
            f"got shape {array.shape} and type {array.dtype}"
        )
    if array.dtype.kind != "S":
        return [str(value) for value in array.tolist()]
    try:
        return [value.decode("utf-8") for value in array.tolist()]
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path}: {key} is not text in UTF-8: {error}") from error


def _check_one_type(path: str, labels: Mapping[str, np.ndarray]) -> None:
    """Require all labels to be numbers or all to be text: 1 and "1" may be two classes or one."""
    types = {key: str(array.dtype) for key, array in labels.items()}
    if len({array.dtype.kind in "iu" for array in labels.values()}) > 1:
        raise DataFileError(
            f"{path} must hold labels that are all integers or all text; got {types}"
        )


def _indices(path: str, key: str, array: np.ndarray, *, class_names: tuple[str, ...]) -> np.ndarray:
    """Labels that are indices into the named classes already."""
    last = len(class_names) - 1
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataFileError(
            f"{path}: {key} must be a vector of integers in 0 … {last}, which class_names name; "
            f"got shape {array.shape} and type {array.dtype}"
        )
    outside = np.flatnonzero((array < 0) | (array > last))
    if len(outside):
        raise DataFileError(
            f"{path}: {key} must be integers in 0 … {last}; got {array[outside[0]]} in row "
            f"{outside[0]}"
        )
    return array.astype(np.int64)
