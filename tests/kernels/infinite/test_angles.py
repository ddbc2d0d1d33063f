"""Angles between inputs against 60 digits, from right angles to coincidence and opposition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.infinite.angles import angle_gaps
from tests.helpers.lowering import assert_lowers
from tests.kernels.infinite.decimal_reference import relu_kernels

DTYPES = (np.float32, np.float64)
ANGLES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)

gaps = jax.jit(angle_gaps, static_argnames="symmetric")


def angles_between(x1, x2):
    """min(θ, π − θ) in float64, and which pairs are obtuse."""
    minus, plus = (np.asarray(gap, np.float64) for gap in gaps(x1, x2))
    smaller = np.minimum(minus, plus)
    return 2 * np.arctan(np.sqrt(smaller / (2 - smaller))), plus < minus


def true_angles(x1, x2):
    exact = [[relu_kernels(x, y, depth=1, **VARIANCES).angle for y in x2] for x in x1]
    return np.asarray(exact)


VARIANCES = {"weight_variance": 1.0, "bias_variance": 0.0}


def turned(x, angle, rng, norm=1.0):
    """``x`` turned by an angle in a random plane, before it is rounded."""
    across = rng.standard_normal(x.shape)
    across -= (across @ x) / (x @ x) * x
    across *= np.linalg.norm(x) / np.linalg.norm(across)
    return norm * (np.cos(angle) * x + np.sin(angle) * across)


@every_dtype
@pytest.mark.parametrize("sign", [1, -1])
def test_close_pairs_have_angles_accurate_relative_to_their_size(dtype, sign):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(20)
    others = np.stack([turned(x, angle, rng) for angle in ANGLES]).astype(dtype)
    x1, x2 = x[None].astype(dtype), sign * others
    measured, obtuse = angles_between(x1, x2)
    wanted = true_angles(x1, others)
    assert (obtuse == (sign == -1)).all()
    close = wanted < 1e-2
    assert close.sum() >= 5
    rtol = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(measured[close], wanted[close], rtol=rtol)
    # Pairs that a matrix product resolves well enough: 1 − cos θ to a few ε, so θ to ε/θ.
    fair = 16 * np.finfo(dtype).eps / wanted[~close]
    assert (np.abs(measured - wanted)[~close] < fair).all()


@pytest.mark.parametrize(
    ("dtype", "angles"), [(np.float32, (0.06, 0.1, 0.18)), (np.float64, (0.02, 0.03, 0.04))]
)
def test_pairs_whose_gap_a_matrix_product_gives_to_half_its_digits_are_refined(dtype, angles):
    """Up to 1 − cos θ = ε^¼, or 10⁻³, where ε/(1 − cos θ) is far above ε."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal(20)
    others = np.stack([turned(x, angle, rng) for angle in 8 * angles]).astype(dtype)
    measured, _ = angles_between(x[None].astype(dtype), others)
    wanted = true_angles(x[None].astype(dtype), others)
    np.testing.assert_allclose(measured, wanted, rtol=8 * np.finfo(dtype).eps)


@every_dtype
def test_norms_and_angles_may_be_very_different(dtype):
    rng = np.random.default_rng(1)
    x = rng.standard_normal(20)
    norms = (1e-6, 1e-3, 0.7, 1.5, 3.0, 1e3, 1e6)
    others = [
        turned(x, a, rng, norm) for a in (0.0, 1e-5, 1e-3, np.pi - 1e-3, np.pi) for norm in norms
    ]
    x1, x2 = x[None].astype(dtype), np.stack(others).astype(dtype)
    wanted = true_angles(x1, x2)
    measured, _ = angles_between(x1, x2)
    folded = np.minimum(wanted, np.pi - wanted)
    np.testing.assert_allclose(measured, folded, rtol=0, atol=4 * np.finfo(dtype).eps)


@every_dtype
def test_equal_opposite_and_zero_rows(dtype):
    x = np.random.default_rng(2).standard_normal((5, 7)).astype(dtype)
    x[4] = 0
    minus, plus = (np.asarray(gap) for gap in gaps(x, np.concatenate([x, -x, 4 * x])))
    rows = np.arange(4)
    assert (minus[rows, rows] == 0).all()
    assert (plus[rows, rows] == 2).all()
    # Parallel rows of other norms: a rounding of the angle, squared.
    assert (minus[rows, rows + 10] <= 8 * np.finfo(dtype).eps ** 2).all()
    assert (plus[rows, rows + 5] == 0).all()
    assert (minus[rows, rows + 5] == 2).all()
    for gap in (minus, plus):
        assert (gap[4] == 1).all()
        assert (gap[:, [4, 9, 14]] == 1).all()


def test_many_close_pairs_in_a_row_are_all_refined():
    rng = np.random.default_rng(3)
    centre = rng.standard_normal(6)
    x = (centre + 1e-4 * rng.standard_normal((150, 6))).astype(np.float32)
    measured, _ = angles_between(x[:3], x)
    wanted = true_angles(x[:3], x)
    np.testing.assert_allclose(measured, wanted, rtol=1e-6)
    # A matrix product alone is wrong in the first digit here.
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    plain = np.arccos(np.clip(unit[:3] @ unit.T, -1, 1))
    assert np.abs(plain - wanted).max() > 1e-4


@every_dtype
def test_the_symmetric_form_agrees_above_the_diagonal(dtype):
    rng = np.random.default_rng(4)
    x = (rng.standard_normal(5) + 1e-3 * rng.standard_normal((40, 5))).astype(dtype)
    above = np.triu_indices(40, 1)
    for whole, half in zip(gaps(x, x), gaps(x, x, symmetric=True), strict=True):
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(np.asarray(half)[above], np.asarray(whole)[above], rtol=8 * eps)


def test_derivatives_are_those_of_the_cosine():
    rng = np.random.default_rng(5)
    x1, x2 = (jnp.asarray(rng.standard_normal((3, 4))) for _ in range(2))

    def cosines(x1, x2):
        unit1, unit2 = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (x1, x2))
        return unit1 @ unit2.T

    wanted = jax.jacrev(cosines, argnums=(0, 1))(x1, x2)
    measured = jax.jacrev(gaps, argnums=(0, 1))(x1, x2)
    for sign, gap in zip((-1, 1), measured, strict=True):
        for one, other in zip(gap, wanted, strict=True):
            np.testing.assert_allclose(one, sign * other, atol=1e-14)


@every_dtype
def test_derivatives_are_finite_where_rows_coincide_oppose_or_vanish(dtype):
    x = np.random.default_rng(6).standard_normal((3, 4)).astype(dtype)
    x[2] = 0
    jacobians = jax.jacrev(gaps, argnums=(0, 1))(x, np.concatenate([x, -x]))
    assert all(jnp.isfinite(jacobian).all() for pair in jacobians for jacobian in pair)


@every_dtype
@pytest.mark.parametrize("symmetric", [False, True])
def test_it_lowers_for_every_platform(dtype, symmetric):
    x = jnp.ones((40, 5), dtype)
    assert_lowers(lambda x1, x2: angle_gaps(x1, x2, symmetric=symmetric), x, x)
