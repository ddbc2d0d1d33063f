"""Tables of text: Python's csv reader, strict, and numbers of which none is guessed or rounded."""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ntk_air.data.readers.class_values import ABSENT
from ntk_air.data.readers.files import DataFileError, opened, read_bounded

_MAX_BYTES = 2**31
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+\.?0*", re.ASCII)
_ORDINARY = re.compile("[0-9eE.,+-]*")  # of these, float() reads decimal numbers alone
_MAY_VANISH = re.compile("[eE]|0{300}")


@dataclass(frozen=True)
class Table:
    """The cells of a file as text, without spaces and tabs around them.

    Attributes:
        path: the file.
        header: the columns' names, all different.
        rows: the cells, one for each column.
    """

    path: Path
    header: list[str]
    rows: list[list[str]]

    @property
    def source(self) -> str:
        """The file."""
        return str(self.path)

    @property
    def name(self) -> str:
        """The file's name, without what is behind a dot."""
        return self.path.name.split(".")[0]

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def place(self, column: str, row: int) -> str:
        """Where a cell is, as errors name it: rows are counted with the header, from 1."""
        return f"{self.path}: row {row + 2}, column {column!r}"

    def texts(self, column: str) -> list[str]:
        """A column as it is written; raises ``DataFileError`` where there is none of the name."""
        if column not in self.header:
            raise DataFileError(
                f"{self.path} has no column {column!r}; its columns are {self.header}"
            )
        index = self.header.index(column)
        return [row[index] for row in self.rows]

    def shown(self, column: str) -> list[str]:
        """A column's cells for a reader."""
        return self.texts(column)

    def numbers(self, columns: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Columns of numbers, each the float64 nearest to what is written.

        Raises ``DataFileError`` for a cell that is no finite decimal number, or a whole number
        that float64 does not hold.
        """
        indices = [self.header.index(column) for column in columns]
        table = np.empty((len(self.rows), len(indices)))
        for number, row in enumerate(self.rows):
            table[number] = self._row([row[index] for index in indices], columns, number)
        for number, place in np.argwhere(~(np.abs(table) < 2**53)).tolist():
            _check_number(self.rows[number][indices[place]], self.place(columns[place], number))
        return table

    def check_header(self, label_columns: Sequence[str]) -> None:
        """Refuse a first row of data in the place of the header.

        Where labels and inputs are all named by numbers, these must count the columns from 0 or 1.
        """
        if not all(_NUMBER.fullmatch(name) for name in self.header):
            return
        count = range(len(self.header) + 1)
        if [float(name) for name in self.header] not in (list(count[:-1]), list(count[1:])):
            raise DataFileError(
                f"{self.path} must have a header of names; got the numbers {self.header}, with "
                f"{list(label_columns)} among them: write a header above the first row of data"
            )

    def _row(self, texts: list[str], columns: Sequence[str], number: int) -> list[float]:
        """A row of numbers, looked at cell by cell only where it may hold anything else."""
        together = ",".join(texts)
        try:
            values = list(map(float, texts)) if _ORDINARY.fullmatch(together) else None
        except ValueError:
            values = None
        if values is None or (0 in values and _MAY_VANISH.search(together)):
            for column, text in zip(columns, texts, strict=True):
                _check_number(text, self.place(column, number))
            values = [float(text) for text in texts]
        return values


def read_table(path: Path) -> Table:
    """Read a comma-separated file with a header, plain or gzipped.

    Raises:
        DataFileError: no text in UTF-8, quotes that are not closed or go on, cells too long, empty
            rows within the table, rows of other lengths than the header, columns without a name
            or of one name.
    """
    text = _text(path)
    rows = _rows(path, text)
    if len(rows) < 2:
        raise DataFileError(f"{path} must hold a header and at least one row; got {len(rows)} rows")
    if any(space in text for space in " \t"):
        rows = [[cell.strip(" \t") for cell in row] for row in rows]
    header, *body = rows
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise DataFileError(
                f"{path}: row {number} has {len(row)} cells; the header has {len(header)}"
            )
    for index, name in enumerate(header):
        if not name:
            raise DataFileError(
                f"{path}: column {index + 1} must have a name in the header; got an empty one, as "
                "an index is written: leave the column out, or name it"
            )
        if name in header[:index]:
            raise DataFileError(
                f"{path} must have columns of different names; got {name!r} as columns "
                f"{header.index(name) + 1} and {index + 1}"
            )
    return Table(path, header, body)


def _text(path: Path) -> str:
    with opened(path) as stream:
        content = read_bounded(stream, _MAX_BYTES, str(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        other = "; it begins as UTF-16 does" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise DataFileError(f"{path} is not text in UTF-8: line {line}: {error}{other}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataFileError(
            f"{path} is not text in UTF-8: line {line} holds a NUL byte, as binary files and "
            "UTF-16 do"
        )
    return text


def _rows(path: Path, text: str) -> list[list[str]]:
    """All rows up to the last that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        for row in reader:
            rows.append(row)  # a loop: the error names the row that it stopped at
    except csv.Error as error:
        raise DataFileError(
            f"{path}: row {len(rows) + 1} must be cells between commas, with their quotes closed "
            f"and nothing behind them; got: {error}"
        ) from error
    while rows and not rows[-1]:
        rows.pop()
    if [] in rows:
        raise DataFileError(f"{path}: row {rows.index([]) + 1} must hold cells; got an empty line")
    return rows


def _check_number(text: str, place: str) -> None:
    """Require a finite decimal number that float64 holds: a whole one exactly."""
    shown = repr(text if len(text) <= 40 else f"{text[:40]}…")
    if not _NUMBER.fullmatch(text):
        raise DataFileError(f"{place} must hold a number; got {shown}: {_remedy(text)}")
    value = float(text)
    vanished = value == 0 and re.search("[1-9]", re.split("[eE]", text)[0])
    rounded = _WHOLE.fullmatch(text) and len(text) > 15 and Decimal(text) != Decimal(value)
    if not math.isfinite(value) or vanished or rounded:
        raise DataFileError(f"{place} must hold a number that float64 holds; got {shown}")


def _remedy(text: str) -> str:
    """What to do about a cell that is no number."""
    if text.strip().lower() in ABSENT:
        return "fill the cell, drop its row, or leave the column out (leave_out)"
    return "one_hot makes an input of each category, leave_out leaves the column out"
