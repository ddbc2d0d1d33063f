"""A table by its columns: which are labels, which inputs, and what becomes of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from ntk_air.data.class_labels import warn_of_unseen
from ntk_air.data.noise import HumanNoise
from ntk_air.data.raw import RawSet, Scaling, as_given, standardised
from ntk_air.data.readers.class_values import class_indices
from ntk_air.data.readers.files import DataFileError
from ntk_air.data.readers.text import counts_of_tokens


@runtime_checkable
class Columns(Protocol):
    """A table, whatever it was read from.

    Attributes:
        source: the file, or what the table is called in errors.
        name: what a data set of it is called.
        header: the columns' names, all different.
    """

    @property
    def source(self) -> str: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def header(self) -> list[str]: ...  # noqa: D102

    @property
    def n_rows(self) -> int: ...  # noqa: D102

    def place(self, column: str, row: int) -> str:
        """Where a cell is, as errors name it."""
        ...

    def texts(self, column: str) -> list[str]:
        """A column as text, or ``DataFileError`` for one that is not there or not of classes."""
        ...

    def shown(self, column: str) -> list[str]:
        """A column's cells for a reader."""
        ...

    def numbers(self, columns: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Columns of finite numbers, or ``DataFileError`` that names the cell and the remedy."""
        ...

    def check_header(self, label_columns: Sequence[str]) -> None:
        """Refuse a header that is none, such as a first row of data."""
        ...


@dataclass(frozen=True)
class ColumnRoles:
    """What the columns of a table are; those that are not named are inputs and hold numbers.

    Attributes:
        label: column of labels.
        noisy_label: column of noisy labels, if there is one.
        leave_out: columns that are no inputs, such as identifiers.
        one_hot: columns of categories: one input, 0 or 1, for each category that occurs.
        standardise: whether columns of numbers are scaled by the training part's mean and
            deviation; those of categories stay 0 and 1.
        text: column of texts, which alone are the inputs then, as weighted counts of words.
    """

    label: str = "label"
    noisy_label: str | None = None
    leave_out: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    standardise: bool = False
    text: str | None = None

    def labels(self) -> dict[str, str]:
        """The columns of labels by what they hold."""
        noisy = {} if self.noisy_label is None else {"noisy_labels": self.noisy_label}
        return {"labels": self.label} | noisy

    def check(self, table: Columns) -> list[str]:
        """The columns of numbers; raises where a role is of no column, or a column has two."""
        if self.text is not None and (self.leave_out or self.one_hot):
            raise ValueError(
                "leave_out and one_hot must be left out beside text_column, which is the only input"
            )
        named = [*self.labels().values(), *self.leave_out, *self.one_hot]
        named += [] if self.text is None else [self.text]
        for name in named:
            if name not in table.header:
                raise DataFileError(
                    f"{table.source} has no column {name!r}; its columns are {table.header}"
                )
            if named.count(name) > 1:
                raise ValueError(
                    f"columns must be of one kind (label, noisy label, left out, one-hot); got "
                    f"{name!r} twice"
                )
        table.check_header(list(self.labels().values()))
        if self.text is not None:
            return []
        numbers = [name for name in table.header if name not in named]
        if not numbers and not self.one_hot:
            raise DataFileError(
                f"{table.source} must have columns of inputs; got {table.header} alone"
            )
        return numbers


def raw_set(table: Columns, roles: ColumnRoles, test: Columns | None = None) -> RawSet:
    """A table as inputs and labels, with an official test part where there is one.

    Raises:
        DataFileError: a missing column, a cell that is absent or no number, a label that is absent,
            a class written in two ways.
        ValueError: a column that is to be two things.
    """
    numbers, columns = roles.check(table), roles.labels()
    texts = {key: table.texts(column) for key, column in columns.items()}
    tables = [table]
    if test is not None:
        roles.check(test)
        tables.append(test)
        texts["test_labels"] = test.texts(roles.label)

    def place(key: str, row: int) -> str:
        if key == "test_labels" and test is not None:
            return test.place(roles.label, row)
        return table.place(columns[key], row)

    labels, class_names = class_indices(texts, place)
    _check_classes(table, roles.label, class_names)
    warn_of_unseen(class_names, labels["labels"])
    inputs, scaling, says = _inputs(tables, roles, numbers)
    noise = None
    if "noisy_labels" in labels:
        noise = HumanNoise.measure(labels["labels"], labels["noisy_labels"], len(class_names))
    return RawSet(
        inputs=inputs[0],
        labels=labels["labels"],
        class_names=class_names,
        source=f"{table.source} ({table.n_rows} rows, {says})",
        test_inputs=None if test is None else inputs[1],
        test_labels=labels.get("test_labels"),
        noisy_labels=labels.get("noisy_labels"),
        label_noise=noise,
        scaling=scaling,
        name=table.name,
    )


def _check_classes(table: Columns, column: str, class_names: Sequence[str]) -> None:
    """Refuse numbers of which most rows have one of their own: they are no classes."""
    if len(class_names) <= table.n_rows / 2:
        return
    try:
        numbers = [float(name) for name in class_names]
    except ValueError:
        return
    if not all(number.is_integer() for number in numbers):
        raise DataFileError(
            f"{table.source}: column {column!r} must hold classes; got {len(class_names)} numbers "
            f"in {table.n_rows} rows, as real-valued targets do: these are Labels of a Problem in "
            "Python (docs/your_own.md)"
        )


def _inputs(
    tables: Sequence[Columns], roles: ColumnRoles, numbers: Sequence[str]
) -> tuple[list[np.ndarray], Scaling, str]:
    """Inputs of every table, how they are scaled, and both in words."""
    if roles.text is not None:
        texts = [_filled_texts(table, roles.text) for table in tables]
        return texts, counts_of_tokens(), f"words of column {roles.text!r}"
    parts = [[table.numbers(numbers)] for table in tables]
    n_categories = 0
    for column in roles.one_hot:
        found, categories = class_indices(
            {str(i): table.texts(column) for i, table in enumerate(tables)},
            lambda i, row, column=column: tables[int(i)].place(column, row),
        )
        n_categories += len(categories)
        for i, part in enumerate(parts):
            part.append(np.eye(len(categories))[found[str(i)]])
    is_scaled = roles.standardise and len(numbers) > 0
    says = f"{len(numbers)} columns of numbers {'standardised' if is_scaled else 'as they are'}"
    says += f", {n_categories} of categories" if n_categories else ""
    scaling = partial(_scaled, columns=numbers) if is_scaled else as_given
    return [np.concatenate(part, axis=1) for part in parts], scaling, says


def _filled_texts(table: Columns, column: str) -> np.ndarray:
    """A column of texts, none of them blank."""
    texts = table.texts(column)
    for row, text in enumerate(texts):
        if not text.strip():
            raise DataFileError(f"{table.place(column, row)} must hold a text")
    return np.array(texts, object)


def _scaled(part: np.ndarray, training_part: np.ndarray, *, columns: Sequence[str]) -> np.ndarray:
    """The first columns standardised; the others, of categories, as they are."""
    n = len(columns)
    scaled = standardised(part[:, :n], training_part[:, :n], columns=columns)
    return np.concatenate([scaled, part[:, n:]], axis=1)
