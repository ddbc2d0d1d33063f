"""Dual activations against integration in the plane, and against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from ntk_air.kernels.infinite.activations.by_name import (
    Erf,
    PiecewiseLinear,
    as_activation,
    leaky_relu,
)
from ntk_air.kernels.infinite.gaussian_pair import GaussianPair
from tests.helpers.lowering import assert_lowers
from tests.helpers.type_checks import without_type_checks
from tests.kernels.infinite.gaussian_reference import ACTIVATIONS, gaussian_expectation

CORRELATIONS = (-1.0, -0.999, -0.6, 0.0, 0.3, 0.999, 1.0)
VARIANCES = ((1.0, 1.0), (0.3, 2.5), (1e-3, 4.0))

every_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def arrays(*values):
    return [jnp.asarray(value, jnp.float64) for value in values]


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_the_reference_agrees_with_scipy(name):
    f = ACTIVATIONS[name][1]
    density = stats.multivariate_normal(cov=[[1.0, 0.4], [0.4, 2.0]]).pdf
    below, above = (
        integrate.dblquad(
            lambda v, u: f(u) * f(v) * density([u, v]), -9, 9, *edges, epsabs=1e-9, epsrel=1e-9
        )[0]
        for edges in ((-12, 0), (0, 12))
    )
    assert gaussian_expectation(f, 1.0, 0.4, 2.0) == pytest.approx(below + above, abs=1e-8)


@every_activation
def test_phi_is_the_function_it_is_named_after(name):
    activation, phi, _ = ACTIVATIONS[name]
    x = np.linspace(-4, 4, 41)
    np.testing.assert_allclose(activation(x), phi(x), rtol=1e-14, atol=1e-15)


@every_activation
@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize(("q11", "q22"), VARIANCES)
def test_kappa_and_kappa_dot_are_the_expectations(name, correlation, q11, q22):
    activation, phi, slope = ACTIVATIONS[name]
    q12 = correlation * np.sqrt(q11 * q22)
    kappa = activation.kappa(*arrays(q11, q12, q22))
    kappa_dot = activation.kappa_dot(*arrays(q11, q12, q22))
    # Near ±1 the covariance itself holds the angle to √ε only.
    sharp = 3e-8 if abs(correlation) == 1 else 2e-13
    wanted = gaussian_expectation(phi, q11, q12, q22)
    np.testing.assert_allclose(kappa, wanted, rtol=2e-13, atol=2e-14)
    wanted = gaussian_expectation(slope, q11, q12, q22)
    np.testing.assert_allclose(kappa_dot, wanted, rtol=sharp, atol=sharp)


@every_activation
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    correlation=st.floats(-0.999, 0.999),
    q11=st.floats(0.05, 5.0),
    q22=st.floats(0.05, 5.0),
)
def test_kappa_is_the_expectation_at_any_covariance(name, correlation, q11, q22):
    activation, phi, slope = ACTIVATIONS[name]
    q12 = correlation * np.sqrt(q11 * q22)
    for value, f in ((activation.kappa, phi), (activation.kappa_dot, slope)):
        wanted = gaussian_expectation(f, q11, q12, q22)
        np.testing.assert_allclose(value(*arrays(q11, q12, q22)), wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["two_slopes", "erf", "sine", "cosine", "gelu"])
def test_kappa_dot_is_the_derivative_of_kappa(name):
    activation = ACTIVATIONS[name][0]
    q11, q22, correlation = np.random.default_rng(0).uniform(0.1, 0.95, (3, 50)) * [[4], [4], [1]]
    values = arrays(q11, np.sqrt(q11 * q22) * correlation, q22)
    derivative = jax.jit(jax.vmap(jax.grad(activation.kappa, argnums=1)))(*values)
    np.testing.assert_allclose(derivative, activation.kappa_dot(*values), rtol=1e-11)


@every_activation
def test_the_second_moment_at_unit_variance(name):
    activation, phi, _ = ACTIVATIONS[name]
    wanted = gaussian_expectation(phi, 1.0, 1.0, 1.0)
    assert activation.unit_second_moment() == pytest.approx(wanted, rel=1e-14)
    assert activation.kappa(*arrays(1.0, 1.0, 1.0)) == pytest.approx(wanted, rel=1e-14)


@every_activation
def test_tiny_variances_keep_their_digits(name):
    """κ/√(κ11·κ22) tends to the correlation or to 1; a difference of near-equals would not."""
    activation = ACTIVATIONS[name][0]
    q = 1e-9
    pair = GaussianPair.from_gaps(*(jnp.asarray(v, jnp.float32) for v in (q, q, 0.25, 1.75)))
    post = jax.jit(activation.dual)(pair).post
    at_unit_scale = {"relu", "leaky_relu", "abs", "two_slopes"}
    if name in at_unit_scale:
        wanted = activation.kappa(*arrays(1.0, 0.75, 1.0)) / activation.unit_second_moment()
    else:
        # φ(x) = φ(0) + φ'(0)x: a constant correlates fully, a slope as its argument.
        wanted = 1.0 if name == "cosine" else 0.75
    np.testing.assert_allclose(post.cosine, wanted, rtol=3e-4 if name == "gelu" else 2e-6)


@pytest.mark.parametrize("name", ["relu", "abs", "two_slopes"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_cusp_is_resolved_relative_to_the_angle(name, dtype):
    """κ̇ = A² + B²(1 − 2θ/π) to a few ε from θ = 1e-7 up, and the same distance below π."""
    activation = ACTIVATIONS[name][0]
    small = 10.0 ** -np.arange(1, 8)
    angles = np.concatenate([small, np.pi - small])
    minus = np.concatenate([2 * np.sin(small / 2) ** 2, 2 * np.cos(small / 2) ** 2]).astype(dtype)
    plus = np.concatenate([2 * np.cos(small / 2) ** 2, 2 * np.sin(small / 2) ** 2]).astype(dtype)

    @jax.jit
    def evaluate(minus, plus):
        pair = GaussianPair.from_gaps(jnp.ones_like(minus), jnp.ones_like(minus), minus, plus)
        return pair.folded_angle, activation.dual(pair)

    folded_angle, dual = evaluate(minus, plus)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(folded_angle, np.tile(small, 2), rtol=4 * eps)
    below, above = activation.negative_slope, activation.positive_slope
    odd, even = (above + below) ** 2 / 4, (above - below) ** 2 / 4
    wanted = odd + even * (1 - 2 * angles / np.pi)
    np.testing.assert_allclose(dual.derivative_product, wanted, atol=4 * eps * (odd + even))
    if name == "abs":
        # |u||v| forgets signs. 1 − cos of the next pair: θ²/2 − 2θ³/(3π) + O(θ⁴).
        next_gap = np.asarray(dual.post.one_minus_cosine, np.float64)
        series = np.tile(small**2 / 2 - 2 * small**3 / (3 * np.pi), 2)
        error = np.abs(next_gap - series) / series
        assert (error < 8 * eps + np.tile(small, 2) ** 2).all()


@every_activation
def test_edges_give_numbers_with_finite_derivatives(name):
    """Equal, opposite and zero inputs, large and small variances, in float32."""
    activation = ACTIVATIONS[name][0]
    q11 = jnp.asarray([1, 1, 0, 0, 1e8, 1e-12, 1], jnp.float32)
    q22 = jnp.asarray([1, 1, 0, 1, 1e8, 1e8, 1], jnp.float32)
    gap = jnp.asarray([0, 2, 1, 1, 1e-7, 1, 0], jnp.float32)

    def both(q11, q22, gap):
        dual = activation.dual(GaussianPair.from_gaps(q11, q22, gap, 2 - gap))
        return dual.post.covariance, dual.derivative_product

    @jax.jit
    def with_gradients(*q):
        values, pull_back = jax.vjp(both, *q)
        one, zero = jnp.ones_like(gap), jnp.zeros_like(gap)
        return values, pull_back((one, zero)), pull_back((zero, one))

    for leaf in jax.tree.leaves(with_gradients(q11, q22, gap)):
        assert leaf.dtype == jnp.float32
        assert jnp.isfinite(leaf).all()


@every_activation
def test_it_lowers_for_every_platform(name):
    activation = ACTIVATIONS[name][0]
    assert_lowers(activation.kappa, *(jnp.ones((2, 3), jnp.float32) for _ in range(3)))
    if name in ("relu", "erf"):
        assert_lowers(activation.kappa_dot, *(jnp.ones((2, 3)) for _ in range(3)))


# --- making activations ---------------------------------------------------------------------------


def test_names_objects_and_callables_make_activations():
    erf = Erf()
    assert as_activation(erf) is erf
    assert as_activation("abs") == PiecewiseLinear(-1.0, 1.0)
    assert as_activation("leaky_relu") == leaky_relu(0.01)
    numerical, exact = as_activation(jax.scipy.special.erf), as_activation("erf")
    q = arrays(1.0, 0.5, 1.0)
    np.testing.assert_allclose(numerical.kappa(*q), exact.kappa(*q), rtol=1e-13)


def test_what_is_no_activation_is_refused():
    with pytest.raises(ValueError, match=r"activation must be one of 'relu', .*; got 'rleu'"):
        as_activation("rleu")
    refusal = pytest.raises(ValueError, match="must be a name, an Activation or a callable; got 3")
    with refusal, without_type_checks():
        as_activation(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="must not both be 0"):
        PiecewiseLinear(0.0, 0.0)
    with pytest.raises(ValueError, match="negative_slope must be a finite number; got nan"):
        leaky_relu(float("nan"))
