"""Models of flax.nnx, adapted: the kernel of the library's own call, by the fast path."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntk_air.kernels.empirical import EmpiricalNTK, empirical_ntk
from ntk_air.networks.adapters import from_flax_nnx
from tests.helpers.compilations import count_compilations
from tests.networks.adapters.adapted_kernel import check

pytestmark = pytest.mark.usefixtures("standard_promotion")

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.standard_normal((3, 4, 4, 2))
TOKENS = RANDOM.integers(6, size=(3, 4)).astype(float)
DOUBLE = {"param_dtype": jnp.float64}


class ResidualNetwork(nnx.Module):
    """Convolutions with BatchNorm, a shortcut, dropout."""

    def __init__(self, rngs, *, always_training=False):
        self.stem = nnx.Conv(2, 4, (3, 3), rngs=rngs, **DOUBLE)
        self.norm = nnx.BatchNorm(4, rngs=rngs, **DOUBLE)
        self.inner = nnx.Conv(4, 4, (3, 3), use_bias=False, rngs=rngs, **DOUBLE)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(4, 3, rngs=rngs, **DOUBLE)
        self.mode = {"use_running_average": False} if always_training else {}

    def __call__(self, x):
        h = self.stem(x)
        h = h + self.inner(nnx.gelu(self.norm(h, **self.mode)))
        return self.head(self.dropout(h).mean(axis=(1, 2)))


class Transformer(nnx.Module):
    """Embedding, self-attention and a two-layer network, each behind a LayerNorm."""

    def __init__(self, rngs):
        self.embed = nnx.Embed(6, 4, rngs=rngs, **DOUBLE)
        self.norms = nnx.List([nnx.LayerNorm(4, rngs=rngs, **DOUBLE) for _ in range(2)])
        self.attention = nnx.MultiHeadAttention(2, 4, rngs=rngs, decode=False, **DOUBLE)
        self.up = nnx.Linear(4, 5, rngs=rngs, **DOUBLE)
        self.down = nnx.Linear(5, 4, rngs=rngs, **DOUBLE)
        self.head = nnx.Linear(4, 3, rngs=rngs, **DOUBLE)

    def __call__(self, tokens):
        h = self.embed(tokens.astype(int))
        h = h + self.attention(self.norms[0](h))
        h = h + self.down(nnx.gelu(self.up(self.norms[1](h))))
        return self.head(h.mean(axis=1))


MODELS = {
    "residual with BatchNorm": (ResidualNetwork, IMAGES),
    "transformer": (Transformer, TOKENS),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_kernel_is_that_of_the_library_by_the_fast_path(name):
    kind, x = MODELS[name]
    model = kind(nnx.Rngs(0))
    if name == "residual with BatchNorm":  # averages as after some training
        model.norm.mean[...] += 0.5
    evaluated = nnx.clone(model)
    evaluated.eval()
    graph, _, rest = nnx.split(evaluated, nnx.Param, ...)

    def call(pure, x):
        return nnx.merge(graph, pure, rest)(x)

    # Attention of nnx takes its softmax in float32.
    tolerance = 1e-6 if name == "transformer" else 1e-12
    check(from_flax_nnx(model), call, x, tolerance=tolerance)


def test_the_model_stays_in_its_mode():
    model = ResidualNetwork(nnx.Rngs(0))
    before = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
    apply_fn, params = from_flax_nnx(model)
    apply_fn(params, IMAGES)
    assert not model.norm.use_running_average
    assert not model.dropout.deterministic
    after = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_another_model_of_the_same_shapes_compiles_nothing():
    kernel = EmpiricalNTK(*from_flax_nnx(Transformer(nnx.Rngs(0))), method="layerwise")(TOKENS)
    with count_compilations() as compiled:
        model = from_flax_nnx(Transformer(nnx.Rngs(1)))
        compiled.clear()  # drawing the parameters
        again = EmpiricalNTK(*model, method="layerwise")(TOKENS)
    assert not compiled
    assert np.abs(again - kernel).max() > 1e-3 * np.abs(kernel).max()


class Tied(nnx.Module):
    """One matrix between two pairs of layers."""

    def __init__(self, rngs):
        self.first = nnx.Linear(5, 5, use_bias=False, rngs=rngs, **DOUBLE)
        self.second = nnx.Linear(5, 5, use_bias=False, rngs=rngs, **DOUBLE)
        self.second.kernel = self.first.kernel

    def __call__(self, x):
        return self.second(jnp.tanh(self.first(x)))


def test_a_shared_variable_is_one_parameter():
    x = RANDOM.standard_normal((3, 5))
    model = Tied(nnx.Rngs(0))
    adapted = from_flax_nnx(model)
    (kernel,) = jax.tree.leaves(adapted.params)

    def tied(w, x):
        return jnp.tanh(x @ w) @ w

    np.testing.assert_allclose(empirical_ntk(*adapted, x), empirical_ntk(tied, kernel, x))


# --- refusals ---------------------------------------------------------------------------------


# nnx keeps running averages in float32 and writes float64 into them.
@pytest.mark.filterwarnings("ignore:scatter inputs have incompatible types:FutureWarning")
def test_a_model_that_trains_in_evaluation_mode_is_refused():
    model = ResidualNetwork(nnx.Rngs(0), always_training=True)
    with pytest.raises(ValueError, match=r"apply_fn must treat each example alone.*BatchNorm"):
        empirical_ntk(*from_flax_nnx(model), IMAGES)


def test_what_is_no_module_is_refused():
    with pytest.raises(ValueError, match=r"model must be a flax\.nnx\.Module; got a function"):
        from_flax_nnx(lambda x: x)


def test_a_missing_flax_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "flax.nnx", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "ntk-air\[models\]"'):
        from_flax_nnx(None)
