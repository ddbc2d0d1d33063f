"""CIFAR-10 and CIFAR-10N: five forms give the same data set, and damage is named."""

import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from ntk_air.data import (
    ChecksumError,
    DataFileError,
    DatasetNotFoundError,
    HumanNoise,
    load_dataset,
)
from ntk_air.data.readers import (
    cifar,
    cifar_human,
)
from tests.data.writers import (
    cifar_binary,
    cifar_images,
    cifar_labels,
    cifar_pickle,
    human_labels,
    write_human_pt,
    write_strips,
    write_tar,
)

FORMS = {"": cifar_pickle, ".bin": cifar_binary}


def _contents(suffix, n=12, n_batches=2, with_test=True):
    """The files of a small set in one form, and its images and labels."""
    images, labels = cifar_images(n), cifar_labels(n)
    parts = np.split(np.arange(n), n_batches)
    contents = {
        f"data_batch_{number}{suffix}": FORMS[suffix](images[part], labels[part])
        for number, part in enumerate(parts, start=1)
    }
    if with_test:
        contents[f"test_batch{suffix}"] = FORMS[suffix](cifar_images(4, 1), cifar_labels(4, 1))
    return contents, images, labels


def _write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("suffix", FORMS)
@pytest.mark.parametrize(
    "folder",
    [".", "cifar-10-batches-py", "cifar10", "CIFAR10/cifar-10-batches-bin"],
)
def test_batches_in_a_folder_are_read_in_order(tmp_path, suffix, folder):
    contents, images, labels = _contents(suffix)
    _write(tmp_path / folder, contents)
    data = load_dataset("cifar10", data_dir=tmp_path)
    np.testing.assert_array_equal(data.inputs * 255, images)
    np.testing.assert_array_equal(data.clean_labels, labels)
    np.testing.assert_array_equal(data.test_inputs * 255, cifar_images(4, 1))
    np.testing.assert_array_equal(data.test_labels, cifar_labels(4, 1))
    assert data.class_names[0] == "airplane"


@pytest.mark.parametrize(
    ("suffix", "archive"), [("", "cifar-10-python.tar.gz"), (".bin", "cifar-10-binary.tar.gz")]
)
def test_archives_are_read_without_unpacking(tmp_path, suffix, archive):
    contents, images, labels = _contents(suffix)
    # Members may come in any order.
    write_tar(tmp_path / archive, dict(reversed(contents.items())))
    data = load_dataset("cifar10", data_dir=tmp_path)
    np.testing.assert_array_equal(data.inputs * 255, images)
    np.testing.assert_array_equal(data.clean_labels, labels)
    assert [path.name for path in tmp_path.iterdir()] == [archive]


def test_strips_take_their_labels_from_cifar10n(tmp_path):
    labels, images = human_labels(30), cifar_images(24)
    write_strips(tmp_path / "cifar10-train-0-23", images, 12)
    with pytest.raises(DatasetNotFoundError, match="'cifar10n' was not found"):
        load_dataset("cifar10", data_dir=tmp_path)
    write_human_pt(tmp_path / "cifar10n" / "CIFAR-10_human.pt", labels)
    data = load_dataset("cifar10", data_dir=tmp_path, n_test=0)
    np.testing.assert_array_equal(data.inputs * 255, images)
    np.testing.assert_array_equal(data.clean_labels, labels["clean_label"][:24])
    assert data.noise_fraction == 0
    assert "clean_label" in data.source


def test_more_than_ten_strips_stay_in_numerical_order(tmp_path):
    images = cifar_images(12)
    write_strips(tmp_path, images, 1)
    np.savez(tmp_path / "cifar10n.npz", **human_labels(12))
    data = load_dataset("cifar10", data_dir=tmp_path, n_test=0)
    np.testing.assert_array_equal(data.inputs * 255, images)


@pytest.mark.parametrize("annotation", cifar_human.ANNOTATIONS)
def test_human_labels_are_the_noisy_ones_and_their_noise_is_measured(tmp_path, annotation):
    contents, _, labels = _contents("", n=200)
    _write(tmp_path, contents)
    human = human_labels(300)
    np.testing.assert_array_equal(human["clean_label"][:200], labels)
    write_human_pt(tmp_path / "CIFAR-10_human.pt", human)
    data = load_dataset("cifar10n", data_dir=tmp_path, annotation=annotation)
    np.testing.assert_array_equal(data.noisy_labels, human[annotation][:200])
    np.testing.assert_array_equal(data.clean_labels, labels)
    counts = np.zeros((10, 10))
    np.add.at(counts, (labels, human[annotation][:200]), 1)
    assert isinstance(data.label_noise, HumanNoise)
    assert data.label_noise.annotation == annotation
    np.testing.assert_allclose(
        data.label_noise.transition_matrix(10), counts / counts.sum(axis=1, keepdims=True)
    )
    assert data.n_test == 4


@pytest.mark.parametrize("file", ["CIFAR-10_human.pt", "cifar10n_labels.npz"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_both_forms_of_human_labels_are_read(tmp_path, file, protocol):
    human = human_labels(20)
    if file.endswith(".pt"):
        write_human_pt(tmp_path / file, human, protocol)
    else:
        np.savez(tmp_path / file, **{name: array.astype(np.uint8) for name, array in human.items()})
    found, path = cifar_human.find_annotations(tmp_path)
    assert path == tmp_path / file
    assert set(found) == set(human)
    for name in human:
        np.testing.assert_array_equal(found[name], human[name])


def test_labels_in_another_order_than_the_images_are_refused(tmp_path):
    contents, _, _ = _contents(".bin")
    _write(tmp_path, contents)
    human = human_labels(12)
    human["clean_label"] = np.roll(human["clean_label"], 1)
    write_human_pt(tmp_path / "CIFAR-10_human.pt", human)
    with pytest.raises(DataFileError, match=r"human.pt is in another order than the images: image"):
        load_dataset("cifar10n", data_dir=tmp_path)


def test_fewer_labels_than_images_are_refused(tmp_path):
    contents, _, _ = _contents(".bin")
    _write(tmp_path, contents)
    write_human_pt(tmp_path / "CIFAR-10_human.pt", human_labels(11))
    with pytest.raises(DataFileError, match="holds 11 labels for 12 images"):
        load_dataset("cifar10n", data_dir=tmp_path)


def test_an_unknown_annotation_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"annotation must be one of 'aggre_label', .*'clean'"):
        load_dataset("cifar10n", data_dir=tmp_path, annotation="clean")


def _pickled(**changes):
    batch = {"data": np.zeros((3, 3072), np.uint8), "labels": [0, 1, 2]}
    return pickle.dumps(batch | changes, 2)


class _Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        (".bin", bytes(3072), r"records of 3073 bytes .* got 3072 bytes"),
        (".bin", b"", "got 0 bytes"),
        (".bin", b"\x0a" + bytes(3072), "must hold labels in 0 … 9; got 10"),
        ("", b"not a pickle", "is no readable pickle"),
        ("", _pickled()[:-100], "is no readable pickle"),
        ("", _pickled(data=np.zeros((3, 3071), np.uint8)), r"uint8 array of shape \(n, 3072\)"),
        ("", _pickled(data=np.zeros((3, 3072), np.int64)), r"uint8 array of shape \(n, 3072\)"),
        ("", _pickled(data=[1]), "must hold 'data'"),
        ("", _pickled(labels=[0, 1]), "holds 2 labels for 3 images"),
        ("", _pickled(labels=[0, 1, 10]), "must hold labels in 0 … 9"),
        ("", _pickled(labels=["a"] * 3), "must hold 'labels', a list of integers"),
        ("", pickle.dumps({"data": np.zeros((1, 3072), np.uint8)}, 2), "must hold 'labels'"),
    ],
)
def test_damaged_batches_are_named(tmp_path, suffix, content, message):
    _write(tmp_path, {f"data_batch_1{suffix}": content})
    with pytest.raises(DataFileError, match=f"data_batch_1{suffix} .*{message}"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_a_batch_that_would_run_something_runs_nothing(tmp_path):
    trace = tmp_path / "trace"
    _write(tmp_path, {"data_batch_1": pickle.dumps({"data": _Attack(trace)})})
    with pytest.raises(DataFileError, match=r"data_batch_1 .* it names \w+\.mkdir"):
        load_dataset("cifar10", data_dir=tmp_path)
    assert not trace.exists()


def test_official_pickles_of_other_content_are_refused(tmp_path, monkeypatch):
    contents, _, _ = _contents("", n_batches=1, with_test=False)
    content = contents["data_batch_1"]
    _write(tmp_path, contents)
    monkeypatch.setitem(cifar._OFFICIAL_PICKLES, "data_batch_1", (len(content), "0" * 32))
    with pytest.raises(
        ChecksumError, match=r"data_batch_1 has the size of the official file .*md5"
    ):
        load_dataset("cifar10", data_dir=tmp_path)
    monkeypatch.setitem(cifar._OFFICIAL_PICKLES, "data_batch_1", (len(content) + 1, "0" * 32))
    assert load_dataset("cifar10", data_dir=tmp_path, n_test=0).n_train == 12


@pytest.mark.parametrize("suffix", FORMS)
def test_a_gap_between_batches_is_refused(tmp_path, suffix):
    contents, _, _ = _contents(suffix, n_batches=3)
    del contents[f"data_batch_2{suffix}"]
    _write(tmp_path, contents)
    with pytest.raises(DataFileError, match=f"without a gap; .*data_batch_2{suffix}.* missing"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_a_gap_between_strips_is_refused(tmp_path):
    write_strips(tmp_path, cifar_images(3), 1)
    (tmp_path / "cifar10_batch_1.png").unlink()
    with pytest.raises(DataFileError, match=r"without a gap; .*cifar10_batch_1.png.* missing"):
        load_dataset("cifar10", data_dir=tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-200], lambda data: b"no gzip", lambda _: b""]
)
def test_damaged_archives_are_named(tmp_path, damage):
    path = tmp_path / "cifar-10-binary.tar.gz"
    write_tar(path, _contents(".bin")[0])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataFileError, match=r"cifar-10-binary.tar.gz is damaged or cut off"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_an_archive_without_batches_is_refused(tmp_path):
    write_tar(tmp_path / "cifar-10-binary.tar.gz", {"readme.html": b"hello"})
    with pytest.raises(DataFileError, match=r"binary.tar.gz must hold the first training files"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_links_in_an_archive_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    with pytest.raises(DataFileError, match="must hold the first training files"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_archives_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    contents, _, _ = _contents(".bin")
    write_tar(tmp_path / "cifar-10-binary.tar.gz", contents)
    monkeypatch.setattr(cifar, "_MAX_FILE_BYTES", 3073 * 6 - 1)
    with pytest.raises(DataFileError, match=r"data_batch_1.bin holds more than 18437 bytes"):
        load_dataset("cifar10", data_dir=tmp_path)
    monkeypatch.setattr(cifar, "_MAX_ARCHIVE_BYTES", 18_000)
    with pytest.raises(DataFileError, match=r"binary.tar.gz unpacks to more than 18000 bytes"):
        load_dataset("cifar10", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "is damaged or no PNG"),
        (lambda data: b"GIF89a", "is damaged or no PNG"),
        (lambda data: data[:200] + bytes(40) + data[240:], "is damaged or no PNG"),
    ],
)
def test_damaged_strips_are_named(tmp_path, damage, message):
    write_strips(tmp_path, cifar_images(4), 4)
    path = tmp_path / "cifar10_batch_0.png"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataFileError, match=f"cifar10_batch_0.png {message}"):
        load_dataset("cifar10", data_dir=tmp_path)


def test_strips_of_another_shape_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 512, 3), np.uint8)).save(tmp_path / "cifar10_batch_0.png")
    with pytest.raises(DataFileError, match=r"must be RGB with 1024 columns .* 512 columns"):
        load_dataset("cifar10", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels: labels.pop("worse_label"), "must hold 'worse_label', a vector of integers"),
        (lambda labels: labels.update(aggre_label=np.zeros(19, int)), "arrays of one length"),
        (lambda labels: labels.update(aggre_label=np.full(20, 10)), "must hold labels in 0 … 9"),
        (lambda labels: labels.update(aggre_label=np.zeros(20)), "must hold 'aggre_label', a vec"),
    ],
)
@pytest.mark.parametrize("file", ["CIFAR-10_human.pt", "cifar10n.npz"])
def test_wrong_human_labels_are_named(tmp_path, file, change, message):
    labels = human_labels(20)
    change(labels)
    if file.endswith(".pt"):
        write_human_pt(tmp_path / file, labels)
    else:
        np.savez(tmp_path / file, **labels)
    with pytest.raises(DataFileError, match=f"{file}.*{message}"):
        cifar_human.find_annotations(tmp_path)


@pytest.mark.parametrize("file", ["CIFAR-10_human.pt", "cifar10n.npz"])
def test_damaged_human_files_are_named(tmp_path, file):
    (tmp_path / file).write_bytes(b"no zip")
    with pytest.raises(DataFileError, match=f"{file} is damaged or no zip archive"):
        cifar_human.find_annotations(tmp_path)


def test_human_labels_that_would_run_something_run_nothing(tmp_path):
    trace = tmp_path / "trace"
    write_human_pt(tmp_path / "CIFAR-10_human.pt", {"clean_label": _Attack(trace)})
    with pytest.raises(DataFileError, match=r"human.pt .* it names \w+\.mkdir"):
        cifar_human.find_annotations(tmp_path)
    np.savez(tmp_path / "cifar10n.npz", clean_label=np.array([_Attack(trace)], object))
    (tmp_path / "CIFAR-10_human.pt").unlink()
    with pytest.raises(DataFileError, match=r"cifar10n.npz is no readable .npz file"):
        cifar_human.find_annotations(tmp_path)
    assert not trace.exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "CIFAR-10_human.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**26 + 1))
    assert path.stat().st_size < 2**20
    with pytest.raises(DataFileError, match=r"unpacks to 67108865 bytes; at most 67108864"):
        cifar_human.find_annotations(tmp_path)


def test_a_zip_without_a_pickle_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "CIFAR-10_human.pt", "w") as archive:
        archive.writestr("archive/other", b"")
    with pytest.raises(DataFileError, match=r"must hold one data.pkl; got \['archive/other'\]"):
        cifar_human.find_annotations(tmp_path)


def test_a_file_that_is_twice_in_an_archive_is_refused(tmp_path):
    batch = cifar_binary(cifar_images(4), cifar_labels(4))
    members = {"data_batch_1.bin": batch, "copy/data_batch_1.bin": batch}
    write_tar(tmp_path / "cifar-10-binary.tar.gz", members)
    with pytest.raises(DataFileError, match=r"gz must hold each file once; got 'data_batch_1.bin'"):
        load_dataset("cifar10", data_dir=tmp_path)
    path = tmp_path / "CIFAR-10_human.pt"
    write_human_pt(path, human_labels(4))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("archive/data.pkl", archive.read("archive/data.pkl"))
    with pytest.raises(DataFileError, match=r"human.pt must hold each file once; got .*data.pkl"):
        load_dataset("cifar10n", data_dir=tmp_path)
