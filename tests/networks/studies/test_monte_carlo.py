"""Averages over draws against the kernels of infinite width and each network by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntk_air as na
from tests.helpers.type_checks import without_type_checks

X = np.random.default_rng(0).normal(size=(4, 3))


def network(params, x):
    hidden = jnp.maximum(x @ params[0] * (2 / 3) ** 0.5, 0)
    return hidden @ params[1] * (2 / params[1].shape[0]) ** 0.5


def draw(key):
    first, second = jax.random.split(key)
    return jax.random.normal(first, (3, 64)), jax.random.normal(second, (64, 2))


@pytest.fixture(scope="module")
def found():
    return na.networks.monte_carlo_kernels(network, draw, X, X[:3], n_networks=60, seed=1)


@pytest.mark.parametrize("which", ["ntk", "nngp"])
def test_the_mean_is_the_kernel_of_infinite_width(found, which):
    """Two layers of ReLU have no bias at finite width: standardised errors are of size 1."""
    exact = np.asarray(getattr(na.DenseNTK(depth=2), which)(X, X[:3]))
    scaled = (getattr(found, which) - exact) / getattr(found, f"{which}_standard_error")
    assert np.max(np.abs(scaled)) < 4.5
    assert 0.2 < np.mean(scaled**2) < 4


def test_it_is_the_mean_of_its_networks(found):
    few = na.networks.monte_carlo_kernels(network, draw, X, X[:3], n_networks=3, seed=1)
    root = jax.random.key(1)
    params = [draw(jax.random.fold_in(root, k)) for k in range(3)]
    ntks = [na.empirical_ntk(network, one, X, X[:3]) for one in params]
    outputs = [(network(one, X), network(one, X[:3])) for one in params]
    nngps = [np.asarray(first @ second.T / 2) for first, second in outputs]
    for mean, error, each in (
        (few.ntk, few.ntk_standard_error, ntks),
        (few.nngp, few.nngp_standard_error, nngps),
    ):
        np.testing.assert_allclose(mean, np.mean(each, axis=0), rtol=1e-12)
        np.testing.assert_allclose(error, np.std(each, axis=0, ddof=1) / 3**0.5, rtol=1e-10)


def test_bad_arguments_are_named():
    def refused(match, apply_fn=network, **changed):
        numbers = {"n_networks": 2, "seed": 0} | changed
        with without_type_checks(), pytest.raises(ValueError, match=match):
            na.networks.monte_carlo_kernels(apply_fn, draw, X, **numbers)

    refused("n_networks must be a whole number, at least 2", n_networks=1)
    refused("seed must be a whole number", seed=-1)
    refused("apply_fn", apply_fn="network")
    with without_type_checks(), pytest.raises(ValueError, match=r"\(n, n_out\)"):
        na.networks.empirical_nngp(lambda w, x: x[:, 0], jnp.ones(1), X)
