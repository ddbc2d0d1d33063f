"""A folder of images: a subfolder for each class, named as it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ntk_air._base.checks import check_whole_number
from ntk_air.data.raw import RawSet, pixels
from ntk_air.data.readers.files import DataFileError, DatasetNotFoundError, short

if TYPE_CHECKING:  # a tenth of a second that most data sets need not wait for
    from PIL.Image import Image

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def image_folder(path: str | os.PathLike[str], image_size: int | None = None) -> RawSet:
    """Images of your own in a folder with a subfolder for each class (option ``path``).

    Classes are the subfolders' names, rows are sorted by their paths. Pixels lie in [0, 1]; grey
    images have one channel where all are grey, and three otherwise.

    Args:
        path: folder.
        image_size: side of a square that each image is resized to, bilinearly; ``None`` takes them
            as they are, all of one size.

    Raises:
        DatasetNotFoundError: no such folder.
        DataFileError: no subfolder with images, files that are no images, images of several sizes
            without ``image_size``.
    """
    files = image_files(Path(path))
    if image_size is not None:
        image_size = check_whole_number("image_size", image_size, minimum=1)
    images = [_read(file, image_size) for file in files]
    names = sorted({file.parent.name for file in files})
    return RawSet(
        inputs=stacked(str(path), images, [str(file) for file in files]),
        labels=np.array([names.index(file.parent.name) for file in files], np.int64),
        class_names=tuple(names),
        source=f"{short(Path(path))} ({len(files)} images)",
        scaling=pixels(255.0),
        name=Path(path).resolve().name,
    )


def stacked(what: str, images: Sequence[np.ndarray], places: Sequence[str]) -> np.ndarray:
    """Images of one size as one array, with three channels unless all are grey.

    Raises ``DataFileError`` for images of several sizes, naming ``what`` and the place of one.
    """
    channels, first = max(image.shape[2] for image in images), images[0].shape[:2]
    for place, image in zip(places, images, strict=True):
        if image.shape[:2] != first:
            raise DataFileError(
                f"{what} must hold images of one size, unless image_size brings them to one; got "
                f"{first[0]} × {first[1]} and {image.shape[0]} × {image.shape[1]} in {place}"
            )
    return np.stack([np.broadcast_to(image, (*first, channels)) for image in images])


def image_files(folder: Path) -> list[Path]:
    """The images of all subfolders, sorted by path; what else lies there is refused."""
    if not folder.is_dir():
        raise DatasetNotFoundError(f"path must be a folder of images; there is none at {folder}")
    found = []
    for file in sorted(folder.glob("*/*")):
        if file.name.startswith("."):
            continue
        if file.suffix.lower() not in _SUFFIXES:
            raise DataFileError(
                f"{folder} must hold images alone ({', '.join(_SUFFIXES)}) in a subfolder for each "
                f"class; got {file}"
            )
        found.append(file)
    if len({file.parent for file in found}) < 2:
        raise DataFileError(
            f"{folder} must hold images in at least two subfolders, one for each class; got "
            f"{len(found)} images in {len({file.parent for file in found})}"
        )
    return found


def _read(file: Path, size: int | None) -> np.ndarray:
    """The pixels of an image, (height, width, 1 or 3), uint8."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image_pixels(image, size, str(file))
    except DataFileError:
        raise
    # Pillow reports a damaged file as whatever its decoders raise.
    except Exception as error:
        raise DataFileError(f"{file} is no readable image: {error}") from error


def image_pixels(image: "Image", size: int | None, place: str) -> np.ndarray:
    """The pixels of an image of Pillow, (height, width, 1 or 3), uint8, at a size if one is given.

    Raises ``DataFileError`` for an image that is neither grey nor RGB of 8 bits.
    """
    from PIL import Image

    grey = image.mode in ("1", "L")
    if not grey and image.mode not in ("RGB", "P"):
        raise DataFileError(
            f"{place} must be a grey or RGB image of 8 bits; got mode {image.mode}: convert it"
        )
    image = image.convert("L" if grey else "RGB")
    if size is not None:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.uint8)
    return pixels[..., None] if grey else pixels
