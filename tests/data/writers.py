"""Writers of small files in the formats that the readers know."""

import collections
import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from typing import Any

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


class _Name:
    """A name of torch's in a pickle, where there is no torch; called to be made, never here."""

    def __init__(self, module, name):
        self.line = f"c{module}\n{name}\n".encode()

    def __call__(self):
        raise NotImplementedError


class _Tensor:
    def __init__(self, storage_type, key, array):
        steps = tuple(stride // array.itemsize for stride in array.strides)
        self.storage = _Storage(("storage", storage_type, key, "cpu", array.size, None))
        self.parts = 0, array.shape, steps, False, collections.OrderedDict()

    def __reduce__(self):
        return _Name("torch._utils", "_rebuild_tensor_v2"), (self.storage, *self.parts)


class _Storage:
    def __init__(self, reference):
        self.reference = reference


_PurePickler: Any = vars(pickle)["_Pickler"]  # the one of C writes no names that are not there


class _TorchPickler(_PurePickler):
    def persistent_id(self, obj):
        return obj.reference if isinstance(obj, _Storage) else None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, _Name):
            self.write(obj.line)
        else:
            super().save(obj, save_persistent_id)


def torch_file(arrays, *, little_endian=True):
    """What ``torch.save`` wrote of a dictionary of tensors before release 1.6.

    Arrays keep their order in memory, row by row or column by column, as tensors do.
    """
    stream = io.BytesIO()
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": sizes}
    keys = [str(number) for number in range(1000, 1000 + len(arrays))]
    types = {"f": _Name("torch", "FloatStorage"), "i": _Name("torch", "LongStorage")}
    tensors = collections.OrderedDict(
        (name, _Tensor(types[array.dtype.kind], key, array))
        for key, (name, array) in zip(keys, arrays.items(), strict=True)
    )
    for part in (0x1950A86A20F9469CFC6C, 1001, system):
        stream.write(pickle.dumps(part, 2))
    _TorchPickler(stream, 2).dump(tensors)
    stream.write(pickle.dumps(keys, 2))
    for array in arrays.values():
        stream.write(array.size.to_bytes(8, "little") + array.tobytes(order="A"))
    return stream.getvalue()
