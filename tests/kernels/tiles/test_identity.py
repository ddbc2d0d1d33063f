"""Kernels are told apart by content, in every process alike."""

import contextlib
import dataclasses
import functools
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntk_air.kernels
import ntk_air.networks.adapters
import ntk_air.networks.models
from ntk_air._base.kinds import kind_of
from ntk_air.kernels.empirical import EmpiricalNTK, empirical_ntk
from ntk_air.kernels.infinite.activations.piecewise_linear import PiecewiseLinear
from ntk_air.kernels.infinite.activations.quadrature import QuadratureActivation
from ntk_air.kernels.infinite.activations.smooth import GELU, Cosine, Erf, Sine
from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.stax.adapter import StaxKernel
from ntk_air.kernels.stax.architectures import StaxNTK
from ntk_air.kernels.tiles.identity import array_identity, kernel_identity
from ntk_air.networks.adapters.equinox_modules import _EquinoxFunction
from ntk_air.networks.adapters.flax_linen import _LinenFunction
from ntk_air.networks.adapters.flax_nnx import _NnxFunction
from ntk_air.networks.models.convolutional import ConvolutionalNetwork
from ntk_air.networks.models.dense import DenseNetwork
from ntk_air.networks.models.layers import LayerScales
from ntk_air.networks.models.residual import ResidualNetwork


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
    lambda: functools.partial(empirical_ntk, ConvolutionalNetwork(4).apply),
    lambda: functools.partial(empirical_ntk, ResidualNetwork(4).apply),
    lambda: ConvolutionalNTK(activation="gelu"),
    lambda: StaxNTK("resnet"),
    lambda: StaxNTK("resnet", depth=2),
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


# --- kinds have names of their own --------------------------------------------------------------

ON_DISK = {
    "convolutional_network": ConvolutionalNetwork,
    "convolutional_ntk": ConvolutionalNTK,
    "cosine": Cosine,
    "dense_network": DenseNetwork,
    "dense_ntk": DenseNTK,
    "empirical_ntk": EmpiricalNTK,
    "empirical_ntk_function": empirical_ntk,
    "equinox_function": _EquinoxFunction,
    "erf": Erf,
    "flax_linen_function": _LinenFunction,
    "flax_nnx_function": _NnxFunction,
    "gelu": GELU,
    "layer_scales": LayerScales,
    "piecewise_linear": PiecewiseLinear,
    "quadrature_activation": QuadratureActivation,
    "residual_network": ResidualNetwork,
    "sine": Sine,
    "stax_kernel": StaxKernel,
    "stax_ntk": StaxNTK,
}
"""What tile folders call them: a name that changes makes strangers of the tiles on disk."""


def test_names_on_disk_are_these():
    assert {kind_of(thing): thing for thing in ON_DISK.values()} == ON_DISK


def has_content(thing):
    """Whether a class of this package can be part of a kernel or of a network."""
    return (
        isinstance(thing, type)
        and thing.__module__.startswith("ntk_air.")
        and issubclass(thing, eqx.Module)
        and not inspect.isabstract(thing)
        and any(vars(base).keys() & {"__call__", "apply"} for base in thing.__mro__)
    )


def test_every_kernel_activation_and_network_has_one():
    rooms = (ntk_air.kernels, ntk_air.networks.models, ntk_air.networks.adapters)
    modules = [
        importlib.import_module(each.name)
        for room in rooms
        for each in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")
    ]
    found = {thing for module in modules for thing in vars(module).values() if has_content(thing)}
    assert {thing.__qualname__ for thing in found if kind_of(thing) is None} == set()
    assert {kind_of(thing) for thing in found} <= ON_DISK.keys()


@contextlib.contextmanager
def moved():
    """Everything as if its module and it itself were called something else."""
    names = {thing: (thing.__module__, thing.__qualname__) for thing in ON_DISK.values()}
    for thing, (_, name) in names.items():
        thing.__module__, thing.__qualname__ = "ntk_air.another_room", f"Renamed{name}"
    yield
    for thing, (module, name) in names.items():
        thing.__module__, thing.__qualname__ = module, name


def test_code_that_moves_keeps_its_tiles():
    before = [kernel_identity(make()) for make in KERNELS]
    with moved():
        assert DenseNTK.__module__ == "ntk_air.another_room"
        after = [kernel_identity(make()) for make in KERNELS]
    assert after == before


def test_others_are_known_by_module_and_name(monkeypatch):
    before = kernel_identity(Holding(1))
    monkeypatch.setattr(Holding, "__module__", "another")
    assert kernel_identity(Holding(1)) != before


class OfAnother(DenseNTK):
    pass


def test_a_subclass_does_not_inherit_the_name():
    assert kind_of(OfAnother) == f"{__name__}.OfAnother"
    of_another: Any = OfAnother  # made as DenseNTK is, by keywords
    assert kernel_identity(of_another()) != kernel_identity(DenseNTK())


def test_what_is_of_this_package_and_has_no_name_is_refused(monkeypatch):
    monkeypatch.setattr(Holding, "__module__", "ntk_air.kernels")
    with pytest.raises(ValueError, match="kernel must be known by content"):
        kernel_identity(Holding(1))


class Doubled:
    def values(self, x1, x2=None):
        return x1


class Overriding(Doubled):
    def values(self, x1, x2=None):
        return 2 * x1


def test_a_method_that_is_overridden_is_refused():
    with pytest.raises(ValueError, match="kernel must be known by content"):
        kernel_identity(super(Overriding, Overriding()).values)
