"""What a user gave: inputs with labels that nobody has checked, and what a reader sees of a row."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

from ntk_air.data.class_labels import ClassLabels
from ntk_air.data.dataset import Dataset
from ntk_air.data.readers.class_values import class_indices
from ntk_air.data.readers.files import DataFileError, naming, short
from ntk_air.data.readers.image_folder import image_files, image_folder
from ntk_air.data.readers.own_files import npz
from ntk_air.data.readers.tables import Table, check_header, read_table
from ntk_air.data.readers.text import counts_of_tokens
from ntk_air.data.splits import RawSet, as_given, standardised
from ntk_air.lab.labels.config import LabelsConfig

_TABLES = (".csv", ".csv.gz")
_SHOWN_CELLS = 12


@dataclasses.dataclass(frozen=True)
class Given:
    """Inputs and given labels, and how rows are shown.

    Attributes:
        dataset: inputs with given labels alone.
        texts: a line for each row, where rows are not shown as images.
        images: whether rows are shown as images, which are the data set's inputs.
    """

    dataset: Dataset
    texts: tuple[str, ...]
    images: bool


def read_given(config: LabelsConfig) -> Given:
    """Read the file or folder of a configuration.

    Raises:
        DatasetNotFoundError, FileNotFoundError: nothing is there.
        DataFileError: it is not what its name says, or holds no data set.
        ValueError: options that belong to another kind of file.
    """
    path = config.file
    is_table = path.name.lower().endswith(_TABLES)
    kind = "table" if is_table else "folder" if path.is_dir() else "npz"
    if kind == "npz" and path.suffix.lower() != ".npz":
        raise DataFileError(
            f"file must be a table ({', '.join(_TABLES)}), an .npz or a folder of images; got "
            f"{path}{'' if path.exists() else ', which is not there'}"
        )
    _check_options(config, kind)
    if kind == "table":
        return _of_table(config)
    raw = image_folder(path, config.image_size) if kind == "folder" else npz(path)
    dataset = _dataset(path, raw)
    images = dataset.inputs.ndim == 4 and dataset.inputs.shape[-1] in (1, 3)
    files = [str(file.relative_to(path)) for file in image_files(path)] if kind == "folder" else []
    return Given(dataset, tuple(files or _numbers_shown(dataset)), images)


def _check_options(config: LabelsConfig, kind: str) -> None:
    usual = LabelsConfig(config.file)
    for name, belongs in (
        ("label_column", "table"),
        ("leave_out", "table"),
        ("text_column", "table"),
        ("image_size", "folder"),
    ):
        if kind != belongs and getattr(config, name) != getattr(usual, name):
            raise ValueError(
                f"{name} must be left out but for a {belongs}; got {getattr(config, name)!r} for "
                f"{config.file}"
            )
    if config.text_column is not None and config.leave_out:
        raise ValueError("leave_out must be left out beside text_column, which is the only input")


def _of_table(config: LabelsConfig) -> Given:
    path = config.file
    table = read_table(path)
    named = [config.label_column, *config.leave_out]
    named += [] if config.text_column is None else [config.text_column]
    for column in named:
        table.texts(column)  # refuses a column that is not there
    check_header(table, [config.label_column])
    labels, names = class_indices(
        {"labels": table.texts(config.label_column)},
        lambda key, row: table.place(config.label_column, row),
    )
    if config.text_column is not None:
        texts = table.texts(config.text_column)
        empty = next((row for row, text in enumerate(texts) if not text.strip()), None)
        if empty is not None:
            raise DataFileError(f"{table.place(config.text_column, empty)} must hold a text")
        inputs, scaling = np.array(texts, object), counts_of_tokens()
    else:
        columns = [name for name in table.header if name not in named]
        if not columns:
            raise DataFileError(f"{path} must have columns of inputs; got {table.header} alone")
        inputs, texts = table.numbers(columns), _cells(table, columns)
        scaling = partial(standardised, columns=columns) if config.standardise else as_given
    raw = RawSet(
        inputs=inputs,
        labels=labels["labels"],
        class_names=names,
        source=short(path),
        scaling=scaling,
    )
    return Given(_dataset(path, raw), tuple(texts), images=False)


def _dataset(path: Path, raw: RawSet) -> Dataset:
    """The rows with their labels as given: noisy where the file has clean ones beside them."""
    given = raw.labels if raw.noisy_labels is None else raw.noisy_labels
    with naming(raw.source):
        scaled = raw.scaling(raw.inputs, raw.inputs)
        labels = ClassLabels(noisy=given, class_names=raw.class_names)
        return Dataset(scaled, labels, name=path.name, source=raw.source)


def _cells(table: Table, columns: list[str]) -> list[str]:
    shown = columns[:_SHOWN_CELLS]
    indices = [table.header.index(column) for column in shown]
    rest = ", …" if len(columns) > len(shown) else ""
    return [
        ", ".join(f"{column} {row[i]}" for column, i in zip(shown, indices, strict=True)) + rest
        for row in table.rows
    ]


def _numbers_shown(dataset: Dataset) -> list[str]:
    flat = dataset.inputs.reshape(dataset.n_train, -1)
    rest = ", …" if flat.shape[1] > _SHOWN_CELLS else ""
    return [", ".join(f"{value:.3g}" for value in row[:_SHOWN_CELLS]) + rest for row in flat]
