"""What a kernel is, by content: so that tiles on disk are never taken for those of another one."""

import dataclasses
import enum
import functools
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntk_air._base.kinds import kind_of
from ntk_air._base.typing import AnyArray


def kernel_identity(kernel: Any) -> str:
    """The sha256 of a kernel's content, the same in every process.

    Of modules and dataclasses it sees the kind and the fields, of arrays their numbers, of
    functions their names, not their code. Classes and functions of this package have kinds with
    names of their own (``kinds.py``), so that code can move; those of others are known by module
    and name.

    Raises:
        ValueError: a part that has no content to tell it by, as a lambda or a function made
            inside another.
    """
    digest = hashlib.sha256()
    for part in _parts(kernel, "kernel"):
        digest.update(part)
        digest.update(b"\x00")
    return digest.hexdigest()


def array_identity(array: AnyArray) -> str:
    """The sha256 of an array's precision, shape and numbers."""
    values = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{values.dtype.name} {values.shape}".encode())
    digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _parts(value: Any, name: str) -> Iterator[bytes]:
    """What a value consists of, depth first."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield f"{type(value).__name__} {value!r}".encode()
    elif isinstance(value, enum.Enum):
        yield f"{_named(type(value), name)}.{value.name}".encode()
    elif isinstance(value, np.dtype):
        yield repr(value).encode()
    elif isinstance(value, type):
        yield f"class {_named(value, name)}".encode()
    elif isinstance(value, jax.Array | np.ndarray | np.generic):
        if not any(jnp.issubdtype(value.dtype, kind) for kind in (jnp.number, jnp.bool_)):
            raise _unknown(value, name)
        yield array_identity(np.asarray(value)).encode()
    elif isinstance(value, Mapping):
        yield from _parts(sorted(value.items(), key=repr), name)
    elif isinstance(value, list | tuple):
        yield f"{type(value).__name__} of {len(value)}".encode()
        for index, item in enumerate(value):
            yield from _parts(item, f"{name}[{index}]")
    elif hasattr(value, "__self__") and hasattr(value, "__func__"):
        method = value.__func__.__name__
        # One that the class overrides has the same name.
        if getattr(getattr(value.__self__, method), "__func__", None) is not value.__func__:
            raise _unknown(value, name)
        yield f"method {method}".encode()
        yield from _parts(value.__self__, name)
    elif isinstance(value, functools.partial):
        yield b"partial"
        yield from _parts((value.func, value.args, value.keywords), name)
    elif dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
        yield f"{_named(type(value), name)} {fields}".encode()
        for field in fields:
            yield from _parts(getattr(value, field), f"{name}.{field}")
    elif callable(value):
        yield f"function {_named(value, name)}".encode()
    else:
        raise _unknown(value, name)


def _named(thing: Any, name: str) -> str:
    """The name of a class or function on disk; refused where it has none that lasts."""
    known = kind_of(thing)
    if known is None:
        raise _unknown(thing, name)
    return known


def _unknown(value: Any, name: str) -> ValueError:
    return ValueError(
        f"{name} must be known by content, so that its tiles are told from those of another "
        f"kernel; got {value!r}: pass kernel_id, a text that stands for this kernel alone"
    )
