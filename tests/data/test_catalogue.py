"""Names, options, and where files are looked for."""

import numpy as np
import pytest

from ntk_air.data import DatasetNotFoundError, dataset_names, dataset_options, load_dataset
from tests.data.writers import write_mnist


def test_every_name_has_a_line_of_description():
    names = dataset_names()
    assert {"digits", "mnist5k", "breast_cancer", "wine", "clusters", "circle"} <= set(names)
    assert {"sphere", "mnist", "fashion_mnist", "cifar10", "cifar10n", "npz", "csv"} <= set(names)
    assert "sms_spam" in names
    assert all(20 < len(line) <= 100 and line.endswith(".") for line in names.values())


def test_digits_are_the_default():
    assert load_dataset(n_train=20).name == "digits"


def test_unknown_names_and_options_are_refused():
    with pytest.raises(ValueError, match=r"name must be one of 'digits', .*; got 'digit'"):
        load_dataset("digit")
    with pytest.raises(ValueError, match=r"options .* 'clusters' must be among .* \['sprad'\]"):
        load_dataset("clusters", sprad=0.1)
    with pytest.raises(ValueError, match="path must name the file of the data set 'npz'"):
        load_dataset("npz")


def test_options_are_told():
    assert dataset_options("cifar10n") == ("annotation",)
    assert dataset_options("clusters") == ("n_clusters", "dimension", "spread", "n_classes")
    assert dataset_options("digits") == ()


@pytest.mark.parametrize(
    "name", ["mnist", "fashion_mnist", "kmnist", "cifar10", "cifar10n", "sms_spam"]
)
def test_a_missing_set_says_where_it_looked_and_how_to_get_it(name, tmp_path, monkeypatch):
    monkeypatch.delenv("NTK_AIR_DATA", raising=False)
    with pytest.raises(DatasetNotFoundError) as caught:
        load_dataset(name, data_dir=tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "published" in message
    assert "NTK_AIR_DATA" in message
    assert isinstance(caught.value, FileNotFoundError)


def test_without_an_argument_the_variable_comes_first_and_then_the_usual_places(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    named, usual = tmp_path / "named", tmp_path / "cache" / "ntk_air"
    for folder in (named, usual, tmp_path / "home" / ".keras" / "datasets"):
        folder.mkdir(parents=True)
    monkeypatch.setenv("NTK_AIR_DATA", str(named))
    with pytest.raises(DatasetNotFoundError) as caught:
        load_dataset("kmnist")
    looked = [str(named), str(usual), "\n  data", ".keras", "/usr/share/datasets"]
    places = [str(caught.value).index(place) for place in looked]
    assert places == sorted(places)
    assert "data  (no such folder)" in str(caught.value)

    labels = write_mnist(usual / "kmnist")
    np.testing.assert_array_equal(load_dataset("kmnist").clean_labels, labels)
    others = write_mnist(named / "kmnist", seed=1)
    np.testing.assert_array_equal(load_dataset("kmnist").clean_labels, others)


def test_a_folder_given_as_argument_is_the_only_one_looked_at(tmp_path, monkeypatch):
    write_mnist(tmp_path / "elsewhere" / "kmnist")
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("NTK_AIR_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(DatasetNotFoundError, match="here"):
        load_dataset("kmnist", data_dir=tmp_path / "here")
    with pytest.raises(DatasetNotFoundError, match=r"data_dir must be a folder; got '.*nowhere'"):
        load_dataset("kmnist", data_dir=tmp_path / "nowhere")
