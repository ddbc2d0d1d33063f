"""Filters at their limits, and the invariants of theory.md section 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntk_air.dynamics.filters.momentum import HeavyBall
from ntk_air.dynamics.filters.spectral import (
    GradientDescent,
    GradientFlow,
    decay,
    exponential_mean,
    geometric_sum,
)
from tests.helpers.lowering import assert_lowers

HUGE = 1e15


@jax.jit
def respond(rule, eigenvalues, steps):
    response = rule.response(eigenvalues, steps)
    return response.residual, response.dual, rule.retrieved(eigenvalues, steps)


def test_powers_and_their_sums_are_those_of_plain_products():
    rates = np.array([-0.3, 0.0, 1e-12, 1e-3, 0.7, 1.0, 1.4, 1.9])
    steps = np.array([0, 1, 2, 3, 8, 51])
    got = jax.jit(lambda x, t: (decay(x, t), geometric_sum(x, t)))(rates[:, None], steps * 1.0)
    for row, rate in enumerate(rates):
        powers = [(1 - rate) ** s for s in range(52)]
        sums = [sum(powers[:t]) for t in steps]
        np.testing.assert_allclose(got[0][row], [powers[t] for t in steps], rtol=1e-12)
        np.testing.assert_allclose(got[1][row], sums, rtol=1e-12, atol=1e-15)


def test_limits_at_zero_and_below_the_smallest_number():
    rates = np.array([0.0, 1e-320, 1e-300, 1e-40])
    np.testing.assert_array_equal(decay(rates, HUGE), 1.0)
    np.testing.assert_allclose(geometric_sum(rates, HUGE), HUGE, rtol=1e-15)
    np.testing.assert_allclose(exponential_mean(rates, HUGE), HUGE, rtol=1e-15)
    single = np.array([0.0, 1e-44, 1e-38, 1e-30], np.float32)
    np.testing.assert_allclose(geometric_sum(single, np.float32(1e15)), 1e15, rtol=1e-6)


@pytest.mark.parametrize("rule", [GradientDescent(0.9), GradientFlow(0.9), HeavyBall(0.9, 0.8)])
@pytest.mark.parametrize("steps", [0.0, 1.0, 1e3, 1e15, 1e300])
def test_no_eigenvalue_and_no_time_gives_nan_or_overflow(rule, steps):
    eigenvalues = np.array([2.0, 1 / 0.9, 0.5, 1e-9, 1e-16, 1e-300, 0.0, -1e-18, -1e-12])
    residual, dual, _ = respond(rule, eigenvalues, steps)
    assert np.isfinite(residual).all()
    assert np.isfinite(dual).all()
    assert (np.abs(residual) <= 1 + 1e-12).all()
    # Rounding-negative eigenvalues are zeros.
    np.testing.assert_allclose(residual[-3:], 1.0, rtol=1e-14)
    np.testing.assert_array_equal(dual[-2:], dual[-3])


@pytest.mark.parametrize("rule", [GradientDescent(1.0), GradientFlow(1.0), HeavyBall(1.0, 0.5)])
def test_small_modes_keep_relative_precision(rule):
    """g_t(λ) of a mode that has hardly moved is ηλt (heavy ball: to first order in λ)."""
    _, dual, retrieved = respond(rule, np.array([1e-13, 0.0]), 10.0)
    np.testing.assert_allclose(retrieved[0], 1e-13 * dual[1], rtol=1e-11)
    assert dual[1] >= 10.0


def test_retrieved_and_residual_are_complements():
    eigenvalues = np.linspace(0.0, 1.9, 39)
    for rule in (GradientDescent(1.0), GradientFlow(1.0), HeavyBall(1.0, 0.9)):
        for steps in (0.0, 1.0, 7.0, 40.0):
            residual, _, retrieved = respond(rule, eigenvalues, steps)
            np.testing.assert_allclose(retrieved, 1 - residual, rtol=1e-9, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(rate=st.floats(0.0, 1.99), first=st.integers(0, 500), second=st.integers(0, 500))
def test_semigroup_in_time(rate, first, second):
    def residual(steps):
        return float(respond(GradientDescent(1.0), rate, float(steps))[0])

    np.testing.assert_allclose(
        residual(first + second), residual(first) * residual(second), rtol=1e-10, atol=1e-300
    )


def test_flow_is_the_limit_of_ever_smaller_steps():
    eigenvalues, time = np.array([0.0, 0.01, 0.3, 2.0]), 3.0
    flow = respond(GradientFlow(1.0), eigenvalues, time)
    errors = []
    for rate in (1e-2, 1e-3, 1e-4):
        descent = respond(GradientDescent(rate), eigenvalues, float(round(time / rate)))
        errors.append([np.abs(descent[part] - flow[part]).max() for part in (0, 1)])
    # First order in η: a tenth of the step leaves a tenth of the error.
    slopes = np.diff(np.log10(errors), axis=0)
    np.testing.assert_allclose(slopes, -1.0, atol=0.02)


def test_loss_falls_at_every_step_up_to_the_safe_rate_and_grows_beyond_the_bound():
    times = np.arange(60.0)
    for rate in (0.1, 0.9, 1.0):
        residual = np.abs(respond(GradientDescent(rate), 1.0, times)[0])
        assert (np.diff(residual) <= 0).all()
    overshooting = np.asarray(respond(GradientDescent(1.5), 1.0, times)[0])
    assert (np.sign(overshooting) == np.where(times % 2, -1, 1)).all()
    assert abs(respond(GradientDescent(2.01), 1.0, 100 * times)[0][-1]) > 1e20


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9, 0.99])
def test_heavy_ball_through_its_double_roots(momentum):
    """Against the recursion: at, just beside and far from x = (1 ± √β)²."""
    near, far = (1 - momentum**0.5) ** 2, (1 + momentum**0.5) ** 2
    rates = [0.0, 1e-14, 1e-6, 0.3, 1.0, 1.0 + momentum]
    for double in (near, far):
        rates += [double * (1 + nudge) for nudge in (0, 1e-15, -1e-15, 1e-9, -1e-9, 1e-3, -1e-3)]
    rates = np.array([rate for rate in rates if rate < 2 * (1 + momentum) * 0.9999])
    residual = previous = np.ones_like(rates)
    dual = velocity = np.zeros_like(rates)
    rule = HeavyBall(1.0, momentum)
    for step in range(301):
        if step in (0, 1, 2, 3, 30, 299, 300):
            got_residual, got_dual, _ = respond(rule, rates, float(step))
            np.testing.assert_allclose(got_residual, residual, atol=1e-9)
            np.testing.assert_allclose(got_dual, dual, rtol=1e-9)
        velocity = momentum * velocity + residual
        dual = dual + velocity
        residual, previous = (
            (1 + momentum - rates) * residual - momentum * previous,
            residual,
        )


def test_momentum_of_one_is_refused():
    with pytest.raises(ValueError, match="momentum must lie below 1"):
        HeavyBall(1.0, 1.0)
    with pytest.raises(ValueError, match=r"momentum must lie in \[0, 1\]; got -0\.1"):
        HeavyBall(1.0, -0.1)


@pytest.mark.parametrize("rule", [GradientDescent(1.0), GradientFlow(1.0), HeavyBall(1.0, 0.5)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_responses_keep_their_precision_and_lower_for_every_platform(rule, dtype):
    eigenvalues, steps = jnp.ones((4,), dtype), jnp.ones((3, 1), dtype)
    for part in jax.eval_shape(respond, rule, eigenvalues, steps):
        assert part.dtype == dtype
    assert_lowers(respond, rule, eigenvalues, steps)


@pytest.mark.parametrize("rate", [1e-14, 1e-18, 1e-30, 1e-200])
def test_sums_over_very_long_times_at_very_small_rates_are_not_their_limit(rate):
    """Σ_{s<t} (1 − x)ˢ and (1 − e^{−xt})/x at xt = 1, far below where 1 − x rounds to 1."""
    expected = -np.expm1(-1.0) / rate
    assert float(geometric_sum(rate, 1 / rate)) == pytest.approx(expected, rel=1e-12)
    assert float(exponential_mean(rate, 1 / rate)) == pytest.approx(expected, rel=1e-12)
