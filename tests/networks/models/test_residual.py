"""Finite residual networks: the stated formula, their kernels' expectation, their limit."""

import jax
import numpy as np
import pytest

from ntk_air.kernels.empirical import EmpiricalNTK
from ntk_air.networks.models.residual import ResidualNetwork
from tests.helpers.lowering import assert_lowers
from tests.kernels.infinite.convolutional_reference import (
    identity_dual,
    relu_dual,
    residual_kernels,
)
from tests.networks.models.image_networks import (
    VARIANCES,
    X,
    convolved,
    deviations_from_expectation,
    layer_by_hand,
)


def network(channels=3, blocks=2, **options):
    return ResidualNetwork(channels, blocks, **({"n_out": 2} | VARIANCES | options))


def by_hand(params, x, parametrisation):
    """u + C(ReLU(C(ReLU(u)))) twice, between a convolution and the mean."""
    first, *inner, last = (layer_by_hand(layer, parametrisation) for layer in params)
    stream = convolved(x, *first)
    for one, two in (inner[:2], inner[2:]):
        branch = np.maximum(convolved(np.maximum(stream, 0), *one), 0)
        stream = stream + convolved(branch, *two)
    return np.maximum(stream, 0).mean(axis=(1, 2)) @ last[0] + last[1]


@pytest.mark.parametrize("parametrisation", ["ntk", "standard"])
def test_outputs_follow_the_formula(parametrisation):
    net = network(parametrisation=parametrisation)
    params = net.init(jax.random.key(0), 2)
    assert len(params) == 6
    found = net.apply(params, X)
    np.testing.assert_allclose(found, by_hand(params, X, parametrisation), rtol=1e-12)


def test_kernels_are_those_of_the_infinite_network_in_expectation():
    # Without a nonlinearity this holds at every number of channels.
    net = network(channels=3, blocks=1, n_out=1, activation="identity")
    kernels = residual_kernels(X, blocks=1, dual=identity_dual, **VARIANCES)
    deviation, error = deviations_from_expectation(net, *kernels, n_draws=2_000)
    assert deviation < 4
    assert error < 0.1


def test_the_kernel_of_many_channels_is_near_its_limit():
    limit, _ = residual_kernels(X, blocks=1, dual=relu_dual, **VARIANCES)
    net = network(channels=64, blocks=1)
    params = net.init(jax.random.key(0), 2)
    found = EmpiricalNTK(net.apply, params, method="layerwise")(X)
    # One draw: 1/√64 is 0.125, and a wrong scale or order of the layers is off by more.
    assert np.linalg.norm(found - limit) < 0.2 * np.linalg.norm(limit)


def test_applies_and_initialises_on_accelerators():
    net = network()
    assert_lowers(net.apply, net.init(jax.random.key(0), 2), X)
    assert_lowers(lambda key: net.init(key, 2), jax.random.key(0))
    assert hash(net.apply) == hash(network().apply)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: network(channels=0), "channels must be .* at least 1; got 0"),
        (lambda: network(blocks=0), "blocks must be .* at least 1; got 0"),
        (lambda: network(n_out=0), "n_out must be .* at least 1; got 0"),
        (lambda: network(weight_variance=0.0), "weight_variance must be .* above 0"),
        (lambda: network(bias_variance=-1.0), "bias_variance must be .* at least 0"),
        (lambda: network(activation="rule"), "activation must be one of .* got 'rule'"),
        (lambda: network().init(jax.random.key(0), 0), "n_features must be .* at least 1; got 0"),
        (
            lambda: network().apply(network().init(jax.random.key(0), 1), X),
            r"x must be images \(n, height, width, 1\).*got shape \(3, 4, 4, 2\)",
        ),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
