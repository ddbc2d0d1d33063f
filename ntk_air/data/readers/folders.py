"""Where files of data sets are looked for."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")

ENVIRONMENT_VARIABLE = "NTK_AIR_DATA"


class DatasetNotFoundError(FileNotFoundError):
    """No file of a data set was found; the message says where it looked and how to get it."""


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
        name: the data set, as the error names it.
        roots: where to look, best first.
        subfolders: glob patterns, tried in this order before the root.
        probe: returns what it found in a folder, or ``None``.
        how_to_get: a sentence for the reader of the error.

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
