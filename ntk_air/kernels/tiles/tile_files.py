"""One tile in one file, which says itself what it holds and whether it is whole."""

import struct
import zlib
from pathlib import Path

import numpy as np

from ntk_air._base.files import replaced_atomically
from ntk_air.kernels.tiles.grid import TileGrid, TilePair

# Magic, fingerprint of the kernel, block of rows and of columns, their lengths, CRC-32 of the data.
_HEADER = struct.Struct("<8s32sIIIII4x")
_MAGIC = b"NTKTILE1"

HEADER_BYTES = _HEADER.size
"""Bytes before the numbers: a multiple of the 64 that vector units like to start at."""


class TileError(ValueError):
    """A tile on disk is missing, damaged, or of another kernel."""


class TileFiles:
    """The files of a kernel's tiles.

    Args:
        folder: the folder that they are in.
        fingerprint: 32 bytes that stand for kernel, inputs, precision and tile length.
        grid: the cuts of the matrix.
        dtype: the precision of the numbers in them.
    """

    def __init__(self, folder: Path, fingerprint: bytes, grid: TileGrid, dtype: np.dtype):
        self.folder = folder
        self.grid = grid
        self.dtype = dtype.newbyteorder("<")
        self._fingerprint = fingerprint

    @property
    def largest_bytes(self) -> int:
        """The size of a full tile's file."""
        return HEADER_BYTES + self.grid.tile**2 * self.dtype.itemsize

    def path(self, pair: TilePair) -> Path:
        """Where a tile is: a folder for each block of rows, none of them with too many files."""
        return self.folder / f"{pair.row:06d}" / f"{pair.column:06d}.tile"

    def file_bytes(self, pair: TilePair) -> int:
        """The size of a tile's file."""
        rows, columns = self.grid.tile_shape(pair)
        return HEADER_BYTES + rows * columns * self.dtype.itemsize

    def write(self, pair: TilePair, tile: np.ndarray) -> None:
        """Write a tile, whole or not at all."""
        numbers = np.ascontiguousarray(tile, self.dtype)
        path = self.path(pair)
        path.parent.mkdir(exist_ok=True)
        with replaced_atomically(path) as temporary, temporary.open("wb", buffering=0) as file:
            for part in (self._header(pair, zlib.crc32(numbers.data)), numbers.data.cast("B")):
                _write_all(file, part)

    def read(self, pair: TilePair, buffer: np.ndarray | None = None) -> np.ndarray:
        """Read a tile and check it.

        Args:
            pair: the place of the tile.
            buffer: bytes to read into, at least ``largest_bytes``; the result is a view of it.

        Raises:
            TileError: the file is missing, is not whole, or is of something else.
        """
        buffer = aligned_bytes(self.largest_bytes) if buffer is None else buffer
        path, size = self.path(pair), self.file_bytes(pair)
        try:
            with path.open("rb", buffering=0) as file:
                found = _read_all(file, buffer.data[: size + 1])
        except FileNotFoundError as error:
            raise TileError(f"{path} is missing: build the kernel again") from error
        if found != size:
            raise TileError(
                f"{path} must hold {size} bytes; got {'more' if found > size else found}: "
                "build the kernel again, and tiles that are whole are kept"
            )
        header, numbers = buffer[:HEADER_BYTES].tobytes(), buffer[HEADER_BYTES:size]
        if header != self._header(pair, zlib.crc32(numbers.data)):
            own = header[:-8] == self._header(pair, 0)[:-8]
            what = "is damaged: its checksum differs" if own else "is a tile of something else"
            raise TileError(
                f"{path} {what}; build the kernel again, and tiles that are whole are kept"
            )
        return numbers.view(self.dtype).reshape(self.grid.tile_shape(pair))

    def is_sound(self, pair: TilePair, buffer: np.ndarray) -> bool:
        """Whether the tile is there, whole, and of this kernel."""
        try:
            self.read(pair, buffer)
        except TileError:
            return False
        return True

    def _header(self, pair: TilePair, checksum: int) -> bytes:
        return _HEADER.pack(_MAGIC, self._fingerprint, *pair, *self.grid.tile_shape(pair), checksum)


def aligned_bytes(size: int) -> np.ndarray:
    """Bytes to read a file into, starting at a multiple of 64; one more tells a longer file."""
    held = np.empty(size + 1 + 64, np.uint8)
    start = -held.ctypes.data % 64
    return held[start : start + size + 1]


def _read_all(file, into: memoryview) -> int:
    done = 0
    while done < len(into) and (count := file.readinto(into[done:])):
        done += count
    return done


def _write_all(file, part: bytes | memoryview) -> None:
    view = memoryview(part)
    while view:
        view = view[file.write(view) :]
