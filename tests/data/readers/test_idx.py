"""IDX files: every spelling and layout is read, every damage is named."""

import gzip
import hashlib

import numpy as np
import pytest

from ntk_air.data import ChecksumError, DataFileError, DatasetNotFoundError, load_dataset
from ntk_air.data.readers import idx
from tests.data.writers import idx_bytes, random_bytes, write_mnist

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize("dot", "-.")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("mnist", "."),
        ("mnist", "mnist"),
        ("mnist", "MNIST/raw"),
        ("mnist", "raw"),
        ("fashion_mnist", "fashion-mnist"),
        ("fashion_mnist", "FashionMNIST/raw"),
        ("kmnist", "KMNIST/raw"),
    ],
)
def test_all_spellings_and_layouts_are_found(tmp_path, *, name, folder, dot, packed):
    labels = write_mnist(tmp_path / folder, dot=dot, packed=packed)
    data = load_dataset(name, data_dir=tmp_path)
    np.testing.assert_array_equal(data.clean_labels, labels)
    np.testing.assert_array_equal(data.inputs[..., 0] * 255, random_bytes((20, 28, 28)))
    assert (data.n_train, data.n_test, data.n_classes) == (20, 10, 10)


def test_a_part_is_chosen_before_it_is_converted(tmp_path):
    write_mnist(tmp_path, n=50)
    data = load_dataset("mnist", data_dir=tmp_path, n_train=30, n_test=4)
    assert (data.n_train, data.n_test) == (30, 4)


def test_without_an_official_test_part_a_fifth_is_held_out(tmp_path):
    write_mnist(tmp_path)
    for path in tmp_path.glob("t10k*"):
        path.unlink()
    data = load_dataset("mnist", data_dir=tmp_path)
    assert (data.n_train, data.n_test) == (16, 4)


def test_keras_mnist_npz_is_read(tmp_path):
    images, labels = random_bytes((20, 28, 28)), np.arange(20, dtype=np.uint8) % 10
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    data = load_dataset("mnist", data_dir=tmp_path)
    assert data.inputs.shape == (20, 28, 28, 1)
    np.testing.assert_array_equal(data.clean_labels, labels)
    np.testing.assert_array_equal(data.test_inputs[..., 0] * 255, images)


def _cut(content):
    return content[:-1]


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        (IMAGES, _cut, r"promises 15680 bytes, shape \(20, 28, 28\), and 15679 follow"),
        (IMAGES, lambda content: content[:10], "is no IDX file .* or ends at once"),
        (IMAGES, lambda content: b"", "is no IDX file"),
        (IMAGES, lambda content: b"\0\0\x0d\x03" + content[4:], "begins with 00000d03"),
        (IMAGES, lambda content: content + b"!", "goes on after the 15680 bytes"),
        (IMAGES, lambda content: content[:4] + b"\xff" * 12, "promises .* at most 2147483648"),
        (IMAGES, lambda content: content[:4] + b"\0\1\0\0" + content[8:], "cut off"),
        (LABELS, _cut, "promises 20 bytes"),
        (LABELS, lambda content: content[:-1] + b"\x0a", "label 10; mnist has the classes 0 … 9"),
        (LABELS, lambda content: idx_bytes(np.zeros(19, np.uint8)), " 19 labels"),
        (LABELS, lambda content: idx_bytes(np.zeros((20, 1), np.uint8)), "begins with 00000802"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_named(tmp_path, *, file, damage, message, packed):
    write_mnist(tmp_path)
    content = damage((tmp_path / file).read_bytes())
    (tmp_path / file).write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataFileError, match=f"{file}.*{message}"):
        load_dataset("mnist", data_dir=tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-30],
        lambda packed: packed[:200] + bytes(50) + packed[250:],
        lambda packed: packed[:-8] + b"\0\0\0\0" + packed[-4:],
    ],
    ids=["cut", "overwritten", "wrong check sum"],
)
def test_damaged_gzip_is_named(tmp_path, damage):
    write_mnist(tmp_path, packed=True)
    path = tmp_path / f"{IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataFileError, match=r"train-images-idx3-ubyte.gz is damaged or cut off"):
        load_dataset("mnist", data_dir=tmp_path)


def test_a_header_that_promises_too_much_reads_no_more_than_there_is(tmp_path):
    class Stream:
        largest = 0

        def read(self, size=-1, /):
            self.largest = max(self.largest, size)
            return b""

    stream = Stream()
    assert idx.read_up_to(stream, 2**40) == b""
    assert stream.largest <= 2**20


def test_half_a_part_is_refused(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / LABELS).unlink()
    with pytest.raises(
        DataFileError, match="holds half of the train part: train-labels is missing"
    ):
        load_dataset("mnist", data_dir=tmp_path)
    (tmp_path / IMAGES).unlink()
    with pytest.raises(DatasetNotFoundError):
        load_dataset("mnist", data_dir=tmp_path)


@pytest.fixture
def small_official(monkeypatch):
    """Stand in files of 20 and 10 images for the official ones, which are too big to write."""
    sizes = {"images": lambda n: 16 + n * 784, "labels": lambda n: 8 + n}
    official = {
        f"{split}-{part}": size(n)
        for split, n in (("train", 20), ("t10k", 10))
        for part, size in sizes.items()
    }
    monkeypatch.setattr(idx, "_OFFICIAL_BYTES", official)

    def adopt(name, folder):
        digests = {
            part: hashlib.md5(next(folder.glob(f"{part}*")).read_bytes()).hexdigest()
            for part in official
        }
        monkeypatch.setitem(idx._OFFICIAL_MD5, name, digests)

    return adopt


def test_official_content_passes_and_one_changed_byte_does_not(tmp_path, small_official):
    write_mnist(tmp_path)
    small_official("mnist", tmp_path)
    assert load_dataset("mnist", data_dir=tmp_path).n_train == 20
    content = bytearray((tmp_path / IMAGES).read_bytes())
    content[500] ^= 1
    (tmp_path / IMAGES).write_bytes(content)
    with pytest.raises(ChecksumError, match=f"{IMAGES} has the size of the official file .* md5"):
        load_dataset("mnist", data_dir=tmp_path)


def test_one_set_in_the_place_of_another_is_noticed(tmp_path, small_official):
    write_mnist(tmp_path)
    small_official("mnist", tmp_path)
    with pytest.raises(ChecksumError, match="the official train-images of mnist have"):
        load_dataset("kmnist", data_dir=tmp_path)
