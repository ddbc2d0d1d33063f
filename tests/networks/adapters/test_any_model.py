"""A model of whatever library: the function and the parameters that its own adapter makes."""

import sys

import equinox as eqx
import flax.linen as nn
import jax
import numpy as np
import pytest
from flax import nnx

import ntk_air as na
from ntk_air.networks.adapters import AdaptedModel, adapt, from_equinox

pytestmark = pytest.mark.usefixtures("standard_promotion")

X = np.random.default_rng(0).normal(size=(3, 4))
KEY = jax.random.key(0)
LINEN = nn.Dense(2)
VARIABLES = LINEN.init(KEY, np.float32(X))
NNX = nnx.Linear(4, 2, rngs=nnx.Rngs(0))
EQUINOX = eqx.nn.Linear(4, 2, key=KEY)
STATEFUL, STATE = eqx.nn.make_with_state(eqx.nn.BatchNorm)(4, "batch", mode="ema")


def by_running_averages():
    return jax.vmap(lambda x: eqx.nn.inference_mode(STATEFUL)(x, STATE)[0])(X)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ((LINEN, VARIABLES), lambda: LINEN.apply(VARIABLES, X)),
        (NNX, lambda: NNX(X)),
        (EQUINOX, lambda: jax.vmap(EQUINOX)(X)),
        (
            (STATEFUL, STATE),
            lambda: jax.vmap(lambda x: eqx.nn.inference_mode(STATEFUL)(x, STATE)[0])(X),
        ),
        ((lambda w, x: x @ w, np.eye(4)), lambda: X),
        (from_equinox(EQUINOX), lambda: jax.vmap(EQUINOX)(X)),
    ],
)
def test_a_model_says_what_its_library_makes_of_inputs(model, expected):
    adapted = adapt(model)
    assert isinstance(adapted, AdaptedModel)
    np.testing.assert_allclose(adapted.apply_fn(adapted.params, X), expected(), rtol=1e-6)


@pytest.mark.parametrize("model", [3, LINEN, (LINEN,), (3, 4), (nn.Dense, {}), (NNX, NNX, NNX)])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(ValueError, match=r"model must be \(apply_fn, params\), a flax\.linen modu"):
        adapt(model)


def test_flax_is_not_looked_for_where_nobody_has_imported_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "flax.linen")
    monkeypatch.delitem(sys.modules, "flax.nnx")
    assert adapt((lambda w, x: x @ w, np.eye(4))).params.shape == (4, 4)
    assert "flax.linen" not in sys.modules


def test_a_precision_is_that_of_all_floating_point_arrays():
    module = nn.BatchNorm(use_running_average=True)
    single = adapt((module, module.init(KEY, X.astype(np.float32))))
    assert single.precisions() == {"float32"}
    double = single.astype("float64")
    assert double.precisions() == {"float64"}
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(double.apply_fn)} == {"float64"}
    assert na.EmpiricalNTK(*double)(X).dtype == np.float64
