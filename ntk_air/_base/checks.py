"""Checks of arguments, made before any work starts.

Each raises ``ValueError`` naming the argument, what was expected and what was got.
"""

import numbers
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # options are checked before JAX is needed
    from ntk_air._base.typing import AnyArray


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Require ``value`` to be one of ``choices``."""
    if value not in choices:
        expected = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {expected}; got {value!r}")


def check_positive(name: str, value: float | int) -> None:
    """Require a finite number above zero."""
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number above 0; got {value!r}")


def check_at_least(name: str, value: float | int, minimum: float | int) -> None:
    """Require a finite number that is at least ``minimum``."""
    if not (np.isfinite(value) and value >= minimum):
        raise ValueError(f"{name} must be a finite number, at least {minimum}; got {value!r}")


def check_fraction(name: str, value: float | int) -> None:
    """Require a number in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1]; got {value!r}")


def check_fractions(name: str, values: Iterable[float]) -> None:
    """Require numbers in [0, 1]."""
    values = tuple(values)
    for value in values:
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must all lie in [0, 1]; got {value!r} among {values}")


def check_whole(name: str, value: Any, minimum: int) -> None:
    """Require a whole number, of Python or numpy, that is at least ``minimum``."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < minimum:
        raise ValueError(f"{name} must be a whole number, at least {minimum}; got {value!r}")


def number(name: str) -> Callable[[Any], float]:
    """A converter to ``float`` that raises ``ValueError`` for truth values, text and arrays."""

    def converted(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(f"{name} must be a number; got {value!r}")
        return float(value)

    return converted


def check_floating(name: str, array: "AnyArray") -> None:
    """Require a real floating-point array: integers overflow and truncate without a word."""
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{name} must be a floating-point array (float32 or float64); got dtype {array.dtype}"
            ": convert it, scaling pixels to a sensible range"
        )


def check_finite(name: str, array: "AnyArray") -> None:
    """Require finite values; the error names the first rows that break this."""
    finite = np.isfinite(np.asarray(array))
    if finite.all():
        return
    rows = np.flatnonzero(~finite.reshape(finite.shape[0], -1).all(axis=1))
    shown = ", ".join(str(row) for row in rows[:5]) + (", …" if len(rows) > 5 else "")
    raise ValueError(f"{name} must be finite; got NaN or infinity in {len(rows)} rows: {shown}")


def check_inputs(name: str, array: "AnyArray") -> None:
    """Require a non-empty, finite floating-point array with a leading batch axis."""
    if array.ndim < 2:
        raise ValueError(
            f"{name} must have shape (n, *features) with a leading batch axis; got {array.shape}"
        )
    if array.size == 0:
        raise ValueError(f"{name} must not be empty; got shape {array.shape}")
    check_floating(name, array)
    check_finite(name, array)


def check_same_features(name1: str, array1: "AnyArray", name2: str, array2: "AnyArray") -> None:
    """Require two batches of inputs to agree in all but their leading axis."""
    if array1.shape[1:] != array2.shape[1:]:
        raise ValueError(
            f"{name1} and {name2} must have the same features; got shapes "
            f"{array1.shape[1:]} and {array2.shape[1:]} behind the batch axis"
        )


def check_same_dtype(name1: str, array1: "AnyArray", name2: str, array2: "AnyArray") -> None:
    """Require two arrays of one precision: a mixture loses digits without a word."""
    if array1.dtype != array2.dtype:
        raise ValueError(
            f"{name1} and {name2} must have the same dtype; got {array1.dtype} and {array2.dtype}"
        )


def check_pair(x1: "AnyArray", x2: "AnyArray | None") -> None:
    """Check the inputs of a kernel, the entire sets at once."""
    check_inputs("x1", x1)
    if x2 is not None:
        check_inputs("x2", x2)
        check_same_features("x1", x1, "x2", x2)
        check_same_dtype("x1", x1, "x2", x2)
