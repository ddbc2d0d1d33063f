"""Models of flax.linen, adapted: the kernel of the library's own call, by the fast path."""

import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.empirical import EmpiricalNTK, empirical_ntk
from ntk_air.networks.adapters import from_flax_linen
from tests.helpers.compilations import count_compilations
from tests.networks.adapters.adapted_kernel import check, in_double

pytestmark = pytest.mark.usefixtures("standard_promotion")

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.standard_normal((3, 4, 4, 2))
TOKENS = RANDOM.integers(6, size=(3, 4)).astype(float)


class ResidualNetwork(nn.Module):
    """Convolutions with BatchNorm or LayerNorm, a shortcut, dropout."""

    norm: str = "batch"

    @nn.compact
    def __call__(self, x, *, train=False):
        def norm(h):
            if self.norm == "layer":
                return nn.LayerNorm()(h)
            return nn.BatchNorm(use_running_average=not train)(h)

        h = nn.Conv(4, (3, 3))(x)
        inner = nn.Conv(4, (3, 3), use_bias=False)(nn.gelu(norm(h)))
        h = nn.Dropout(0.5, deterministic=not train)(h + inner)
        return nn.Dense(3)(jnp.tanh(norm(h)).mean(axis=(1, 2)))


class Transformer(nn.Module):
    """Embedding, self-attention and a two-layer network, each behind a LayerNorm."""

    @nn.compact
    def __call__(self, tokens, *, deterministic=True):
        h = nn.Embed(6, 4)(tokens.astype(int))
        h = h + self.param("position", nn.initializers.normal(1.0), (4, 4))
        attention = nn.MultiHeadDotProductAttention(2, deterministic=deterministic)
        h = h + attention(nn.LayerNorm()(h))
        h = h + nn.Dense(4)(nn.gelu(nn.Dense(5)(nn.LayerNorm()(h))))
        return nn.Dense(3)(h.mean(axis=1))


MODELS = {
    "residual with BatchNorm": (ResidualNetwork(), IMAGES, {"train": False}),
    "residual with LayerNorm": (ResidualNetwork("layer"), IMAGES, {"train": False}),
    "transformer": (Transformer(), TOKENS, {"deterministic": True}),
}


def made(name):
    module, x, options = MODELS[name]
    variables = in_double(jax.jit(module.init)(jax.random.key(0), x))
    if "batch_stats" in variables:  # averages as after some training
        variables["batch_stats"] = jax.tree.map(lambda leaf: leaf + 0.5, variables["batch_stats"])
    return module, variables, x, options


@pytest.mark.parametrize("name", MODELS)
def test_the_kernel_is_that_of_the_library_by_the_fast_path(name):
    module, variables, x, options = made(name)

    def call(params, x):
        return module.apply(variables | {"params": params}, x, **options)

    check(from_flax_linen(module, variables, **options), call, x, shifts=("position",))


def test_other_parameters_and_averages_compile_nothing():
    module, variables, x, options = made("residual with BatchNorm")
    kernel = EmpiricalNTK(*from_flax_linen(module, variables, **options), method="layerwise")(x)
    other = jax.tree.map(lambda leaf: leaf + 0.1, variables)
    with count_compilations() as compiled:
        model = from_flax_linen(ResidualNetwork(), other, **options)
        again = EmpiricalNTK(*model, method="layerwise")(x)
    assert not compiled
    assert np.abs(again - kernel).max() > 1e-3 * np.abs(kernel).max()


# --- refusals ---------------------------------------------------------------------------------


def test_batch_norm_in_training_is_refused():
    module, variables, x, _ = made("residual with BatchNorm")
    message = r"module must be in evaluation mode.*updates its variables.*train=False"
    with pytest.raises(ValueError, match=message):
        empirical_ntk(*from_flax_linen(module, variables, train=True), x)


def test_dropout_in_training_is_refused():
    module, variables, x, _ = made("residual with LayerNorm")
    with pytest.raises(ValueError, match=r"evaluation mode; got one that asks for random numbers"):
        empirical_ntk(*from_flax_linen(module, variables, train=True), x)


class OwnBatchNorm(nn.Module):
    """Normalises by the batch without a variable that would tell."""

    @nn.compact
    def __call__(self, x):
        h = nn.Dense(3)(x)
        return h - h.mean(axis=0)


def test_a_module_that_mixes_examples_is_refused():
    x = RANDOM.standard_normal((3, 5))
    variables = in_double(OwnBatchNorm().init(jax.random.key(0), x))
    with pytest.raises(ValueError, match="apply_fn must treat each example alone"):
        empirical_ntk(*from_flax_linen(OwnBatchNorm(), variables), x)


class WithUnhashableField(nn.Module):
    scale: np.ndarray

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(self.scale * x)


def test_what_is_no_module_is_refused():
    with pytest.raises(ValueError, match=r"module must be a flax\.linen\.Module; got a function"):
        from_flax_linen(lambda x: x, {"params": {}})
    with pytest.raises(ValueError, match=r"variables must hold the collection 'params'; got \['b"):
        from_flax_linen(OwnBatchNorm(), {"batch_stats": {}})
    with pytest.raises(ValueError, match="module, with the values of its fields, must be hashable"):
        from_flax_linen(WithUnhashableField(np.ones(5)), {"params": {}})
    with pytest.raises(ValueError, match=r"the option mask must be hashable; got array"):
        from_flax_linen(OwnBatchNorm(), {"params": {}}, mask=np.ones(3))


def test_a_missing_flax_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "flax.linen", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "ntk-air\[models\]"'):
        from_flax_linen(OwnBatchNorm(), {"params": {}})
