"""A folder of tiles: made, taken up again, mended; safe for several processes at once."""

import contextlib
import errno
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ntk_air._base import files
from ntk_air._base.memory import format_bytes
from ntk_air._base.progress import Progress
from ntk_air._base.version import computed_with
from ntk_air.kernels.tiles.grid import TileGrid, TilePair, TileSource
from ntk_air.kernels.tiles.tile_files import TileFiles, aligned_bytes

MANIFEST = "manifest.json"
_MADE_WITH = "made_with"
FORMAT = "ntk_air tiles 2"
_FORMAT_OF_0_1 = "ntk_air tiles 1"
_MANIFEST_LOCK, _BUILDERS_LOCK = ".manifest.lock", ".builders.lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskSpaceError(OSError):
    """Tiles do not fit on the disk; the message names the need."""


def open_folder(
    folder: Path, *, content: Mapping[str, Any], grid: TileGrid, dtype: np.dtype
) -> TileFiles:
    """The files of a folder, which belongs to one kernel, set of inputs and precision.

    A folder that has been begun keeps the length of its tiles, whatever is asked for now.

    Args:
        folder: the folder, made where it is missing.
        content: the facts that tell the matrix from others.
        grid: the cuts of the matrix if the folder is new.
        dtype: the precision of the tiles.

    Raises:
        ValueError: the folder holds tiles of another matrix or in another format, or files that
            are no tiles.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / _MANIFEST_LOCK):
        found = _read_manifest(folder)
        if found is None:
            manifest = _manifest(content, grid, dtype)
            files.write_json(folder / MANIFEST, manifest | {_MADE_WITH: computed_with()})
        else:
            _check_format(folder, found.get("format"))
            _check_same(folder, found.get("content"), content)
            grid = TileGrid(grid.n, _tile_length(folder, found.get("tile")))
            manifest = _manifest(content, grid, dtype)
            _check_same(folder, found, manifest | {_MADE_WITH: found.get(_MADE_WITH)})
    return TileFiles(folder, _fingerprint(manifest), grid, dtype)


def complete(tiles: TileFiles, source: TileSource, *, progress: Progress) -> None:
    """Compute what is missing or damaged; after it every tile has been seen to be sound.

    Several processes may do this at once: the first goes from the first tile on, others from the
    last, and what one has finished the others keep. Whichever of them ends, the tiles are whole.

    Raises:
        DiskSpaceError: what is missing does not fit; what is there is kept.
        ValueError: a kernel whose values are of the wrong shape or precision, not finite, or not
            symmetric; tiles that are missing where the others were computed with another JAX.
    """
    buffer = aligned_bytes(tiles.largest_bytes)
    with _among_builders(tiles.folder) as first:
        missing = []
        for done, pair in enumerate(tiles.grid.pairs, start=1):
            if not tiles.is_sound(pair, buffer):
                missing.append(pair)
            progress("checking tiles", done, tiles.grid.n_tiles)
        if missing:
            _require_same_jax(tiles, len(missing))
            _require_space(tiles, missing)
        for done, pair in enumerate(missing if first else reversed(missing), start=1):
            if not tiles.is_sound(pair, buffer):
                _write(tiles, pair, source.compute(pair))
            progress("computing tiles", done, len(missing))


def _write(tiles: TileFiles, pair: TilePair, tile: np.ndarray) -> None:
    try:
        tiles.write(pair, tile)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        missing = (each for each in tiles.grid.pairs if not tiles.path(each).exists())
        left = sum(tiles.file_bytes(each) for each in missing)
        raise DiskSpaceError(
            error.errno,
            f"{tiles.folder} has no room for more tiles ({error.strerror}): all that were written "
            f"are kept; free {format_bytes(left)} and build again to go on",
        ) from error


def _require_same_jax(tiles: TileFiles, n_missing: int) -> None:
    """Refuse to finish with one JAX what was begun with another: whole folders are read by any."""
    made_with = files.read_json(tiles.folder / MANIFEST).get(_MADE_WITH)
    if made_with != computed_with():
        raise ValueError(
            f"folder must be finished with the JAX that it was begun with; {tiles.folder} lacks "
            f"{n_missing} tiles, the others were computed with {made_with}, and here is "
            f"{computed_with()}: finish it there, or choose another folder"
        )


def _require_space(tiles: TileFiles, missing: list[TilePair]) -> None:
    """Refuse before the first tile what cannot be written to the last."""
    needed = sum(tiles.file_bytes(pair) for pair in missing)
    free = shutil.disk_usage(tiles.folder).free
    if needed > free:
        raise DiskSpaceError(
            errno.ENOSPC,
            f"{len(missing)} tiles of the kernel need {format_bytes(needed)} on disk and "
            f"{tiles.folder} has {format_bytes(free)} free: choose another folder, float32 "
            "inputs, or products without tiles on disk (recomputed_kernel)",
        )


def _manifest(content: Mapping[str, Any], grid: TileGrid, dtype: np.dtype) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "content": dict(content),
        "n": grid.n,
        "tile": grid.tile,
        "n_tiles": grid.n_tiles,
        "dtype": dtype.name,
    }


def _fingerprint(manifest: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).digest()


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest; ``None`` for a new folder."""
    path = folder / MANIFEST
    if path.exists():
        return files.read_json(path)
    others = [each.name for each in folder.iterdir() if not each.name.startswith(".")]
    if others:
        raise ValueError(
            f"folder must be new, empty or of this kernel's tiles; {folder} holds {others[0]!r} "
            f"and no {MANIFEST}"
        )
    return None


def _check_format(folder: Path, found: object) -> None:
    if found == FORMAT:
        return
    reason = f"tiles in the format {found!r}, which this release does not know"
    if found == _FORMAT_OF_0_1:
        reason = (
            "tiles written by ntk_air 0.1, which knew kernels by the paths of its modules: whether "
            "they are of this kernel can no longer be told"
        )
    raise ValueError(
        f"folder must be of this kernel's tiles; {folder} holds {reason}: choose another folder, "
        "or remove it, and they are computed anew"
    )


def _tile_length(folder: Path, found: object) -> int:
    if type(found) is not int or found < 1:
        raise ValueError(
            f"{folder / MANIFEST} is damaged: tile must be a number of rows, at least 1; got "
            f"{found!r}; remove the folder, and its tiles are computed anew"
        )
    return found


def _check_same(folder: Path, found: object, asked: Mapping[str, Any]) -> None:
    found = found if isinstance(found, Mapping) else {}
    changed = [
        f"{key}: {found.get(key)!r} there, {asked.get(key)!r} asked for"
        for key in sorted(found.keys() | asked.keys())
        if found.get(key) != asked.get(key)
    ]
    if changed:
        raise ValueError(
            f"folder must be of this kernel's tiles; {folder} holds those of another matrix "
            f"({'; '.join(changed)}): choose another folder, or remove it"
        )


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed processes had begun to write."""
    for unfinished in folder.glob("*/.*.tile"):
        unfinished.unlink(missing_ok=True)


# The system releases these locks when their process ends, however it ends.


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Be the only process here; others wait."""
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _among_builders(folder: Path) -> Iterator[bool]:
    """Be one of those that build; the value says whether this process came first."""
    with (folder / _BUILDERS_LOCK).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            first = True
            # Nobody else is writing: unfinished files are those of killed processes.
            _remove_leftovers(folder)
        except BlockingIOError:
            first = False
        fcntl.flock(file, fcntl.LOCK_SH)
        yield first
