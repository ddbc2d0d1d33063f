"""A folder of images: a subfolder for each class, named as it."""

import os
from pathlib import Path

import numpy as np

from ntk_air._base.checks import check_whole_number
from ntk_air.data.readers.files import DataFileError, DatasetNotFoundError, short
from ntk_air.data.splits import RawSet, pixels

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
    channels = max(image.shape[2] for image in images)
    first = images[0].shape[:2]
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != first:
            raise DataFileError(
                f"{path} must hold images of one size, unless image_size brings them to one; got "
                f"{first[0]} × {first[1]} and {image.shape[0]} × {image.shape[1]} in {file}"
            )
    names = sorted({file.parent.name for file in files})
    return RawSet(
        inputs=np.stack([np.broadcast_to(image, (*first, channels)) for image in images]),
        labels=np.array([names.index(file.parent.name) for file in files], np.int64),
        class_names=tuple(names),
        source=f"{short(Path(path))} ({len(files)} images)",
        scaling=pixels(255.0),
    )


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
            grey = image.mode in ("1", "L")
            if not grey and image.mode not in ("RGB", "P"):
                raise DataFileError(
                    f"{file} must be a grey or RGB image of 8 bits; got mode {image.mode}: convert "
                    "it"
                )
            image = image.convert("L" if grey else "RGB")
            if size is not None:
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            pixels = np.asarray(image, np.uint8)
    except DataFileError:
        raise
    # Pillow reports a damaged file as whatever its decoders raise.
    except Exception as error:
        raise DataFileError(f"{file} is no readable image: {error}") from error
    return pixels[..., None] if grey else pixels
