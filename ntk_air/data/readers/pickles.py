"""Pickles, read without running anything that they name.

A pickle is a program: it can name any function. Here it may name only what is listed, and each of
these names stands for a stand-in of ours that checks what it is given. Of pickled numpy arrays,
numpy itself sees nothing but bytes, a shape and a number type.
"""

import io
import math
import pickle
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from ntk_air.data.readers.files import DataFileError

StandIns: TypeAlias = Mapping[tuple[str, str], Any]
"""What stands for each name that a pickle may use, by module and name."""

_NUMBER_TYPES = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"b1", "f4", "f8"}


class _NumberType:
    """Stands for ``numpy.dtype``: a plain number type with a byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: str):
        self.code = code
        self.order = "|"

    def __setstate__(self, state: tuple) -> None:
        if len(state) != 8 or state[1] not in ("<", ">", "|", b"<", b">", b"|"):
            raise pickle.UnpicklingError("an array of another type than plain numbers")
        if state[2:] != (None, None, None, -1, -1, 0):
            raise pickle.UnpicklingError("an array of another type than plain numbers")
        self.order = _text(state[1])


class _ArrayParts:
    """Stands for an array: filled from a shape, a number type and bytes."""

    __slots__ = ("array",)

    def __setstate__(self, state: tuple) -> None:
        _, shape, number_type, fortran, content = state
        if not isinstance(number_type, _NumberType) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("an array of another type than plain numbers")
        dtype = np.dtype(number_type.order + number_type.code)
        if math.prod(shape) * dtype.itemsize != len(content):
            raise pickle.UnpicklingError(f"shape {shape} does not fit {len(content)} bytes")
        flat = np.frombuffer(content, dtype)
        self.array = flat.reshape(shape, order="F" if fortran else "C")


class StandIn:
    """A callable without attributes, so that a pickle cannot set any."""

    __slots__ = ()


class _Reconstruct(StandIn):
    __slots__ = ()

    def __call__(self, subtype: object, shape: object, code: object) -> _ArrayParts:
        if not isinstance(subtype, _NdArray):
            raise pickle.UnpicklingError("an array of a subclass")
        return _ArrayParts()


class _NdArray(StandIn):
    """Stands for the type ``numpy.ndarray``, which is named but never called."""

    __slots__ = ()


class _DType(StandIn):
    __slots__ = ()

    def __call__(self, code: Any, align: object = False, copy: object = True) -> _NumberType:
        if _text(code) not in _NUMBER_TYPES:
            raise pickle.UnpicklingError(f"an array of type {code!r}, not of plain numbers")
        return _NumberType(_text(code))


class _Latin1(StandIn):
    __slots__ = ()

    def __call__(self, text: Any, encoding: Any) -> bytes:
        if _text(encoding) not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"bytes encoded as {encoding!r}")
        return text.encode("latin-1")


_ARRAYS: StandIns = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy", "ndarray"): _NdArray(),
    ("numpy", "dtype"): _DType(),
    ("_codecs", "encode"): _Latin1(),
}


class ListedUnpickler(pickle.Unpickler):
    """An unpickler for which a pickle's names stand for what is listed, and nothing else.

    Args:
        stream: stream that is read to the end of one pickle.
        listed: stand-in of each name that the pickle may use.
        what: kind of pickle in the error for another name, such as "a pickle of arrays".
    """

    def __init__(self, stream: io.BytesIO, listed: StandIns, what: str):
        super().__init__(stream, encoding="bytes")
        self._listed = listed
        self._what = what

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The stand-in of a name; raises ``UnpicklingError`` for one that is not listed."""
        try:
            return self._listed[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it names {module_name}.{global_name}, which {self._what} does not"
            ) from None


def load_arrays(content: bytes, what: str) -> dict[str, Any]:
    """Read a pickled dictionary of arrays, lists, numbers and strings.

    Args:
        content: bytes of the pickle.
        what: name of the file in errors.

    Returns:
        The dictionary, its keys as text.

    Raises:
        DataFileError: no such pickle, or one that names anything else; nothing it names is run.
    """
    try:
        loaded = ListedUnpickler(io.BytesIO(content), _ARRAYS, "a pickle of arrays").load()
    # A damaged pickle can fail in any way: unpickling is an interpreter fed with noise.
    except Exception as error:
        raise DataFileError(f"{what} is no readable pickle of arrays: {error}") from error
    if not isinstance(loaded, dict):
        raise DataFileError(f"{what} must hold a dictionary; got {type(loaded).__name__}")
    return {_text(key): _unwrapped(value) for key, value in loaded.items()}


def _unwrapped(value: Any) -> Any:
    return getattr(value, "array", None) if isinstance(value, _ArrayParts) else value


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
