"""Tables of pandas, polars and others, through narwhals: columns have types, none is guessed."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ntk_air._base.arrays import exact_float64, real_array
from ntk_air._base.checks import shown
from ntk_air.data.readers.files import DataFileError, naming, short

_SUFFIXES = {
    ".parquet": ("read_parquet", "read_parquet"),
    ".feather": ("read_ipc", "read_feather"),
    ".arrow": ("read_ipc", "read_feather"),
    ".ndjson": ("read_ndjson", None),
}
"""What polars and pandas call the reader of each kind of file."""

TABLE_SUFFIXES = tuple(_SUFFIXES)


@dataclass(frozen=True)
class Frame:
    """A table with typed columns.

    Attributes:
        source: the file, or what the table is called in errors.
        frame: narwhals' table.
    """

    source: str
    frame: Any

    @property
    def header(self) -> list[str]:
        """The columns' names."""
        return list(self.frame.columns)

    @property
    def name(self) -> str:
        """The file's name, without what is behind a dot."""
        return Path(self.source).name.split(".")[0]

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.frame)

    def place(self, column: str, row: int) -> str:
        """Where a cell is, as errors name it; rows are counted from 0."""
        return f"{self.source}: row {row}, column {column!r}"

    def texts(self, column: str) -> list[str]:
        """A column of whole numbers, truth values, texts or categories, as text."""
        if column not in self.header:
            raise DataFileError(
                f"{self.source} has no column {column!r}; its columns are {self.header}"
            )
        self._check_present(column)
        values = self.frame[column].to_list()
        for row, value in enumerate(values):
            if not isinstance(value, str | bool | int | np.bool_ | np.integer):
                hint = (
                    ": real-valued targets are Labels of a Problem"
                    if isinstance(value, float)
                    else ""
                )
                raise DataFileError(
                    f"{self.place(column, row)} must hold a class, as text, whole number or truth "
                    f"value; got {shown(value)}{hint}"
                )
        return [str(value) for value in values]

    def shown(self, column: str) -> list[str]:
        """A column's cells for a reader."""
        return [str(value) for value in self.frame[column].to_list()]

    def numbers(self, columns: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Columns of finite numbers."""
        table = np.empty((self.n_rows, len(columns)))
        for index, column in enumerate(columns):
            self._check_present(column)
            with naming(self.source):
                name = f"column {column!r}"
                dtype = self.frame[column].dtype
                if not dtype.is_numeric():
                    raise ValueError(
                        f"{name} must hold numbers; got {dtype}: one_hot makes an input of each "
                        "category, leave_out leaves the column out"
                    )
                values = np.asarray(real_array(name, self.frame[column].to_numpy()))
                table[:, index] = exact_float64(name, values)
        return table

    def check_header(self, label_columns: Sequence[str]) -> None:
        """Nothing: a typed table has a header of its own."""

    def _check_present(self, column: str) -> None:
        """Require a value in every cell, none of them not a number."""
        series = self.frame[column]
        absent = series.is_null()
        if series.dtype.is_float():
            absent = absent | ~series.is_finite()
        rows = np.flatnonzero(absent.to_numpy())
        if len(rows):
            raise DataFileError(
                f"{self.place(column, int(rows[0]))} must hold a value; got "
                f"{shown(series[int(rows[0])])}, as {len(rows)} of {self.n_rows} rows do: fill "
                "them, drop these rows, or leave the column out (leave_out)"
            )


def frame_of(table: Any, source: str = "table") -> Frame:
    """A table of pandas, polars, pyarrow or another library that narwhals knows.

    Raises ``ValueError`` for anything else, and for columns that are not named by text.
    """
    import narwhals

    try:
        frame = narwhals.from_native(table, eager_only=True)
    except (TypeError, ValueError) as error:  # no table, or columns of one name
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{source} must be a table of pandas, polars or another library that narwhals knows; "
            f"got {type(table).__name__}: {reason}"
        ) from error
    odd = [name for name in frame.columns if not isinstance(name, str)]
    if odd:
        raise ValueError(f"{source} must have columns named by text; got {shown(odd[0])}")
    if not len(frame):
        raise ValueError(f"{source} must hold at least one row; got none")
    return Frame(source, frame)


def read_frame(path: Path) -> Frame:
    """Read a table that is no text, by polars or pandas, whichever is installed.

    Raises:
        DataFileError: a file of another kind, or one that the library cannot read.
        ModuleNotFoundError: neither is installed; names the extra.
    """
    readers = _SUFFIXES.get(path.suffix.lower())
    if readers is None:
        raise DataFileError(f"table must be a file {', '.join(_SUFFIXES)}; got {path}")
    if not path.is_file():
        raise FileNotFoundError(f"table must be a file; there is none at {path}")
    for library, reader in zip(("polars", "pandas"), readers, strict=True):
        if reader is None or importlib.util.find_spec(library) is None:
            continue
        try:
            table = getattr(importlib.import_module(library), reader)(path)
        except ImportError as error:  # pandas leaves parquet to pyarrow
            raise ModuleNotFoundError(_INSTALL) from error
        # Libraries report a damaged file as whatever their readers raise.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise DataFileError(f"{path} is no readable {path.suffix} file: {reason}") from error
        return frame_of(table, short(path))
    raise ModuleNotFoundError(_INSTALL)


_INSTALL = 'tables other than .csv are read by polars, or pandas: pip install "ntk-air[tables]"'
