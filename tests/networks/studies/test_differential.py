"""Tangent kernels of residuals against models whose kernels are known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import ntk_air as na
from ntk_air._base.memory import MemoryBudgetError
from tests.helpers.type_checks import without_type_checks

N_MODES = 4
MODES = np.arange(1.0, N_MODES + 1)


def sines(weights, x):
    """u(x) = Σ_j w_j sin(jπx)."""
    return (jnp.sin(jnp.pi * x * MODES) @ weights)[:, None]


def residual(u):
    """−u'' of Poisson's equation."""
    return lambda x: -na.networks.laplacian(u)(x)


def same(u):
    return u


def test_poissons_equation_has_the_eigenvalues_of_its_sines():
    """On the grid i/(N + 1) sines are orthogonal: eigenvalues (jπ)⁴(N + 1)/2, and 0 beyond."""
    grid = (np.arange(1, 10) / 10)[:, None]
    kernel = na.networks.differential_ntk(
        sines,
        jnp.ones(N_MODES),
        {"residual": (residual, grid), "value": (same, grid[:3]), "boundary": (same, 0 * grid[:1])},
    )
    assert kernel.sizes == {"residual": 9, "value": 3, "boundary": 1}
    expected = np.zeros(9)
    expected[:N_MODES] = np.sort((MODES * np.pi) ** 4 * 5)[::-1]
    np.testing.assert_allclose(kernel.eigenvalues("residual"), expected, atol=1e-8)
    features = np.sin(np.pi * grid * MODES)
    np.testing.assert_allclose(
        kernel.block("residual", "value"),
        features * (MODES * np.pi) ** 2 @ features[:3].T,
        atol=1e-10,
    )
    np.testing.assert_allclose(kernel.block("value"), features[:3] @ features[:3].T, atol=1e-12)
    assert np.all(kernel.block("boundary", "residual") == 0)
    whole = kernel.eigenvalues()
    assert whole.shape == (13,)
    np.testing.assert_allclose(np.sum(whole), np.trace(kernel.matrix), rtol=1e-12)


def test_the_heat_equation_of_polynomials():
    """u = w₀·t + w₁·x²: u_t − u_xx has the gradient (1, −2), u the gradient (t, x²)."""

    def polynomial(weights, points):
        return (weights[0] * points[:, 0] + weights[1] * points[:, 1] ** 2)[:, None]

    def heat(u):
        return lambda z: jax.grad(u)(z)[0] - jax.hessian(u)(z)[1, 1]

    points = np.array([[0.5, 2.0], [1.0, -1.0]])
    kernel = na.networks.differential_ntk(
        polynomial, jnp.array([3.0, 5.0]), {"heat": (heat, points), "initial": (same, points)}
    )
    np.testing.assert_allclose(kernel.block("heat"), np.full((2, 2), 5.0))
    expected = np.array([1.0, -2.0]) @ np.array([[0.5, 1.0], [4.0, 1.0]])
    np.testing.assert_allclose(kernel.block("heat", "initial"), np.tile(expected, (2, 1)))


def test_of_a_network_it_is_the_product_of_differences():
    rng = np.random.default_rng(0)
    params = {"a": jnp.asarray(rng.normal(size=(2, 3))), "b": jnp.asarray(rng.normal(size=(3, 1)))}
    network = lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"]  # noqa: E731
    points = rng.normal(size=(3, 2))
    kernel = na.networks.differential_ntk(network, params, {"r": (residual, points)})
    flat, unravel = ravel_pytree(params)

    def residuals(flat):
        one = lambda x: network(unravel(flat), x[None])[0, 0]  # noqa: E731
        return np.array([residual(one)(point) for point in points])

    steps = 1e-5 * np.eye(len(flat))
    jacobian = np.stack([(residuals(flat + s) - residuals(flat - s)) / 2e-5 for s in steps], 1)
    np.testing.assert_allclose(kernel.matrix, jacobian @ jacobian.T, rtol=1e-6)
    plain = na.networks.differential_ntk(network, params, {"u": (same, points)})
    np.testing.assert_allclose(plain.matrix, na.empirical_ntk(network, params, points), rtol=1e-12)


def test_bad_arguments_are_named():
    points, weights = np.ones((2, 1)), jnp.ones(N_MODES)

    def refused(match, apply_fn=sines, parts=None, **options):
        parts = {"u": (same, points)} if parts is None else parts
        with without_type_checks(), pytest.raises(ValueError, match=match):
            na.networks.differential_ntk(apply_fn, weights, parts, **options)

    refused("parts must map names", parts={})
    refused(r"parts\['u'\] must be \(operator, points\)", parts={"u": points})
    refused(r"the points of parts\['u'\] must be finite", parts={"u": (same, points * np.nan)})
    refused(r"same dtype", parts={"u": (same, points), "v": (same, points.astype(np.float32))})
    refused("same features", parts={"u": (same, points), "v": (same, np.ones((2, 2)))})
    refused("must have one output", lambda w, x: jnp.tile(sines(w, x), 2))
    refused("an operator must give a number", parts={"u": (lambda u: jax.grad(u), points)})
    mixing = lambda w, x: sines(w, x) - jnp.mean(sines(w, x))  # noqa: E731
    refused("each example alone", mixing, {"u": (same, np.array([[0.1], [0.3]]))})
    with pytest.raises(MemoryBudgetError, match=r"2 points and 4 parameters needs.*fewer points"):
        na.networks.differential_ntk(sines, weights, {"u": (same, points)}, max_memory_bytes=100)
    kernel = na.networks.differential_ntk(sines, weights, {"u": (same, points)})
    with pytest.raises(ValueError, match="name must be one of u; got 'v'"):
        kernel.block("v")
