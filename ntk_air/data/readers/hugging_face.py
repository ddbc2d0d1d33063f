"""Sets in the format of Hugging Face's package datasets: on disk, in its cache, or by name."""

import dataclasses
import importlib
import os
from pathlib import Path
from typing import Any

from ntk_air._base.checks import check_whole_number
from ntk_air.data.raw import RawSet, pixels
from ntk_air.data.readers.class_values import class_indices
from ntk_air.data.readers.columns import ColumnRoles, raw_set
from ntk_air.data.readers.files import DataFileError
from ntk_air.data.readers.frames import frame_of
from ntk_air.data.readers.image_folder import image_pixels, stacked


def hugging_face(
    path: str | os.PathLike[str],
    *,
    label_column: str = "label",
    leave_out: tuple[str, ...] = (),
    one_hot: tuple[str, ...] = (),
    standardise: bool = False,
    image_size: int | None = None,
) -> RawSet:
    """A set of Hugging Face's package datasets, extra hf (option ``path``, or ``hf:NAME``).

    A folder that ``save_to_disk`` has written, or a name, which the package looks for in its cache
    and, unless HF_HUB_OFFLINE is set, on the network. Its splits ``train`` and ``test`` are the
    parts; a single split is divided. A column of images is the input where there is one, and else
    all columns of numbers are.

    Args:
        path: folder, or name.
        label_column: name of the column of labels.
        leave_out: names of columns that are no inputs, such as identifiers.
        one_hot: names of columns of categories, each of which becomes an input, 0 or 1.
        standardise: whether each input column is scaled by the training part's mean and deviation.
        image_size: side of a square that each image is resized to, bilinearly.

    Raises:
        ModuleNotFoundError: the package datasets is not installed; names the extra.
        DataFileError: no such set, one without such splits, what ``csv`` and ``images`` refuse.
    """
    train, test = _parts(os.fspath(path))
    features = train.features
    images = [name for name in features if type(features[name]).__name__ == "Image"]
    images = [name for name in images if name not in leave_out]
    name = Path(path).name
    where = f"{name} (Hugging Face)"
    if label_column not in features:
        raise DataFileError(f"{where} has no column {label_column!r}; it has {list(features)}")
    parts = [part for part in (train, test) if part is not None]
    if not images:
        roles = ColumnRoles(label_column, None, leave_out, one_hot, standardise)
        frames = [frame_of(_named_classes(part, label_column), where) for part in parts]
        raw = raw_set(frames[0], roles, *frames[1:])
        return dataclasses.replace(raw, name=name)
    if len(images) > 1:
        raise DataFileError(f"{where} must hold one column of images; got {images}: leave_out")
    if image_size is not None:
        check_whole_number("image_size", image_size, minimum=1)
    tables = [frame_of(_named_classes(part, label_column, alone=True), where) for part in parts]
    texts = {
        key: table.texts(label_column)
        for key, table in zip(("labels", "test_labels"), tables, strict=False)
    }
    labels, class_names = class_indices(
        texts, lambda key, row: tables[key == "test_labels"].place(label_column, row)
    )
    shown = [image for part in parts for image in part[images[0]]]
    places = [f"{where}: image {row}" for row in range(len(shown))]
    pictures = [
        image_pixels(image, image_size, place) for image, place in zip(shown, places, strict=True)
    ]
    stack, n = stacked(where, pictures, places), len(train)
    return RawSet(
        inputs=stack[:n],
        labels=labels["labels"],
        class_names=class_names,
        source=f"{where} ({n} images)",
        test_inputs=None if test is None else stack[n:],
        test_labels=labels.get("test_labels"),
        scaling=pixels(255.0),
        name=name,
    )


def _parts(path: str) -> tuple[Any, Any]:
    """The training and the test split, the latter ``None`` where there is one split alone."""
    try:
        library = importlib.import_module("datasets")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'sets of Hugging Face need the package datasets: pip install "ntk-air[hf]"'
        ) from error
    try:
        found = library.load_from_disk(path) if Path(path).is_dir() else library.load_dataset(path)
    # The package reports what is not there, or not reachable, in many ways.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise DataFileError(
            f"hf:{path} cannot be loaded: {type(error).__name__}: {reason}"
        ) from error
    if not isinstance(found, dict):
        return found, None
    if "train" not in found:
        raise DataFileError(f"hf:{path} must have a split 'train'; got {list(found)}")
    return found["train"], found.get("test")


def _named_classes(part: Any, label_column: str, *, alone: bool = False) -> Any:
    """The split as a table, with names of classes where it knows them."""
    names = getattr(part.features[label_column], "names", None)
    table = (part.select_columns([label_column]) if alone else part).to_pandas()
    if names is not None:  # −1 stands for a label that is held back
        table[label_column] = [names[i] if i >= 0 else None for i in table[label_column]]
    return table
