"""Infinite-width kernels against random networks of finite width, within the standard error.

With one hidden layer both kernels of a network of any width have the infinite-width kernels as
their mean, exactly: a z-test needs no allowance for the width.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ntk_air.kernels.infinite.dense import DenseNTK

N_NETWORKS, WIDTH, N_FEATURES = 4_000, 16, 3
WEIGHT_VARIANCE = 1.5

FUNCTIONS = {
    "relu": jax.nn.relu,
    "sine": jnp.sin,
    "tanh": jnp.tanh,
}


def network(params, x, phi, bias_variance):
    """NTK parametrisation: N(0, 1) parameters, scales in the function."""
    w1, b1, w2, b2 = params
    hidden = jnp.sqrt(WEIGHT_VARIANCE / N_FEATURES) * w1 @ x + jnp.sqrt(bias_variance) * b1
    return jnp.sqrt(WEIGHT_VARIANCE / WIDTH) * w2 @ phi(hidden) + jnp.sqrt(bias_variance) * b2


def random_kernels(phi, x, *, bias_variance, bias_scale=1.0):
    """f(x)f(x') and the empirical NTK of each of many networks, (N_NETWORKS, n, n) each."""

    def of_one_network(key):
        keys = jax.random.split(key, 4)
        shapes = ((WIDTH, N_FEATURES), (WIDTH,), (WIDTH,), ())
        w1, b1, w2, b2 = (
            jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)
        )
        params = (w1, bias_scale * b1, w2, bias_scale * b2)
        value_and_gradient = jax.value_and_grad(network)
        outputs, gradients = jax.vmap(
            lambda one: value_and_gradient(params, one, phi, bias_variance)
        )(x)
        jacobian = jnp.concatenate([leaf.reshape(len(x), -1) for leaf in gradients], axis=1)
        return jnp.outer(outputs, outputs), jacobian @ jacobian.T

    keys = jax.random.split(jax.random.key(20), N_NETWORKS)
    return jax.jit(lambda keys: jax.lax.map(of_one_network, keys, batch_size=500))(keys)


def largest_z(samples, mean):
    """The largest |z| over the entries on and above the diagonal."""
    upper = np.triu_indices(samples.shape[1])
    samples = np.asarray(samples)[:, *upper]
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    return np.abs((samples.mean(axis=0) - np.asarray(mean)[upper]) / error).max()


# Four inputs, so ten entries each: a right kernel is refused in one run out of 10,000.
BOUND = stats.norm.isf(1e-4 / 20)


@pytest.fixture(scope="module")
def x():
    x = np.random.default_rng(0).standard_normal((4, N_FEATURES))
    x[1] = x[0] + 0.05 * x[1]
    return jnp.asarray(x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_mean_over_networks_is_the_kernel(name, x):
    nngp, ntk = random_kernels(FUNCTIONS[name], x, bias_variance=0.4)
    variances = {"weight_variance": WEIGHT_VARIANCE, "bias_variance": 0.4}
    activation = FUNCTIONS[name] if name == "tanh" else name
    architecture = DenseNTK(depth=2, activation=activation, **variances)
    assert largest_z(nngp, architecture.nngp(x, x)) < BOUND
    assert largest_z(ntk, architecture.ntk(x, x)) < BOUND
    # The test can tell kernels apart: with half the biases, or some more weight variance.
    for factor in ({"bias_variance": 0.5}, {"weight_variance": 1.05}):
        wrong = {key: value * factor.get(key, 1) for key, value in variances.items()}
        other = DenseNTK(depth=2, activation=activation, **wrong)
        assert largest_z(ntk, other.ntk(x, x)) > BOUND
    wrong = variances | {"weight_variance": 1.2 * WEIGHT_VARIANCE}
    other = DenseNTK(depth=2, activation=activation, **wrong)
    assert largest_z(nngp, other.nngp(x, x)) > BOUND


def test_biases_that_start_at_zero(x):
    nngp, ntk = random_kernels(jax.nn.relu, x, bias_variance=0.4, bias_scale=0.0)
    variances = {"weight_variance": WEIGHT_VARIANCE, "bias_variance": 0.4}
    architecture = DenseNTK(depth=2, bias_initialisation="zeros", **variances)
    assert largest_z(nngp, architecture.nngp(x, x)) < BOUND
    assert largest_z(ntk, architecture.ntk(x, x)) < BOUND
    assert largest_z(ntk, DenseNTK(depth=2, **variances).ntk(x, x)) > BOUND
