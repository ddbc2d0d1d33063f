"""Importing the package is cheap and changes nothing."""

import subprocess
import sys


def in_new_process(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_neither_neural_tangents_nor_tensorflow():
    code = (
        "import sys, ntk_air, ntk_air.air, ntk_air.data, ntk_air.kernels, ntk_air.dynamics; "
        "print([m for m in ('neural_tangents', 'tensorflow', 'tf2jax') if m in sys.modules])"
    )
    assert in_new_process(code) == "[]"


def test_import_leaves_the_configuration_of_jax_alone():
    # Options that parts of JAX add when imported, such as Pallas's own, are none that change.
    code = (
        "import jax; before = dict(jax.config.values); "
        "import ntk_air, ntk_air.air, ntk_air.data, ntk_air.kernels, ntk_air.dynamics; "
        "print({k: jax.config.values[k] for k in before} == before)"
    )
    assert in_new_process(code) == "True"


def test_import_prints_nothing():
    assert in_new_process("import ntk_air, ntk_air.air, ntk_air.kernels, ntk_air.dynamics") == ""
