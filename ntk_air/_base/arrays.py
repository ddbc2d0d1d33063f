"""Arrays as they come in: the same real numbers as a plain array, or a refusal that names them.

What numpy makes of a list, a table, a masked or a sparse array is often a guess: text for numbers,
what lies under a mask, an object. Nothing is guessed here, and nothing but JAX's own arrays, which
stay where they are, is let through unseen.
"""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # options are checked before JAX is needed
    from ntk_air._base.typing import AnyArray

LARGEST_WHOLE = 2**53
"""Up to here float64 holds every whole number."""

_HINTS = {
    "b": ": say by astype which number stands for which",
    "c": ": hand in real and imaginary parts as features of their own",
    "M": ": dates and times have no scale of their own, count from a day in a unit",
    "m": ": dates and times have no scale of their own, count in a unit",
    "S": ": text is not read as numbers",
    "T": ": text is not read as numbers",
    "U": ": text is not read as numbers",
}
_PLAIN = (np.ndarray, np.memmap, np.matrix)


def real_array(name: str, given: Any) -> "AnyArray":
    """The array that was given, or the one that lists or a table of numbers hold.

    Args:
        name: name of the argument in errors.
        given: array of numpy or JAX, nested lists of numbers, or a table or column of pandas,
            polars or another library that narwhals knows, with a number in every cell.

    Returns:
        JAX's arrays as they are; all else as numpy's, in the byte order of this machine.

    Raises:
        ValueError: absent values (masked, ``None``, NA), complex or truth values, dates, text,
            objects, sparse matrices, lists of unequal lengths, and whatever is no array.
    """
    array = _array_of(name, given)
    kind = getattr(array.dtype, "kind", "V")  # JAX's keys have none
    if kind == "O":
        raise ValueError(
            f"{name} must hold real numbers; got objects, {_first_object(np.asarray(array))}"
        )
    if kind not in "iuf":
        hint = _HINTS.get(kind, "")
        raise ValueError(f"{name} must hold real numbers; got dtype {array.dtype}{hint}")
    if isinstance(array, np.ndarray) and not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return array


def exact_float64(name: str, array: np.ndarray) -> np.ndarray:
    """The same numbers as float64; the array itself where it is that already.

    Raises ``ValueError`` for numbers that float64 does not hold: whole ones beyond ±2^53, and
    longer or larger floating-point ones.
    """
    is_long = array.dtype.kind in "iu" and array.dtype.itemsize > 4 and array.size > 0
    if is_long and (array.min() < -LARGEST_WHOLE or array.max() > LARGEST_WHOLE):
        beyond = (array < -LARGEST_WHOLE) | (array > LARGEST_WHOLE)
        raise ValueError(
            f"{name} must hold whole numbers within ±2^53, which float64 tells apart; "
            f"got {_first(array, beyond)}"
        )
    with np.errstate(over="ignore"):
        converted = array.astype(np.float64, copy=False)
    if array.dtype.itemsize > 8:
        changed = (converted != array) & ~np.isnan(array)
        if changed.any():
            raise ValueError(
                f"{name} must hold numbers that float64 holds without rounding; "
                f"got {_first(array, changed)} as {array.dtype}"
            )
    return converted


def _array_of(name: str, given: Any) -> "AnyArray":
    """The array behind what was given, of whatever type its entries are."""
    if "jax" in sys.modules and isinstance(given, sys.modules["jax"].Array):
        return given
    if isinstance(given, np.ma.MaskedArray):
        return _unmasked(name, given)
    if isinstance(given, list | tuple):
        return _listed(name, given)
    if isinstance(given, np.ndarray):
        if type(given) not in _PLAIN:
            raise ValueError(
                f"{name} must be a plain array; got numpy's subclass {type(given).__name__}, "
                "whose meaning would be lost: hand in np.asarray of it if the numbers are all"
            )
        return np.asarray(given)
    if hasattr(given, "toarray") or hasattr(given, "todense"):
        raise ValueError(
            f"{name} must be a dense array; got the sparse {type(given).__name__}: "
            "its toarray() is dense"
        )
    if hasattr(given, "columns") or hasattr(given, "to_numpy"):
        return _tabled(name, given)
    if not hasattr(given, "__array__"):
        raise ValueError(f"{name} must be an array of numbers; got {type(given).__name__}")
    return _converted(name, given)


def _converted(name: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    # Tensors of other libraries refuse as they like where they lie on another device.
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{name} must be an array of numbers; got {type(given).__name__}, of which numpy "
            f"makes none: {reason}"
        ) from error


def _unmasked(name: str, given: np.ma.MaskedArray) -> np.ndarray:
    mask = np.ma.getmaskarray(given)
    if mask.any():
        raise ValueError(
            f"{name} must have all its values; got a masked array without {int(mask.sum())} of "
            f"them, the first at {_position(np.argwhere(mask)[0])}"
        )
    return np.asarray(given.data)


def _listed(name: str, given: list | tuple) -> np.ndarray:
    """Lists of numbers, none of which numpy may change to fit beside the others."""
    parts = [
        np.asarray(_array_of(name, part))
        if hasattr(part, "__array__") and not np.isscalar(part)
        else part
        for part in given
    ]
    array = _converted(name, parts)
    if array.dtype.kind not in "iuf":
        return array
    for position, entry in np.ndenumerate(np.array(parts, object)):
        whole = array.dtype.kind == "f" and isinstance(entry, int)
        if isinstance(entry, bool | np.bool_) or (whole and entry != float(array[position])):
            raise ValueError(
                f"{name} must hold numbers that all are {array.dtype}; got {entry} among them at "
                f"{_position(position)}"
            )
    return array


def _tabled(name: str, given: Any) -> np.ndarray:
    """A table's columns side by side, or a single column, each of whole or real numbers."""
    import narwhals  # for those who have tables

    try:
        table = narwhals.from_native(given, eager_only=True, allow_series=True)
    except (TypeError, ValueError) as error:  # no table, or columns of one name
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{name} must be an array or a table of numbers; got {type(given).__name__}: {reason}"
        ) from error
    if isinstance(table, narwhals.Series):
        return _column(name, table)
    columns = {
        key: _column(f"{name}, column {key!r},", table.get_column(key)) for key in table.columns
    }
    if len({column.dtype.kind for column in columns.values()}) > 1:
        columns = {
            key: exact_float64(f"{name}, column {key!r},", column)
            for key, column in columns.items()
        }
    return np.stack(list(columns.values()), axis=1) if columns else np.empty((len(table), 0))


def _column(name: str, column: Any) -> np.ndarray:
    absent = column.is_null().to_numpy()
    if absent.any():
        raise ValueError(
            f"{name} must have all its values; got {int(absent.sum())} absent, "
            f"the first in row {int(np.argmax(absent))}"
        )
    if not (column.dtype.is_integer() or column.dtype.is_float()):
        raise ValueError(f"{name} must hold real numbers; got {column.dtype}")
    return column.to_numpy()


def _first_object(array: np.ndarray) -> str:
    """The first entry that is no number, or the first of all."""
    entries = list(np.ndenumerate(array))
    odd = [pair for pair in entries if not isinstance(pair[1], int | float) or pair[1] != pair[1]]
    if not entries:
        return "none of them"
    position, entry = (odd or entries)[0]
    return f"such as {entry!r} ({type(entry).__name__}) at {_position(position)}"


def _first(array: np.ndarray, chosen: np.ndarray) -> str:
    position = tuple(np.argwhere(chosen)[0])
    return f"{array[position]!s} at {_position(position)}"  # a format would round long ones


def _position(index: Any) -> str:
    numbers = ", ".join(str(int(i)) for i in index)
    return f"row {numbers}" if len(index) == 1 else f"position ({numbers})"
