"""An error in any one rule of layer-wise contraction shows in the kernel of a small network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.empirical.layerwise import contraction, linearised, rules, views
from ntk_air.kernels.empirical.layerwise.tile import LAYERWISE
from ntk_air.kernels.empirical.network import split
from tests.kernels.empirical.architectures import ARCHITECTURES, N_OUT
from tests.kernels.empirical.architectures.by_jacobians import jacobian_kernel, mean, reference
from tests.kernels.empirical.architectures.table import architecture


@architecture((4, 4, 2), w=(2, 2), head=(2, 3))
def filter_tied_to_a_product(p, x):
    numbers = ("NHWC", "HWIO", "NHWC")
    h = jax.lax.conv_general_dilated(
        jnp.tanh(x @ p["w"]), p["w"][None, None], (1, 1), "SAME", dimension_numbers=numbers
    )
    return jnp.tanh(h).mean(axis=(1, 2)) @ p["head"]


@architecture((), n_tokens=5, table=(5, 4), head=(4, 3))
def row_by_dynamic_slice(p, x):
    def one(token):
        start = (token.astype(int), jnp.zeros((), int))
        return jax.lax.dynamic_slice(p["table"], start, (1, 4))[0]

    return jnp.tanh(jax.lax.map(one, x)) @ p["head"]


@architecture((), n_tokens=4, table=(4, 4), head=(4, 3))
def square_table_tied_to_a_product(p, x):
    return jnp.tanh(jnp.tanh(p["table"][x.astype(int)]) @ p["table"]) @ p["head"]


OWN = {
    each.name: each
    for each in (filter_tied_to_a_product, row_by_dynamic_slice, square_table_tied_to_a_product)
}


def larger(original):
    """One per cent too much."""
    return lambda *arguments, **options: 1.01 * original(*arguments, **options)


def transposed(original):
    """Two axes confused."""
    return lambda *arguments: np.swapaxes(original(*arguments), 1, 2)


def first_alone(original):
    """All uses of a parameter but the first forgotten."""
    return lambda factors: original(factors[:1])


PLANTED = [
    (rules._DotRule, "activations", larger, "relu_in_ntk_parametrisation"),
    (rules._DotRule, "cotangents", larger, "relu_in_ntk_parametrisation"),
    (rules._DotRule, "entries", transposed, "filter_tied_to_a_product"),
    (rules._ConvolutionRule, "activations", larger, "convolution_same"),
    (rules._ConvolutionRule, "cotangents", larger, "convolution_same"),
    (rules._ConvolutionRule, "entries", transposed, "filter_tied_to_a_product"),
    (rules._GatherRule, "activations", larger, "embedding_by_gather"),
    (rules._GatherRule, "cotangents", larger, "embedding_by_gather"),
    (rules._RowRule, "activations", larger, "row_by_dynamic_slice"),
    (rules._RowRule, "cotangents", larger, "row_by_dynamic_slice"),
    (rules._RowRule, "entries", transposed, "square_table_tied_to_a_product"),
    (rules.DirectRule, "cotangents", larger, "relu_in_ntk_parametrisation"),
    (
        views.ParameterView,
        "scaled",
        lambda original: lambda view, factor: original(view, 1.01 * factor),
        "relu_in_ntk_parametrisation",
    ),
    (linearised, "_side_by_side", first_alone, "weight_tied_across_layers"),
    (contraction.Contraction, "_gram", larger, "relu_in_ntk_parametrisation"),
    (contraction.Contraction, "_explicit", larger, "convolution_same"),
    (contraction.Contraction, "_explicit", larger, "tied_autoencoder"),
]


def difference(name):
    """The largest deviation from Jacobian contraction, relative; never compiled before."""
    _, apply_fn, params, x = (ARCHITECTURES | OWN)[name]

    def fresh(params, x):
        return apply_fn(params, x)

    kernel = LAYERWISE.tile(split(fresh, params), x, None, outputs="mean", n_out=N_OUT)
    wanted = mean(
        reference(name) if name in ARCHITECTURES else jacobian_kernel(apply_fn, params, x)
    )
    return np.max(np.abs(np.asarray(kernel) - wanted)) / np.max(np.abs(wanted))


@pytest.mark.parametrize("name", OWN)
def test_without_an_error_all_is_well(name):
    assert difference(name) < 1e-12


@pytest.mark.parametrize(("owner", "method", "error", "name"), PLANTED)
def test_an_error_in_one_rule_is_seen(monkeypatch, *, owner, method, error, name):
    monkeypatch.setattr(owner, method, error(getattr(owner, method)))
    assert difference(name) > 1e-4
