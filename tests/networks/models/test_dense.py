"""Finite dense networks: the stated formula, the two parametrisations, the law of the outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.networks.models.dense import DenseNetwork
from tests.helpers.lowering import assert_lowers
from tests.helpers.type_checks import without_type_checks

X = np.random.default_rng(0).standard_normal((4, 5))
WEIGHT_VARIANCE, BIAS_VARIANCE = 1.7, 0.3


def network(parametrisation="ntk", **changes):
    options = {
        "n_out": 2,
        "activation": "relu",
        "weight_variance": WEIGHT_VARIANCE,
        "bias_variance": BIAS_VARIANCE,
    } | changes
    return DenseNetwork((7, 6), parametrisation=parametrisation, **options)


def by_hand(params, x, parametrisation):
    """The formula of the docstring, layer by layer in NumPy."""
    hidden = x
    for index, layer in enumerate(params):
        weight, bias = np.asarray(layer["weight"]), np.asarray(layer["bias"])
        if parametrisation == "ntk":
            weight = weight * np.sqrt(WEIGHT_VARIANCE / len(weight))
            bias = bias * np.sqrt(BIAS_VARIANCE)
        hidden = (np.maximum(hidden, 0) if index else hidden) @ weight + bias
    return hidden


@pytest.mark.parametrize("parametrisation", ["ntk", "standard"])
def test_outputs_follow_the_formula(parametrisation):
    net = network(parametrisation)
    params = net.init(jax.random.key(0), 5)
    np.testing.assert_allclose(
        net.apply(params, X), by_hand(params, X, parametrisation), rtol=1e-12
    )


def test_parameters_have_the_stated_shapes_and_precision():
    params = network().init(jax.random.key(0), 5)
    assert [layer["weight"].shape for layer in params] == [(5, 7), (7, 6), (6, 2)]
    assert [layer["bias"].shape for layer in params] == [(7,), (6,), (2,)]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float64")}


def test_single_precision_stays_single():
    net = network()
    params = net.init(jax.random.key(0), 5, precision="float32")
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert net.apply(params, X.astype(np.float32)).dtype == jnp.float32


def test_without_bias_variance_there_are_no_biases():
    params = network(bias_variance=0.0).init(jax.random.key(0), 5)
    assert all(set(layer) == {"weight"} for layer in params)


def test_no_hidden_layer_is_a_linear_map():
    net = DenseNetwork((), activation="identity", weight_variance=1.0)
    params = net.init(jax.random.key(0), 5)
    wanted = X @ params[0]["weight"] / np.sqrt(5)
    np.testing.assert_allclose(net.apply(params, X), wanted, rtol=1e-13)


def test_one_draw_is_the_same_function_in_both_parametrisations():
    outputs = [
        net.apply(net.init(jax.random.key(3), 5), X)
        for net in (network("ntk"), network("standard"))
    ]
    np.testing.assert_allclose(*outputs, rtol=1e-12)


def test_gradients_of_the_parametrisations_differ_by_the_scale_of_the_layer():
    gradients = [
        jax.grad(lambda params, net=net: net.apply(params, X).sum())(net.init(jax.random.key(3), 5))
        for net in (network("ntk"), network("standard"))
    ]
    for ntk, standard, fan_in in zip(*gradients, (5, 7, 6), strict=True):
        scale = np.sqrt(WEIGHT_VARIANCE / fan_in)
        np.testing.assert_allclose(ntk["weight"], scale * standard["weight"], rtol=1e-12)
        np.testing.assert_allclose(
            ntk["bias"], np.sqrt(BIAS_VARIANCE) * standard["bias"], rtol=1e-12
        )


@pytest.mark.parametrize("parametrisation", ["ntk", "standard"])
def test_outputs_have_the_covariance_of_the_infinite_network(parametrisation):
    # With one hidden layer E[f f'] is the NNGP kernel at every width.
    net = DenseNetwork((3,), parametrisation=parametrisation, bias_variance=BIAS_VARIANCE)
    keys = jax.random.split(jax.random.key(1), 5_000)
    outputs = jax.jit(jax.vmap(lambda key: net.apply(net.init(key, 5), X)[:, 0]))(keys)
    products = np.asarray(outputs[:, :, None] * outputs[:, None])
    error = products.std(axis=0) / np.sqrt(len(keys))
    z = (products.mean(axis=0) - np.asarray(net.architecture.nngp(X))) / error
    assert np.abs(z).max() < 4
    assert error.max() < 0.1 * np.abs(products.mean(axis=0)).max()


def test_axes_of_an_input_are_flattened():
    net = network()
    params = net.init(jax.random.key(0), 12)
    images = np.random.default_rng(1).standard_normal((3, 2, 6))
    np.testing.assert_array_equal(
        net.apply(params, images), net.apply(params, images.reshape(3, 12))
    )


def test_applies_and_initialises_on_accelerators():
    net = network()
    params = net.init(jax.random.key(0), 5)
    assert_lowers(net.apply, params, X)
    assert_lowers(lambda key: net.init(key, 5), jax.random.key(0))


def test_equal_networks_share_compiled_code():
    first, second = network(), network()
    assert first == second
    assert hash(first.apply) == hash(second.apply)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DenseNetwork((4, 0)), r"widths\[1\] must be .* at least 1; got 0"),
        (lambda: network(n_out=0), "n_out must be .* at least 1; got 0"),
        (lambda: network(activation="rule"), "activation must be one of .* got 'rule'"),
        (lambda: network(bias_variance=-1.0), "bias_variance must be .* at least 0"),
        (lambda: network().init(jax.random.key(0), 0), "n_features must be .* at least 1; got 0"),
        (
            lambda: network().apply(network().init(jax.random.key(0), 4), X),
            "x must have 4 features, as params have; got 5",
        ),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_unknown_parametrisation_is_refused():
    with (
        pytest.raises(ValueError, match="one of 'ntk', 'standard'; got 'mup'"),
        without_type_checks(),
    ):
        network("mup")
