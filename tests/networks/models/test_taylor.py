"""Taylor models against derivatives written out and the network they approach."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntk_air as na


def test_each_order_adds_its_derivative():
    """Of exp(w·x): (1 + z + z²/2 + …)·exp(w₀·x) with z = (w − w₀)·x."""
    at, moved, x = jnp.array([0.3, -0.2]), jnp.array([0.5, 0.4]), jnp.array([[1.0, 2.0]])
    network = lambda w, x: jnp.exp(x @ w)  # noqa: E731
    z, value = float(x[0] @ (moved - at)), float(jnp.exp(x[0] @ at))
    terms = np.cumsum([value * z**k / np.prod(range(1, k + 1)) for k in range(5)])
    for order, expected in enumerate(terms):
        model = na.networks.taylor_model(network, at, order=order)
        np.testing.assert_allclose(model(moved, x), [expected], rtol=1e-12)


def test_the_linear_model_has_the_networks_kernel_and_no_other():
    params = {"a": jnp.array([[0.5, -1.0], [2.0, 0.1]]), "b": jnp.array([[1.0], [0.3]])}
    network = lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"]  # noqa: E731
    x = jnp.array([[1.0, 0.2], [-0.4, 0.7]])
    model = na.networks.taylor_model(network, params)
    np.testing.assert_allclose(model(params, x), network(params, x), rtol=1e-14)
    far = jax.tree.map(lambda leaf: leaf + 3.0, params)
    for where in (params, far):
        np.testing.assert_allclose(
            na.empirical_ntk(model, where, x), na.empirical_ntk(network, params, x), rtol=1e-12
        )


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="order must be a whole number"):
        na.networks.taylor_model(lambda w, x: w, jnp.ones(1), order=-1)
