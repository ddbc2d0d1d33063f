"""CIFAR-10 (Krizhevsky 2009) in the forms it is found in on disk."""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from ntk_air._base.checks import check_choice
from ntk_air.data.noise import HumanNoise
from ntk_air.data.raw import RawSet, pixels
from ntk_air.data.readers.cifar_human import ANNOTATIONS, find_annotations
from ntk_air.data.readers.files import (
    ChecksumError,
    DataFileError,
    find,
    read_bounded,
    search_roots,
    short,
)
from ntk_air.data.readers.pickles import load_arrays

CIFAR10_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

_SUBFOLDERS = (
    "cifar-10-batches-py",
    "cifar-10-batches-bin",
    "[cC][iI][fF][aA][rR]*10*/cifar-10-batches-*",
    "[cC][iI][fF][aA][rR]*10*",
)
_HOW_TO_GET = (
    "It is published as cifar-10-python.tar.gz and cifar-10-binary.tar.gz, which are read as they "
    "are or unpacked; PNG strips cifar10_batch_0.png … are read too."
)
_MAX_FILE_BYTES = 2**26
_MAX_ARCHIVE_BYTES = 2**30
_OFFICIAL_PICKLES = {  # bytes, md5
    "data_batch_1": (31035704, "c99cafc152244af753f735de768cd75f"),
    "data_batch_2": (31035320, "d4bba439e000b95fd0a9bffe97cbabec"),
    "data_batch_3": (31035999, "54ebc095f3ab1f0389bbae665268c751"),
    "data_batch_4": (31035696, "634d18415352ddfa80567beed471001a"),
    "data_batch_5": (31035623, "482c414d41f54cd18b22e5b47cb7c3cb"),
    "test_batch": (31035526, "40351d587109b95175f43aff81a1287e"),
}

Images = UInt8[np.ndarray, "n 32 32 3"]
Labels = Int[np.ndarray, " n"]
Parser = Callable[[bytes, str], tuple[Images, Labels]]


@dataclass(frozen=True)
class CifarImages:
    """Training images in the official order, with their labels where the files carry them."""

    images: Images
    labels: Labels | None
    source: str
    test_images: UInt8[np.ndarray, "n_test 32 32 3"] | None = None
    test_labels: Int[np.ndarray, " n_test"] | None = None


def cifar10(data_dir: str | os.PathLike[str] | None = None) -> RawSet:
    """CIFAR-10 from a folder: pickles, binaries, their archives; shape (32, 32, 3), pixels / 255.

    PNG strips carry no labels: theirs are the ``clean_label`` of CIFAR-10N, looked for in the same
    folders.
    """
    found = find_images(data_dir)
    labels, source = found.labels, found.source
    if labels is None:
        annotations, path = find_annotations(data_dir)
        labels = first_labels(annotations["clean_label"], len(found.images), path)
        source = f"{source}; labels: clean_label of {short(path)}"
    return RawSet(
        inputs=found.images,
        labels=labels,
        class_names=CIFAR10_NAMES,
        source=source,
        test_inputs=found.test_images,
        test_labels=found.test_labels,
        scaling=pixels(255.0),
    )


def cifar10n(
    data_dir: str | os.PathLike[str] | None = None, annotation: str = "random_label1"
) -> RawSet:
    """CIFAR-10 images with CIFAR-10N's human labels as noisy ones (option ``annotation``).

    The noise is measured on the images that are there; with fewer images than labels, the first
    labels are theirs.

    Args:
        data_dir: folder of both, or ``None`` for the usual places.
        annotation: name of the labels: ``aggre_label``, ``random_label1`` to ``random_label3``,
            ``worse_label``.

    Raises:
        DataFileError: labels whose ``clean_label`` contradicts the images' own labels.
    """
    check_choice("annotation", annotation, ANNOTATIONS)
    annotations, path = find_annotations(data_dir)
    found = find_images(data_dir)
    clean = first_labels(annotations["clean_label"], len(found.images), path)
    noisy = annotations[annotation][: len(clean)]
    if found.labels is not None and (found.labels != clean).any():
        at = int(np.flatnonzero(found.labels != clean)[0])
        raise DataFileError(
            f"{path} is in another order than the images: image {at} is labelled "
            f"{CIFAR10_NAMES[found.labels[at]]} in {found.source} "
            f"and {CIFAR10_NAMES[clean[at]]} in clean_label"
        )
    return RawSet(
        inputs=found.images,
        labels=clean,
        class_names=CIFAR10_NAMES,
        source=f"{found.source}; labels: {annotation} of {short(path)}",
        test_inputs=found.test_images,
        test_labels=found.test_labels,
        noisy_labels=noisy,
        label_noise=HumanNoise.measure(clean, noisy, 10, annotation=annotation),
        scaling=pixels(255.0),
    )


def first_labels(labels: Labels, n_images: int, path: Path) -> Int[np.ndarray, " {n_images}"]:
    """The labels of the first ``n_images`` images; an error where there are fewer labels."""
    if len(labels) < n_images:
        raise DataFileError(f"{path} holds {len(labels)} labels for {n_images} images")
    return labels[:n_images]


def find_images(data_dir: str | os.PathLike[str] | None) -> CifarImages:
    """Find and read CIFAR-10 images; raises ``DatasetNotFoundError`` where there are none."""
    return find(
        "cifar10",
        roots=search_roots(data_dir),
        subfolders=_SUBFOLDERS,
        probe=_probe,
        how_to_get=_HOW_TO_GET,
    )


def _probe(folder: Path) -> CifarImages | None:
    for suffix, parse in (("", _parse_pickle), (".bin", _parse_binary)):
        if list(folder.glob(f"data_batch_[1-5]{suffix}")):
            return _from_files(_folder_contents(folder, suffix), suffix, parse, folder)
    for archive, suffix, parse in (
        ("cifar-10-python.tar.gz", "", _parse_pickle),
        ("cifar-10-binary.tar.gz", ".bin", _parse_binary),
    ):
        path = folder / archive
        if path.is_file():
            return _from_files(_archive_contents(path, suffix), suffix, parse, path)
    if list(folder.glob("cifar10_batch_*.png")):
        return _from_strips(folder)
    return None


def _file_names(suffix: str) -> list[str]:
    return [f"{name}{suffix}" for name in _OFFICIAL_PICKLES]


def _folder_contents(folder: Path, suffix: str) -> dict[str, bytes]:
    contents = {}
    for name in _file_names(suffix):
        if (folder / name).is_file():
            with (folder / name).open("rb") as stream:
                contents[name] = read_bounded(stream, _MAX_FILE_BYTES, str(folder / name))
    return contents


def _archive_contents(path: Path, suffix: str) -> dict[str, bytes]:
    """The wanted members of a tar.gz, read in memory: nothing is written to the disk."""
    contents: dict[str, bytes] = {}
    passed_bytes = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                passed_bytes += member.size
                if passed_bytes > _MAX_ARCHIVE_BYTES:
                    raise DataFileError(f"{path} unpacks to more than {_MAX_ARCHIVE_BYTES} bytes")
                name = Path(member.name).name
                stream = archive.extractfile(member) if member.isfile() else None
                if name in contents:
                    raise DataFileError(f"{path} must hold each file once; got {name!r} twice")
                if name in _file_names(suffix) and stream is not None:
                    contents[name] = read_bounded(stream, _MAX_FILE_BYTES, f"{path}: {name}")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataFileError(f"{path} is damaged or cut off: {error}") from error
    return contents


def _from_files(contents: dict[str, bytes], suffix: str, parse: Parser, place: Path) -> CifarImages:
    *train_names, test_name = _file_names(suffix)
    present = [name for name in train_names if name in contents]
    _check_gapless(train_names, present, place)
    parts = [parse(contents[name], f"{place}: {name}") for name in present]
    test = parse(contents[test_name], f"{place}: {test_name}") if test_name in contents else None
    return CifarImages(
        images=np.concatenate([images for images, _ in parts]),
        labels=np.concatenate([labels for _, labels in parts]),
        source=f"{len(present)} CIFAR-10 batches in {short(place)}",
        test_images=None if test is None else test[0],
        test_labels=None if test is None else test[1],
    )


def _check_gapless(names: Sequence[str], present: Sequence[str], place: Path) -> None:
    """Require the first files without a gap: a later image must not take an earlier one's place."""
    missing = [name for name in names[: len(present)] if name not in present]
    if missing or not present:
        raise DataFileError(
            f"{place} must hold the first training files without a gap; {missing or names} missing"
        )


def _parse_pickle(content: bytes, what: str) -> tuple[Images, Labels]:
    official_bytes, official_md5 = _OFFICIAL_PICKLES[what.rsplit(" ", 1)[1]]
    if len(content) == official_bytes:
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if digest != official_md5:
            raise ChecksumError(
                f"{what} has the size of the official file and the md5 {digest}; "
                f"the official one has {official_md5}"
            )
    batch = load_arrays(content, what)
    data, labels = batch.get("data"), batch.get("labels")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3072,):
        raise DataFileError(f"{what} must hold 'data', a uint8 array of shape (n, 3072)")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise DataFileError(f"{what} must hold 'labels', a list of integers")
    return _planes_to_images(data), _checked(np.array(labels, np.int64), len(data), what)


def _parse_binary(content: bytes, what: str) -> tuple[Images, Labels]:
    if len(content) % 3073 or not content:
        raise DataFileError(
            f"{what} must consist of records of 3073 bytes (label, then pixels); "
            f"got {len(content)} bytes"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    labels = records[:, 0].astype(np.int64)
    return _planes_to_images(records[:, 1:]), _checked(labels, len(records), what)


def _planes_to_images(planes: UInt8[np.ndarray, "n 3072"]) -> Images:
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _checked(labels: Int[np.ndarray, " m"], n_images: int, what: str) -> Int[np.ndarray, " m"]:
    if len(labels) != n_images:
        raise DataFileError(f"{what} holds {len(labels)} labels for {n_images} images")
    if len(labels) and not (labels.min() >= 0 and labels.max() <= 9):
        raise DataFileError(f"{what} must hold labels in 0 … 9; got {labels.min()}, {labels.max()}")
    return labels


def _from_strips(folder: Path) -> CifarImages:
    present = [path.name for path in folder.glob("cifar10_batch_*.png")]
    names = [f"cifar10_batch_{index}.png" for index in range(len(present))]
    _check_gapless(names, present, folder)
    images = np.concatenate([_read_strip(folder / name) for name in names])
    return CifarImages(images, None, f"{len(names)} CIFAR-10 PNG strips in {short(folder)}")


def _read_strip(path: Path) -> Images:
    """One PNG of n rows and 1024 columns: row r holds the 32 × 32 pixels of image r."""
    try:
        from PIL import Image  # only strips need it
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"reading {path} needs the package pillow") from error
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode != "RGB" or image.width != 1024 or image.height > 50_000:
                raise DataFileError(
                    f"{path} must be RGB with 1024 columns and at most 50000 rows; "
                    f"got {image.mode}, {image.width} columns, {image.height} rows"
                )
            rows = np.asarray(image)
    # Pillow reports a damaged PNG as OSError, SyntaxError or ValueError.
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, DataFileError | FileNotFoundError):
            raise
        raise DataFileError(f"{path} is damaged or no PNG: {error}") from error
    return rows.reshape(-1, 32, 32, 3)
