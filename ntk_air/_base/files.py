"""Files that are either whole or absent."""

import contextlib
import io
import json
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ARCHIVE_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, OverflowError),
)
"""What the standard library raises for a zip archive that is cut or changed."""

_DAMAGES = (*ARCHIVE_DAMAGES, ValueError, TypeError, KeyError, AttributeError, MemoryError)
"""What NumPy raises for an ``.npz`` that is cut, changed or something else."""

if TYPE_CHECKING:  # saved results are read without JAX
    from ntk_air._base.typing import AnyArray


def check_writable(name: str, path: Path) -> None:
    """Require that a file can be made or replaced at ``path``, its missing folders included."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"{name} must be a file; {path} is a folder")
    # Not Path.exists, which raises for a folder that may not be looked into.
    folder = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    if not folder.is_dir():
        raise NotADirectoryError(f"{name} must lie in a folder; {folder} is a file")
    effective = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        raise PermissionError(f"{name} must be a place that can be written to; {folder} is not")


@contextlib.contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """Have a folder; what of it was missing goes again where it stays empty."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty, as after all work that was not refused
            for folder in missing:
                folder.rmdir()


@contextlib.contextmanager
def replaced_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it takes the name ``path`` in one step.

    A reader sees the old file or the new one, and an interruption leaves the old one.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes had begun to write: for one that writes alone."""
    for unfinished in folder.glob(".*-*.*"):
        unfinished.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object atomically; arrays become lists, NaN and infinity become null."""
    text = json.dumps(jsonable(content), indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def write_arrays(path: Path, arrays: "Mapping[str, AnyArray]") -> None:
    """Write named arrays as one ``.npz``, atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.asarray(array) for name, array in arrays.items()})  # pyright: ignore[reportArgumentType]
    write_bytes(path, buffer.getvalue())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; the error of a damaged one names the file."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object; got {type(content).__name__}")
    return content


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the named arrays of an ``.npz``; the error of a damaged one names the file."""
    # NumPy leaves a damaged file open that it has opened itself.
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except _DAMAGES as error:
            raise ValueError(f"{path} is damaged, or holds no arrays: {error}") from error


def jsonable(value: Any) -> Any:
    """Turn arrays, tuples and numpy numbers into what JSON knows; non-finite numbers into null."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__jax_array__"):
        return jsonable(np.asarray(value).tolist())
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
