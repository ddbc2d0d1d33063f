"""Finding and reading files that may be damaged or hostile: bounded, each named in its errors."""

import collections
import gzip
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from ntk_air._base.files import ARCHIVE_DAMAGES

Found = TypeVar("Found")

ENVIRONMENT_VARIABLE = "NTK_AIR_DATA"

_CHUNK_BYTES = 2**20


@runtime_checkable
class Readable(Protocol):
    """A stream of bytes: a file, or what an archive opens."""

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes; none at the end."""
        ...


class DatasetNotFoundError(FileNotFoundError):
    """No file of a data set was found; the message says where it looked and how to get it."""


class DataFileError(ValueError):
    """A data file is not what it should be; the message names the file and what is wrong."""


class ChecksumError(DataFileError):
    """A file of an official name and size has other content than the official one."""


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Raise what is wrong with the content of a file as ``DataFileError`` that names the file."""
    try:
        yield
    except DataFileError:
        raise
    except ValueError as error:
        raise DataFileError(f"{what}: {error}") from error


@contextmanager
def opened(path: Path) -> Iterator[Readable]:
    """Open a file, through gzip where its first bytes say so.

    Whatever goes wrong in decompression while the file is open is raised as ``DataFileError``.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            yield raw
            return
        try:
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataFileError(f"{path} is damaged or cut off: {error}") from error


def read_up_to(stream: Readable, n_bytes: int) -> bytes:
    """Read ``n_bytes``, or what is left: memory grows with what is there, not with the wish."""
    chunks = []
    while n_bytes > 0 and (chunk := stream.read(min(n_bytes, _CHUNK_BYTES))):
        chunks.append(chunk)
        n_bytes -= len(chunk)
    return b"".join(chunks)


def read_bounded(stream: Readable, max_bytes: int, what: str) -> bytes:
    """Read all of a stream that must not hold more than ``max_bytes``."""
    content = read_up_to(stream, max_bytes + 1)
    if len(content) > max_bytes:
        raise DataFileError(f"{what} holds more than {max_bytes} bytes, the most that is expected")
    return content


@contextmanager
def opened_zip(path: Path, max_bytes: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose members together unpack to at most ``max_bytes``.

    Damage found while the archive is open is raised as ``DataFileError``.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                counts = collections.Counter(archive.namelist())
                twice = [name for name, count in counts.items() if count > 1]
                if twice:
                    raise DataFileError(f"{path} must hold each file once; got {twice} twice")
                total = sum(member.file_size for member in archive.infolist())
                if total > max_bytes:
                    raise DataFileError(
                        f"{path} unpacks to {total} bytes; at most {max_bytes} are expected"
                    )
                yield archive
        except ARCHIVE_DAMAGES as error:
            raise DataFileError(f"{path} is damaged or no zip archive: {error}") from error


def search_roots(data_dir: str | os.PathLike[str] | None) -> list[Path]:
    """The folders to look in, best first.

    ``data_dir`` alone where it is given: a set found elsewhere would not be the one meant. Else
    the folder that ``NTK_AIR_DATA`` names, then the usual places.

    Raises ``DatasetNotFoundError`` where ``data_dir`` is no folder.
    """
    if data_dir is not None:
        if not Path(data_dir).is_dir():
            raise DatasetNotFoundError(f"data_dir must be a folder; got {os.fspath(data_dir)!r}")
        return [Path(data_dir)]
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [
        *([Path(named)] if named else []),
        cache / "ntk_air",
        Path("data"),
        Path.home() / ".keras" / "datasets",
        Path("/usr/share/datasets"),
    ]


def find(
    name: str,
    *,
    roots: Sequence[Path],
    subfolders: Sequence[str],
    probe: Callable[[Path], Found | None],
    how_to_get: str,
) -> Found:
    """The first hit of ``probe`` in a subfolder of a root, or in the root itself.

    Args:
        name: name of the data set in the error.
        roots: folders to look in, best first.
        subfolders: glob patterns, tried in this order before the root.
        probe: function of a folder that returns what it found there, or ``None``.
        how_to_get: sentence for the reader of the error.

    Raises:
        DatasetNotFoundError: nothing found.
    """
    for root in roots:
        for folder in [*(hit for sub in subfolders for hit in sorted(root.glob(sub))), root]:
            if folder.is_dir() and (found := probe(folder)) is not None:
                return found
    looked = "\n".join(
        f"  {root}" + ("" if root.is_dir() else "  (no such folder)") for root in roots
    )
    raise DatasetNotFoundError(
        f"the data set {name!r} was not found. Looked in\n{looked}\n"
        f"there and in the subfolders {', '.join(subfolders)}.\n{how_to_get}\n"
        f"Name the folder with data_dir, or in the environment variable {ENVIRONMENT_VARIABLE}."
    )


def short(path: Path) -> str:
    """The last two parts of a path: enough for a reader, and the same on every machine."""
    return "/".join(path.parts[-2:])
