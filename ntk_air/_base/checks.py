"""Checks of arguments, made before any work starts.

Each raises ``ValueError`` naming the argument, what was expected and what was got.
"""

import math
import sys
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:  # options are checked before JAX is needed
    from ntk_air._base.typing import AnyArray

LARGEST_SEED = 2**32 - 1
"""Larger ones lose their upper half in JAX's keys where it runs in 32 bits."""

# --- numbers, words, flags ------------------------------------------------------------------------


def as_number(value: Any) -> Any:
    """A real number as Python's own; anything else as it is, for a check to name.

    Numbers are Python's, NumPy's, and arrays without axes. ``True`` is none.
    """
    if isinstance(value, bool | np.bool_ | np.ma.MaskedArray):
        return value
    if isinstance(value, np.integer | np.floating):
        return value.item() if value.dtype.itemsize <= 8 else float(value)
    if is_array(value) and value.ndim == 0 and _dtype_kind(value) in "iuf":
        return value.item()
    return value


def as_float(value: Any) -> Any:
    """A real number as Python's float; anything else as it is, for a check to name."""
    number = as_number(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        return value
    try:
        return float(number)
    except OverflowError:
        return value


def number(name: str) -> Callable[[Any], float]:
    """A converter to ``float`` that raises ``ValueError`` for truth values, text and arrays."""

    def converted(value: Any) -> float:
        found = as_float(value)
        if not isinstance(found, float):
            raise ValueError(f"{name} must be a number; got {shown(value)}")
        return found

    return converted


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Require ``value`` to be one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        expected = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {expected}; got {shown(value)}")


def check_flag(name: str, value: Any) -> None:
    """Require ``True`` or ``False``: any other value would count as one of them unseen."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False; got {shown(value)}")


def check_kind(name: str, value: Any, *kinds: type) -> None:
    """Require an object of one of these classes."""
    if not isinstance(value, kinds):
        expected = " or ".join("None" if each is type(None) else each.__name__ for each in kinds)
        raise ValueError(f"{name} must be {expected}; got {shown(value)}")


def is_function(value: Any) -> TypeGuard[Callable[..., Any]]:
    """Whether this can be called; a class is not meant, but an instance of it."""
    return callable(value) and not isinstance(value, type)


def check_callable(name: str, value: Any) -> None:
    """Require what can be called, an instance where it is of a class."""
    if not is_function(value):
        raise ValueError(f"{name} must be callable; got {shown(value)}")


def listed(name: str) -> Callable[[Any], tuple[Any, ...]]:
    """A converter for a field that is a list, a tuple or a vector; texts and numbers are none."""

    def convert(values: Any) -> tuple[Any, ...]:
        if isinstance(values, list | tuple | range) or (is_array(values) and values.ndim == 1):
            return tuple(values)
        raise ValueError(f"{name} must be a list; got {shown(values)}")

    return convert


def check_positive(name: str, value: Any) -> None:
    """Require a finite number above zero; below the least normal number digits are lost."""
    number = _finite(value)
    if number is None or not number > 0:
        raise ValueError(f"{name} must be a finite number above 0; got {shown(value)}")
    if number < sys.float_info.min:
        raise ValueError(
            f"{name} must be at least the least normal number, {sys.float_info.min:.3g}; got "
            f"{shown(value)}"
        )


def check_at_least(name: str, value: Any, minimum: float | int) -> None:
    """Require a finite number that is at least ``minimum``."""
    number = _finite(value)
    if number is None or not number >= minimum:
        raise ValueError(f"{name} must be a finite number, at least {minimum}; got {shown(value)}")


def check_fraction(name: str, value: Any) -> None:
    """Require a number in [0, 1]."""
    if not _is_fraction(value):
        raise ValueError(f"{name} must lie in [0, 1]; got {shown(value)}")


def check_fractions(name: str, values: Iterable[Any]) -> None:
    """Require numbers in [0, 1]."""
    values = tuple(values)
    for value in values:
        if not _is_fraction(value):
            raise ValueError(f"{name} must all lie in [0, 1]; got {shown(value)} among {values}")


def check_whole_number(
    name: str, value: Any, *, minimum: int = 0, maximum: int | None = None
) -> int:
    """Require an integer, Python's or NumPy's, and return it as Python's own.

    A float is none even where it is whole, nor is ``True``: a count that was computed as a float
    is one that something was rounded or lost in.
    """
    number = as_number(value)
    whole = isinstance(number, int) and not isinstance(number, bool)
    if not whole or number < minimum or (maximum is not None and number > maximum):
        span = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name} must be a whole number, {span}; got {shown(value)}")
    return number


def check_seed(name: str, value: Any) -> int:
    """Require a whole number that any generator takes as its seed, and return it."""
    return check_whole_number(name, value, maximum=LARGEST_SEED)


def shown(value: Any) -> str:
    """A value as an error shows it: in one line of bounded length."""
    if is_array(value) and getattr(value, "ndim", 0):
        return f"an array of shape {np.shape(value)}"
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer of more digits than Python writes
        return f"{_kind(value)} that is too long to be written"
    return text if len(text) <= 200 else f"{text[:200]}…"


def _is_fraction(value: object) -> bool:
    number = _finite(value)
    return number is not None and 0 <= number <= 1


def _finite(value: object) -> float | None:
    """A real number as a float; ``None`` for one that is not finite, and for anything else."""
    number = as_float(value)
    return number if isinstance(number, float) and math.isfinite(number) else None


# --- arrays ---------------------------------------------------------------------------------------


def is_array(value: object) -> bool:
    """Whether a value is an array of NumPy's or JAX's."""
    jax = sys.modules.get("jax")  # an array of JAX's cannot be where JAX is not
    return isinstance(value, np.ndarray) or (jax is not None and isinstance(value, jax.Array))


def check_array(name: str, array: "AnyArray") -> None:
    """Require an array of NumPy's or JAX's: from anything else values or types would be guessed."""
    if is_array(array) and not isinstance(array, np.ma.MaskedArray):
        return
    way_out = {
        "MaskedArray": "fill it or leave rows out",
        "DataFrame": "pass .to_numpy()",
        "Series": "pass .to_numpy()",
    }.get(type(array).__name__, "pass np.asarray(…) of it")
    if hasattr(array, "toarray"):  # a sparse matrix
        way_out = "pass .toarray()"
    raise ValueError(f"{name} must be an array of NumPy or JAX; got {_kind(array)}: {way_out}")


def check_floating(name: str, array: "AnyArray") -> None:
    """Require a real floating-point array: integers overflow and truncate without a word."""
    check_array(name, array)
    if array.dtype in (np.float32, np.float64):
        return
    way_out = "convert it, scaling pixels to a sensible range"
    dtype = array.dtype
    if _dtype_kind(array) == "f" and dtype.itemsize in (4, 8):
        way_out = "bring it into this machine's byte order with .astype(…)"
    elif _dtype_kind(array) == "c":
        way_out = "take real and imaginary parts as features of their own"
    raise ValueError(
        f"{name} must be a floating-point array (float32 or float64); got dtype {dtype}: {way_out}"
    )


def check_finite(name: str, array: "AnyArray") -> None:
    """Require finite values; the error names the first rows that break this."""
    check_array(name, array)
    if _dtype_kind(array) not in "biuf":
        raise ValueError(f"{name} must be an array of real numbers; got dtype {array.dtype}")
    finite = np.isfinite(np.atleast_1d(np.asarray(array)))
    if finite.all():
        return
    rows = np.flatnonzero(~finite.reshape(finite.shape[0], -1).all(axis=1))
    first = ", ".join(str(row) for row in rows[:5]) + (", …" if len(rows) > 5 else "")
    raise ValueError(f"{name} must be finite; got NaN or infinity in {len(rows)} rows: {first}")


def check_inputs(name: str, array: "AnyArray") -> None:
    """Require a non-empty, finite floating-point array with a leading batch axis."""
    check_array(name, array)
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
    check_array(name1, array1)
    check_array(name2, array2)
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


def _dtype_kind(array: "AnyArray") -> str:
    return getattr(array.dtype, "kind", "V")  # the dtypes of JAX's keys are none of NumPy's


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiouAEIO' else 'a'} {name}"
