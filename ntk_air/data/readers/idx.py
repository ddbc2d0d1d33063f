"""MNIST and its successors as IDX files, plain or gzipped (LeCun, Cortes, Burges 1998)."""

import dataclasses
import hashlib
import itertools
import math
import os
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from ntk_air.data.raw import RawSet, pixels
from ntk_air.data.readers.embedded import DIGIT_NAMES
from ntk_air.data.readers.files import (
    ChecksumError,
    DataFileError,
    find,
    opened,
    read_up_to,
    search_roots,
    short,
)
from ntk_air.data.readers.own_files import read_npz


@dataclasses.dataclass(frozen=True)
class _Published:
    """A set as it is published, and the folders that it is found in."""

    name: str
    class_names: tuple[str, ...]
    torchvision_folder: str
    other_folders: tuple[str, ...]


_MNIST = _Published("mnist", DIGIT_NAMES, "MNIST", ("mnist",))
_FASHION_MNIST = _Published(
    "fashion_mnist",
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
     "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    "FashionMNIST",
    ("fashion-mnist", "fashion_mnist"),
)  # fmt: skip
_KMNIST = _Published(
    "kmnist", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"), "KMNIST", ("kmnist",)
)

_MAX_BYTES = 2**31
_OFFICIAL_BYTES = {
    "train-images": 16 + 60_000 * 784,
    "train-labels": 8 + 60_000,
    "t10k-images": 16 + 10_000 * 784,
    "t10k-labels": 8 + 10_000,
}
_OFFICIAL_MD5 = {  # of the decompressed files
    "mnist": {
        "train-images": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels": "a25bea736e30d166cdddb491f175f624",
        "t10k-images": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        "train-images": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
_HOW_TO_GET = (
    "It consists of the files train-images-idx3-ubyte, train-labels-idx1-ubyte, "
    "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, plain or .gz, as published; "
    "torchvision downloads them to {folder}/raw."
)


def mnist(data_dir: str | os.PathLike[str] | None = None) -> RawSet:
    """MNIST from a folder: IDX files, or Keras' mnist.npz; shape (28, 28, 1), pixels / 255."""
    return _from_folder(_MNIST, data_dir)


def fashion_mnist(data_dir: str | os.PathLike[str] | None = None) -> RawSet:
    """Fashion-MNIST from a folder of IDX files; shape (28, 28, 1), pixels / 255."""
    return _from_folder(_FASHION_MNIST, data_dir)


def kmnist(data_dir: str | os.PathLike[str] | None = None) -> RawSet:
    """Kuzushiji-MNIST from a folder of IDX files; shape (28, 28, 1), pixels / 255."""
    return _from_folder(_KMNIST, data_dir)


def read_idx(path: Path, n_axes: int) -> tuple[UInt8[np.ndarray, "..."], str]:
    """Read an IDX file of bytes.

    Args:
        path: file, plain or gzipped.
        n_axes: number of axes it must have: 3 for images, 1 for labels.

    Returns:
        The array, and the md5 of the decompressed file.

    Raises:
        DataFileError: another format, a size that is not the one its header promises.
    """
    with opened(path) as stream:
        header = read_up_to(stream, 4 + 4 * n_axes)
        if header[:4] != bytes([0, 0, 8, n_axes]) or len(header) < 4 + 4 * n_axes:
            raise DataFileError(
                f"{path} is no IDX file of bytes with {n_axes} axes: it begins with "
                f"{header[:4].hex()} instead of {bytes([0, 0, 8, n_axes]).hex()}, or ends at once"
            )
        shape = tuple(int(size) for size in np.frombuffer(header, ">u4")[1:])
        promised = math.prod(shape)
        if promised > _MAX_BYTES:
            raise DataFileError(
                f"{path} promises {promised} bytes, shape {shape}; at most {_MAX_BYTES} are read"
            )
        content = read_up_to(stream, promised)
        if len(content) < promised:
            raise DataFileError(
                f"{path} is cut off: its header promises {promised} bytes, shape {shape}, "
                f"and {len(content)} follow"
            )
        if stream.read(1):
            raise DataFileError(f"{path} goes on after the {promised} bytes its header promises")
    digest = hashlib.md5(header + content, usedforsecurity=False).hexdigest()
    return np.frombuffer(content, np.uint8).reshape(shape), digest


def _from_folder(published: _Published, data_dir: str | os.PathLike[str] | None) -> RawSet:
    at, class_names = published.torchvision_folder, published.class_names
    paths = find(
        published.name,
        roots=search_roots(data_dir),
        subfolders=[f"{at}/raw", at, *published.other_folders, "raw"],
        probe=lambda folder: _probe(published.name, folder),
        how_to_get=_HOW_TO_GET.format(folder=at),
    )
    if "npz" in paths:
        return read_npz(paths["npz"], class_names=class_names)
    images, labels = _read_part(published, paths, "train")
    test_images = test_labels = None
    if "t10k-images" in paths or "t10k-labels" in paths:
        test_images, test_labels = _read_part(published, paths, "t10k")
    return RawSet(
        inputs=images,
        labels=labels,
        class_names=class_names,
        source=f"IDX files in {short(paths['train-images'].parent)}",
        test_inputs=test_images,
        test_labels=test_labels,
        scaling=pixels(255.0),
    )


def _probe(name: str, folder: Path) -> dict[str, Path] | None:
    """The files of the set in a folder by their parts, if the training images are there."""
    paths = {}
    for part, axes in (("images", "idx3"), ("labels", "idx1")):
        for split, dot, packed in itertools.product(("train", "t10k"), "-.", ("", ".gz")):
            path = folder / f"{split}-{part}{dot}{axes}-ubyte{packed}"
            if path.is_file():
                paths.setdefault(f"{split}-{part}", path)
    if "train-images" in paths:
        return paths
    keras = folder / f"{name}.npz"
    return {"npz": keras} if keras.is_file() else None


def _read_part(
    published: _Published, paths: dict[str, Path], split: str
) -> tuple[UInt8[np.ndarray, "n height width 1"], Int[np.ndarray, " n"]]:
    arrays, n_classes = {}, len(published.class_names)
    for part, n_axes in ((f"{split}-images", 3), (f"{split}-labels", 1)):
        if part not in paths:
            there = next(iter(paths.values())).parent
            raise DataFileError(f"{there} holds half of the {split} part: {part} is missing")
        arrays[part], digest = read_idx(paths[part], n_axes)
        if arrays[part].nbytes + 4 + 4 * n_axes == _OFFICIAL_BYTES[part]:
            _check_digest(published.name, part, paths[part], digest)
    images, labels = arrays.values()
    if len(images) != len(labels):
        raise DataFileError(
            f"{paths[f'{split}-images']} holds {len(images)} images and "
            f"{paths[f'{split}-labels']} {len(labels)} labels"
        )
    if len(labels) and labels.max() >= n_classes:
        raise DataFileError(
            f"{paths[f'{split}-labels']} holds the label {labels.max()}; "
            f"{published.name} has the classes 0 … {n_classes - 1}"
        )
    return images[..., None], labels.astype(np.int64)


def _check_digest(name: str, part: str, path: Path, digest: str) -> None:
    """Require the official content of a file of official size, where it is known."""
    for known, digests in _OFFICIAL_MD5.items():
        if (known == name) != (digests[part] == digest):
            raise ChecksumError(
                f"{path} has the size of the official file and the md5 {digest} of its "
                f"decompressed bytes; the official {part} of {known} have {digests[part]}"
            )
