"""What a user gave: inputs with labels that nobody has checked, and what a reader sees of a row."""

import dataclasses
from pathlib import Path

from ntk_air.data.class_labels import ClassLabels
from ntk_air.data.dataset import Dataset
from ntk_air.data.raw import RawSet
from ntk_air.data.readers.columns import ColumnRoles, Columns, raw_set
from ntk_air.data.readers.files import DataFileError, naming
from ntk_air.data.readers.frames import TABLE_SUFFIXES, read_frame
from ntk_air.data.readers.image_folder import image_files, image_folder
from ntk_air.data.readers.own_files import npz
from ntk_air.data.readers.tables import read_table
from ntk_air.lab.labels.config import LabelsConfig

_TEXT_TABLES = (".csv", ".csv.gz")
_TABLES = (*_TEXT_TABLES, *TABLE_SUFFIXES)
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
        ("one_hot", "table"),
        ("text_column", "table"),
        ("image_size", "folder"),
    ):
        if kind != belongs and getattr(config, name) != getattr(usual, name):
            raise ValueError(
                f"{name} must be left out but for a {belongs}; got {getattr(config, name)!r} for "
                f"{config.file}"
            )


def _of_table(config: LabelsConfig) -> Given:
    path = config.file
    is_text = path.name.lower().endswith(_TEXT_TABLES)
    table = read_table(path) if is_text else read_frame(path)
    roles = ColumnRoles(
        config.label_column,
        leave_out=config.leave_out,
        one_hot=config.one_hot,
        standardise=config.standardise,
        text=config.text_column,
    )
    raw = raw_set(table, roles)
    if config.text_column is not None:
        texts = table.texts(config.text_column)
    else:
        named = (config.label_column, *config.leave_out)
        texts = _cells(table, [name for name in table.header if name not in named])
    return Given(_dataset(path, raw), tuple(texts), images=False)


def _dataset(path: Path, raw: RawSet) -> Dataset:
    """The rows with their labels as given: noisy where the file has clean ones beside them."""
    given = raw.labels if raw.noisy_labels is None else raw.noisy_labels
    with naming(raw.source):
        scaled = raw.scaling(raw.inputs, raw.inputs)
        labels = ClassLabels(noisy=given, class_names=raw.class_names)
        return Dataset(scaled, labels, name=path.name, source=raw.source)


def _cells(table: Columns, columns: list[str]) -> list[str]:
    shown = columns[:_SHOWN_CELLS]
    rest = ", …" if len(columns) > len(shown) else ""
    cells = [[f"{column} {cell}" for cell in table.shown(column)] for column in shown]
    return [", ".join(row) + rest for row in zip(*cells, strict=True)]


def _numbers_shown(dataset: Dataset) -> list[str]:
    flat = dataset.inputs.reshape(dataset.n_train, -1)
    rest = ", …" if flat.shape[1] > _SHOWN_CELLS else ""
    return [", ".join(f"{value:.3g}" for value in row[:_SHOWN_CELLS]) + rest for row in flat]
