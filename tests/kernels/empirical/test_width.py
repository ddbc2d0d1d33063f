"""The empirical NTK of wide networks and its limit: the mean exactly, the distance by its slope."""

from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats

from ntk_air.kernels.empirical import EmpiricalNTK
from ntk_air.kernels.empirical.layerwise.tile import LAYERWISE
from ntk_air.kernels.empirical.network import split
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.networks.models.dense import DenseNetwork
from tests.helpers.sweeps import one_in
from tests.kernels.empirical.small_network import inputs

X = inputs(4)
WIDTHS = (64, 128, 256, 512, 1024)
BIAS_VARIANCE = 0.1


def random_kernels(network, n_seeds, n_features=5):
    keys = jax.random.split(jax.random.key(7), n_seeds)

    drawn = jax.jit(jax.vmap(lambda key: network.init(key, n_features)))(keys)

    def of_one(params):
        return LAYERWISE.tile(
            split(network.apply, params), X, None, outputs="mean", n_out=network.n_out
        )

    # All in one program, for to call a kernel takes longer than so small a one.
    kernels = np.asarray(jax.jit(jax.vmap(of_one))(drawn))
    last = jax.tree.map(lambda leaf: np.asarray(leaf[-1]), drawn)
    wanted = EmpiricalNTK(network.apply, last, method="layerwise")(X)
    np.testing.assert_allclose(kernels[-1], wanted, rtol=1e-10)
    return kernels


def relative_distances(kernels, limit):
    return np.linalg.norm(kernels - limit, axis=(1, 2)) / np.linalg.norm(limit)


def slope_interval(distances, confidence=0.99):
    """The slope of log distance over log width with its confidence interval, seeds as repeats."""
    n_seeds = len(distances[0])
    logs = np.repeat(np.log(WIDTHS), n_seeds), np.log(np.concatenate(distances))
    fit: Any = stats.linregress(*logs)
    reach = stats.t.ppf((1 + confidence) / 2, len(WIDTHS) * n_seeds - 2) * fit.stderr
    return fit.slope - reach, fit.slope + reach


@pytest.fixture(scope="module")
def kernels_by_width():
    networks = [DenseNetwork((m, m), bias_variance=BIAS_VARIANCE) for m in WIDTHS]
    return [random_kernels(network, n_seeds=12) for network in networks]


def test_the_distance_to_the_limit_falls_as_one_over_the_root_of_the_width(kernels_by_width):
    limit = np.asarray(DenseNTK(depth=3, bias_variance=BIAS_VARIANCE)(X))
    low, high = slope_interval([relative_distances(kernels, limit) for kernels in kernels_by_width])
    assert low < -0.5 < high
    # Narrow enough to tell the rate from its neighbours, m^(-1/4) and m^(-1).
    assert low > -1
    assert high < -0.25


@pytest.mark.parametrize(
    "wrong", one_in(3, [{"depth": 2}, {"bias_variance": 0.2}, {"weight_variance": 2.1}])
)
def test_the_distance_to_another_limit_does_not(kernels_by_width, wrong):
    limit = np.asarray(DenseNTK(**({"depth": 3, "bias_variance": BIAS_VARIANCE} | wrong))(X))
    low, high = slope_interval([relative_distances(kernels, limit) for kernels in kernels_by_width])
    assert not low < -0.5 < high


@pytest.mark.parametrize("activation", one_in(2, ["relu", "abs"]))
def test_the_mean_over_networks_is_the_limit(activation):
    # With one hidden layer E[Θ_m] = Θ_∞ at every width, so the standard error is the tolerance.
    network = DenseNetwork((4,), n_out=2, activation=activation, bias_variance=BIAS_VARIANCE)
    kernels = random_kernels(network, n_seeds=400)
    error = kernels.std(axis=0, ddof=1) / np.sqrt(len(kernels))
    limit = np.asarray(network.architecture(X))
    assert np.abs((kernels.mean(axis=0) - limit) / error).max() < 4
    assert error.max() < 0.05 * limit.max()
