"""Finite convolutional networks: the stated formula, their kernels' expectation, their limit."""

import jax
import numpy as np
import pytest

from ntk_air.kernels.empirical import EmpiricalNTK
from ntk_air.networks.models.convolutional import ConvolutionalNetwork
from tests.helpers.lowering import assert_lowers
from tests.kernels.infinite.convolutional_reference import convolutional_kernels, relu_dual
from tests.networks.models.image_networks import (
    VARIANCES,
    X,
    convolved,
    deviations_from_expectation,
    layer_by_hand,
)


def network(channels=3, blocks=(1, 1), **options):
    return ConvolutionalNetwork(channels, blocks, **({"n_out": 2} | VARIANCES | options))


def by_hand(params, x, parametrisation):
    """Blocks (1, 1): convolution, ReLU, pooling, convolution, ReLU, mean, dense."""
    first, second, last = (layer_by_hand(layer, parametrisation) for layer in params)
    hidden = np.maximum(convolved(x, *first), 0)
    pooled = sum(hidden[:, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
    hidden = np.maximum(convolved(pooled, *second), 0)
    return hidden.mean(axis=(1, 2)) @ last[0] + last[1]


@pytest.mark.parametrize("parametrisation", ["ntk", "standard"])
def test_outputs_follow_the_formula(parametrisation):
    net = network(parametrisation=parametrisation)
    params = net.init(jax.random.key(0), 2)
    assert [layer["weight"].shape for layer in params] == [(3, 3, 2, 3), (3, 3, 3, 3), (3, 2)]
    found = net.apply(params, X)
    np.testing.assert_allclose(found, by_hand(params, X, parametrisation), rtol=1e-12)


def test_one_draw_is_the_same_function_in_both_parametrisations():
    found = []
    for parametrisation in ("ntk", "standard"):
        net = network(parametrisation=parametrisation)
        found.append(net.apply(net.init(jax.random.key(3), 2), X))
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_kernels_are_those_of_the_infinite_network_in_expectation():
    # With one hidden layer this holds at every number of channels.
    net = network(channels=2, blocks=(1,), n_out=1)
    kernels = convolutional_kernels(X, blocks=(1,), dual=relu_dual, **VARIANCES)
    np.testing.assert_allclose(net.architecture.ntk(X), kernels[0].astype(float), rtol=1e-9)
    deviation, error = deviations_from_expectation(net, *kernels, n_draws=2_000)
    assert deviation < 4
    assert error < 0.05


def test_the_empirical_kernel_has_a_layerwise_path():
    net = network()
    params = net.init(jax.random.key(0), 2)
    found = EmpiricalNTK(net.apply, params, method="layerwise")(X)
    wanted = EmpiricalNTK(net.apply, params, method="jacobian")(X)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_applies_and_initialises_on_accelerators():
    net = network()
    assert_lowers(net.apply, net.init(jax.random.key(0), 2), X)
    assert_lowers(lambda key: net.init(key, 2), jax.random.key(0))
    assert hash(net.apply) == hash(network().apply)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: network(channels=0), "channels must be .* at least 1; got 0"),
        (lambda: network(n_out=0), "n_out must be .* at least 1; got 0"),
        (lambda: network(blocks=()), "blocks must be whole numbers"),
        (lambda: network().init(jax.random.key(0), 0), "n_features must be .* at least 1; got 0"),
        (
            lambda: network().apply(network().init(jax.random.key(0), 1), X),
            r"x must be images \(n, height, width, 1\).*got shape \(3, 4, 4, 2\)",
        ),
        (
            lambda: network().apply(network().init(jax.random.key(0), 2), X[:, 0]),
            r"x must be images .* got shape \(3, 4, 2\)",
        ),
        (
            lambda: network().apply(network().init(jax.random.key(0), 2), X[:, :3]),
            "x must have a height and a width divisible by 2, for 1 poolings.*got 3 × 4",
        ),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
