"""Importing the package is cheap and changes nothing."""

import json
import subprocess
import sys

import pytest

CODE = """
import json, sys
import ntk_air
found = {"cheap": sorted({"jax", "numpy", "scipy"} & sys.modules.keys())}
import jax
before = dict(jax.config.values)
import ntk_air.air, ntk_air.data, ntk_air.kernels, ntk_air.dynamics, ntk_air.networks
for name in ntk_air.__all__:
    getattr(ntk_air, name)
# Options that parts of JAX add when imported, such as Pallas's own, are none that change.
found["changed"] = [k for k in before if jax.config.values[k] != before[k]]
found["loaded"] = sorted({"neural_tangents", "tensorflow", "tf2jax", "flax"} & sys.modules.keys())
print(json.dumps(found))
"""


def test_import_says_that_windows_is_not_for_it():
    code = "import sys; sys.platform = 'win32'; import ntk_air"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ntk_air runs on Linux and macOS")
    assert "WSL" in last


@pytest.fixture(scope="module")
def said():
    """What a process prints that imports all that the package exports."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_of_the_package_alone_loads_no_library(said):
    assert json.loads(said)["cheap"] == []


def test_import_loads_neither_neural_tangents_nor_tensorflow(said):
    assert json.loads(said)["loaded"] == []


def test_import_leaves_the_configuration_of_jax_alone(said):
    assert json.loads(said)["changed"] == []


def test_import_prints_nothing(said):
    assert said == json.dumps(json.loads(said))  # that one line and no other
