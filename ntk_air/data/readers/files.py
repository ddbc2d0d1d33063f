"""Reading files that may be damaged or hostile: bounded, with the file's name in each error."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

_CHUNK_BYTES = 2**20


@runtime_checkable
class Readable(Protocol):
    """A stream of bytes: a file, or what an archive opens."""

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes; none at the end."""
        ...


class DataFileError(ValueError):
    """A data file is not what it should be; the message names the file and what is wrong."""


class ChecksumError(DataFileError):
    """A file of an official name and size has other content than the official one."""


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
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
            if total > max_bytes:
                raise DataFileError(
                    f"{path} unpacks to {total} bytes; at most {max_bytes} are expected"
                )
            yield archive
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DataFileError(f"{path} is damaged or no zip archive: {error}") from error
