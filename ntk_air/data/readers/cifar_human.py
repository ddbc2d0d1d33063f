"""CIFAR-10N: human annotations of the CIFAR-10 training images (Wei et al. 2022, 2110.12088)."""

import os
import re
from pathlib import Path

import numpy as np
from jaxtyping import Int

from ntk_air.data.readers.files import DataFileError, find, opened_zip, read_bounded, search_roots
from ntk_air.data.readers.pickles import load_arrays

ANNOTATIONS = ("aggre_label", "random_label1", "random_label2", "random_label3", "worse_label")

_SUBFOLDERS = (
    "[cC][iI][fF][aA][rR]*10*[nN]",
    "[cC][iI][fF][aA][rR]*10*[nN]/data",
    "[cC][iI][fF][aA][rR]*10*",
)
_HOW_TO_GET = (
    "Its labels are published as CIFAR-10_human.pt in the repository UCSC-REAL/cifar-10-100n "
    "(CC BY-NC 4.0); an .npz file of the same six arrays is read too."
)
_NPZ_NAME = re.compile(r"cifar-?10(n|_human)", re.IGNORECASE)
_MAX_BYTES = 2**26


def find_annotations(
    data_dir: str | os.PathLike[str] | None,
) -> tuple[dict[str, Int[np.ndarray, " _"]], Path]:
    """Find and read CIFAR-10N's labels: ``clean_label`` and the five in ``ANNOTATIONS``.

    Raises:
        DatasetNotFoundError: no file of labels found.
        DataFileError: a file that is not what it should be.
    """
    path = find(
        "cifar10n",
        roots=search_roots(data_dir),
        subfolders=_SUBFOLDERS,
        probe=_probe,
        how_to_get=_HOW_TO_GET,
    )
    return (read_human_pt(path) if path.suffix == ".pt" else read_human_npz(path)), path


def read_human_pt(path: Path) -> dict[str, Int[np.ndarray, " n"]]:
    """Read ``CIFAR-10_human.pt``, a zip of a pickle, without torch or an open unpickler."""
    with opened_zip(path, _MAX_BYTES) as archive:
        names = [name for name in archive.namelist() if Path(name).name == "data.pkl"]
        if len(names) != 1:
            raise DataFileError(f"{path} must hold one data.pkl; got {archive.namelist()}")
        with archive.open(names[0]) as stream:
            content = read_bounded(stream, _MAX_BYTES, f"{path}: {names[0]}")
    return _checked(load_arrays(content, str(path)), path)


def read_human_npz(path: Path) -> dict[str, Int[np.ndarray, " n"]]:
    """Read an .npz file of the six arrays of labels."""
    with opened_zip(path, _MAX_BYTES):
        pass
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError) as error:
        raise DataFileError(f"{path} is no readable .npz file of plain arrays: {error}") from error
    return _checked(arrays, path)


def _probe(folder: Path) -> Path | None:
    tables = sorted(path for path in folder.glob("*.npz") if _NPZ_NAME.match(path.name))
    return next((path for path in (folder / "CIFAR-10_human.pt", *tables) if path.is_file()), None)


def _checked(arrays: dict[str, object], path: Path) -> dict[str, Int[np.ndarray, " n"]]:
    """Require the six arrays, of one length, with labels in 0 … 9."""
    labels: dict[str, np.ndarray] = {}
    for name in ("clean_label", *ANNOTATIONS):
        array = arrays.get(name)
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "iu":
            raise DataFileError(f"{path} must hold {name!r}, a vector of integers")
        if len(array) and not (array.min() >= 0 and array.max() <= 9):
            raise DataFileError(f"{path}: {name!r} must hold labels in 0 … 9")
        labels[name] = array.astype(np.int64)
    if len({len(array) for array in labels.values()}) != 1:
        raise DataFileError(f"{path} must hold arrays of one length")
    return labels
