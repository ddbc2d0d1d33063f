"""Weights are read once for all tests of this folder."""

import pytest

from ntk_air.networks.pretrained.weights import load_weights


@pytest.fixture(scope="session")
def weights():
    return load_weights()
