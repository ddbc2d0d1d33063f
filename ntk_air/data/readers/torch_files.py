"""Tensors that torch saved in its format of before 1.6, read without torch.

Such a file is a row of five pickles: a magic number, a version, the sizes of C's types, a
dictionary of tensors that refer to storages by key, and the keys in the order in which the
storages' bytes follow, each behind its length. The pickles are read by the listed names alone:
stand-ins note which part of which storage a tensor is, and the bytes are looked up afterwards.
"""

import io
import math
import pickle
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ntk_air.data.readers.files import DataFileError
from ntk_air.data.readers.pickles import ListedUnpickler, StandIn, StandIns

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


class _StorageType(StandIn):
    """Stands for a type of storages, which is named but never called."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: str):
        self.dtype = np.dtype(dtype)


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    length: int


class _Tensor(NamedTuple):
    """Which part of a storage a tensor is."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor as an array of its own, from the numbers of its storage."""
        strides = [stride * numbers.itemsize for stride in self.strides]
        return np.array(as_strided(numbers[self.offset :], self.shape, strides))


class _Dictionary(dict):
    """Stands for an ordered dictionary; what else its pickle sets on it is left out."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass


class _MakeDictionary(StandIn):
    __slots__ = ()

    def __call__(self) -> _Dictionary:
        return _Dictionary()


class _RebuildTensor(StandIn):
    __slots__ = ()

    def __call__(
        self, storage: object, offset: object, shape: Any, strides: Any, *_: object
    ) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor without a storage")
        (offset,) = _whole_numbers(offset)
        shape, strides = _whole_numbers(*shape), _whole_numbers(*strides)
        steps = [(side - 1) * stride for side, stride in zip(shape, strides, strict=True)]
        if 0 in shape or max(offset + sum(steps) + 1, math.prod(shape)) > storage.length:
            raise pickle.UnpicklingError(
                f"shape {shape} with strides {strides} from {offset} does not fit a storage of "
                f"{storage.length} numbers"
            )
        return _Tensor(storage, offset, shape, strides)


_NAMES: StandIns = {
    ("collections", "OrderedDict"): _MakeDictionary(),
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch", "FloatStorage"): _StorageType("<f4"),
    ("torch", "LongStorage"): _StorageType("<i8"),
}


class _TensorUnpickler(ListedUnpickler):
    """Reads a pickle of tensors and keeps the storages that it refers to."""

    def __init__(self, stream: io.BytesIO):
        super().__init__(stream, _NAMES, "a file of tensors")
        self.storages: dict[str, _Storage] = {}

    def persistent_load(self, reference: Any, /) -> _Storage:
        """The storage of a reference, alike wherever it is referred to."""
        _, storage_type, key, _, length, view = reference
        if not isinstance(storage_type, _StorageType) or view is not None:
            raise pickle.UnpicklingError(f"a storage of another kind: {reference!r}")
        storage = _Storage(_key(key), storage_type.dtype, *_whole_numbers(length))
        if self.storages.setdefault(storage.key, storage) != storage:
            raise pickle.UnpicklingError(f"the storage {storage.key} in two ways")
        return storage


def load_tensors(content: bytes, what: str) -> dict[str, np.ndarray]:
    """The tensors of a saved dictionary, by name.

    Args:
        content: bytes of a file that torch saved before release 1.6.
        what: name of the file in errors.

    Returns:
        Arrays of float32 or int64, in the order of the file.

    Raises:
        DataFileError: another kind of file, a damaged one, or one that names anything else than
            tensors of these types; nothing it names is run.
    """
    try:
        tensors, numbers = _read(io.BytesIO(content))
    # A damaged pickle can fail in any way: unpickling is an interpreter fed with noise.
    except Exception as error:
        raise DataFileError(f"{what} is no readable file of torch's tensors: {error}") from error
    return {name: tensor.of(numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _read(stream: io.BytesIO) -> tuple[dict[str, _Tensor], dict[str, np.ndarray]]:
    """The tensors of a file, and the numbers of each storage."""
    magic, version, system = (ListedUnpickler(stream, {}, "its head").load() for _ in range(3))
    if magic != _MAGIC or version != _VERSION:
        raise ValueError("it does not begin as such a file does")
    if system.get("little_endian") is not True:
        raise ValueError("its numbers are not in little-endian order")
    unpickler = _TensorUnpickler(stream)
    tensors = unpickler.load()
    keys = [_key(key) for key in ListedUnpickler(stream, {}, "its list of keys").load()]
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in tensors.items()
    ):
        raise ValueError("it must hold a dictionary of tensors by name")
    storages = unpickler.storages
    if sorted(keys) != sorted(storages):
        raise ValueError("its storages are not those that its tensors refer to")
    numbers = {key: _numbers(stream, storages[key]) for key in keys}
    if stream.read(1):
        raise ValueError("it goes on behind its last storage")
    return tensors, numbers


def _numbers(stream: io.BytesIO, storage: _Storage) -> np.ndarray:
    length = int.from_bytes(stream.read(8), "little")
    content = stream.read(storage.length * storage.dtype.itemsize)
    if length != storage.length or len(content) != length * storage.dtype.itemsize:
        raise ValueError(f"the storage {storage.key} is cut off or of another length")
    return np.frombuffer(content, storage.dtype)


def _key(value: object) -> str:
    if not isinstance(value, str):
        raise pickle.UnpicklingError(f"a storage with the key {value!r}")
    return value


def _whole_numbers(*values: object) -> tuple[int, ...]:
    if not all(type(value) is int and value >= 0 for value in values):
        raise pickle.UnpicklingError(f"{values} where whole numbers belong")
    return values  # pyright: ignore[reportReturnType]
