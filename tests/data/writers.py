"""Writers of small files in the formats that the readers know."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile

import numpy as np
from PIL import Image

from ntk_air.data.draws import generator
from ntk_air.data.readers.cifar_human import ANNOTATIONS


def random_bytes(shape, seed=0):
    return (generator(seed, "test bytes").random(shape) * 256).astype(np.uint8)


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def write_mnist(folder, *, n=20, n_test=10, seed=0, dot="-", packed=False):
    """Write the four IDX files of a small set; return its training labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, size in (("train", n), ("t10k", n_test)):
        labels = np.random.PCG64(seed).random_raw(size) % 10
        parts = {
            f"images{dot}idx3": random_bytes((size, 28, 28), seed),
            f"labels{dot}idx1": labels.astype(np.uint8),
        }
        for part, array in parts.items():
            content = idx_bytes(array)
            name = f"{split}-{part}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        if split == "train":
            train_labels = labels.astype(np.int64)
    return train_labels


def cifar_images(n, seed=0):
    return random_bytes((n, 32, 32, 3), seed)


def cifar_labels(n, seed=0):
    return (np.random.PCG64(seed).random_raw(n) % 10).astype(np.int64)


def cifar_planes(images):
    """CIFAR-10's rows: all red values, then all green, then all blue."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), 3072)


def cifar_pickle(images, labels, protocol=2):
    batch = {b"data": cifar_planes(images), b"labels": [int(label) for label in labels]}
    return pickle.dumps(batch, protocol)


def cifar_binary(images, labels):
    return np.column_stack([labels.astype(np.uint8), cifar_planes(images)]).tobytes()


def write_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"cifar-10-batches/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_strips(folder, images, rows):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(len(images) // rows):
        strip = images[index * rows : (index + 1) * rows].reshape(rows, 1024, 3)
        Image.fromarray(strip).save(folder / f"cifar10_batch_{index}.png")


def human_labels(n, seed=0):
    labels = {"clean_label": cifar_labels(n, seed)}
    for place, name in enumerate(ANNOTATIONS, start=1):
        wrong = np.random.PCG64(seed + place).random_raw(n) % 10 < place
        labels[name] = np.where(wrong, (labels["clean_label"] + place) % 10, labels["clean_label"])
    return labels


def write_human_pt(path, labels, protocol=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(labels, protocol))
        archive.writestr("archive/version", "3\n")
