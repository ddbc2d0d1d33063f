"""Kernels are told apart by content, in every process alike."""

import dataclasses
import functools
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.empirical import EmpiricalNTK
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.tiles.identity import array_identity, kernel_identity
from ntk_air.networks.models.dense import DenseNetwork


def network(seed=0, **options):
    model = DenseNetwork((4,), n_out=1)
    return EmpiricalNTK(model.apply, model.init(jax.random.key(seed), 3), **options)


KERNELS = [
    lambda: DenseNTK(),
    lambda: DenseNTK(depth=3),
    lambda: DenseNTK(activation="erf"),
    lambda: DenseNTK(activation=jnp.tanh),
    lambda: DenseNTK(bias_variance=0.1),
    lambda: DenseNTK(bias_variance=0.1, bias_initialisation="zeros"),
    lambda: DenseNTK().nngp,
    lambda: functools.partial(np.add, 2),
    lambda: functools.partial(np.add, 3),
    network,
    functools.partial(network, 1),
    functools.partial(network, outputs=0),
]


def test_the_same_content_is_the_same_and_any_other_is_not():
    first, second = ([kernel_identity(make()) for make in KERNELS] for _ in range(2))
    assert first == second
    assert len(set(first)) == len(KERNELS)


def test_other_processes_say_the_same():
    code = (
        "import jax\n"
        "import jax.numpy as jnp\n"
        "jax.config.update('jax_enable_x64', True)\n"
        "from ntk_air.kernels.tiles.identity import kernel_identity\n"
        "from ntk_air.kernels.infinite.dense import DenseNTK\n"
        "print(kernel_identity(DenseNTK(activation=jnp.tanh).nngp))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    ours = DenseNTK(activation=jnp.tanh).nngp
    assert done.stdout.strip() == kernel_identity(ours)


def test_arrays_differ_by_numbers_shape_and_precision():
    one = np.arange(6.0)
    others = [one, one[::-1], one.reshape(2, 3), one.reshape(3, 2), one.astype(np.float32)]
    assert len({array_identity(array) for array in others}) == 5
    assert array_identity(one.reshape(2, 3).T.copy()) == array_identity(one.reshape(2, 3).T)


@dataclasses.dataclass
class Holding:
    part: object


@pytest.mark.parametrize("part", [lambda x: x, object(), jax.random.key(0), np.array(["a"])])
def test_what_has_no_content_is_refused(part):
    with pytest.raises(ValueError, match=r"kernel\.part\[1\] must be known by content"):
        kernel_identity(Holding([1, part]))
