"""Infinite-width kernels against 60 digits, neural-tangents, the textbook recursion, symmetries."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.infinite.activations.by_name import leaky_relu
from ntk_air.kernels.infinite.dense import DenseNTK
from tests.helpers.sweeps import one_in
from tests.kernels.infinite.decimal_reference import relu_kernels
from tests.kernels.infinite.gaussian_reference import ACTIVATIONS, gaussian_expectation

GOLDEN = json.loads(
    Path(__file__).parents[1].joinpath("golden").joinpath("dense_networks.json").read_text()
)


def inputs(n, d, *, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", one_in(2, ["relu", "leaky_relu", "erf", "sine", "gelu"]))
def test_it_agrees_with_neural_tangents(name):
    architecture = DenseNTK(
        depth=GOLDEN["depth"],
        activation=leaky_relu(0.2) if name == "leaky_relu" else name,
        weight_variance=GOLDEN["weight_variance"],
        bias_variance=GOLDEN["bias_variance"],
    )
    x1, x2 = np.asarray(GOLDEN["x1"]), np.asarray(GOLDEN["x2"])
    wanted = GOLDEN["kernels"][name]
    np.testing.assert_allclose(architecture.ntk(x1, x2), wanted["ntk"], rtol=1e-12, atol=1e-12)
    if name == "relu":  # Θ contains Σ: for the others this would add little
        np.testing.assert_allclose(architecture.nngp(x1, x2), wanted["nngp"], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "bias_initialisation"), [("two_slopes", "zeros"), ("gelu", "normal")]
)
def test_it_is_the_textbook_recursion(name, bias_initialisation):
    """Σ^{l+1} = σ_w² κ(Σ^l) + σ_b², Θ^{l+1} = Σ^{l+1} + σ_w² κ̇(Σ^l)Θ^l, κ by integration."""
    activation, phi, slope = ACTIVATIONS[name]
    w, b = 1.7, 0.3
    x = inputs(3, 4)
    drawn, added = (b, 0.0) if bias_initialisation == "normal" else (0.0, b)
    covariance = w * x @ x.T / 4 + drawn
    ntk = covariance + added

    def expectations(f):
        return np.array(
            [
                [
                    gaussian_expectation(f, covariance[i, i], covariance[i, j], covariance[j, j])
                    for j in range(3)
                ]
                for i in range(3)
            ]
        )

    for _ in range(2):
        following = w * expectations(phi) + drawn
        ntk = following + added + w * expectations(slope) * ntk
        covariance = following
    architecture = DenseNTK(
        depth=3,
        activation=activation,
        weight_variance=w,
        bias_variance=b,
        bias_initialisation=bias_initialisation,
    )
    # On the diagonal the reference's own angle, an arccosine at 1, is only good to √ε.
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(architecture.nngp(x, x), covariance, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(architecture(x, x))[off], ntk[off], rtol=1e-12)


def close_pairs(dtype):
    """One vector, and others at small, large and straight angles, of small and large norms."""
    rng = np.random.default_rng(3)
    x, across = rng.standard_normal((2, 6))
    across -= (across @ x) / (x @ x) * x
    across *= np.linalg.norm(x) / np.linalg.norm(across)
    angles = [*10.0 ** -np.arange(1, 8), *(np.pi - 10.0 ** -np.arange(1, 8)), 1.0, 2.0]
    others = [np.cos(a) * x + np.sin(a) * across for a in angles]
    others += [1e-3 * others[3], 1e3 * others[3], x, -x, 2 * x, 1e-3 * x, 0 * x]
    return x[None].astype(dtype), np.stack(others).astype(dtype)


@pytest.mark.parametrize("dtype", one_in(2, [np.float32, np.float64]))
@pytest.mark.parametrize(
    ("depth", "bias_variance", "kernel"), [(2, 0.0, "ntk"), (4, 0.1, "ntk"), (4, 0.0, "nngp")]
)
def test_close_and_opposite_inputs_lose_no_digits(dtype, depth, bias_variance, kernel):
    """The textbook formula, an arccosine of a rounded cosine, is off by √ε = 3e-4 in float32."""
    variances = {"weight_variance": 2.0, "bias_variance": bias_variance}
    architecture = DenseNTK(depth=depth, **variances)
    x1, x2 = close_pairs(dtype)
    measured = np.asarray(getattr(architecture, kernel)(x1, x2))
    assert measured.dtype == dtype

    def exact(x, y):
        return relu_kernels(x, y, depth=depth, **variances)

    wanted = [exact(x1[0], y) for y in x2]
    scale = [
        np.sqrt(getattr(exact(x1[0], x1[0]), kernel) * getattr(exact(y, y), kernel)) for y in x2
    ]
    difference = measured[0] - np.array([getattr(values, kernel) for values in wanted])
    error = np.abs(difference) / np.where(np.array(scale) > 0, scale, 1)
    # 1 − cos θ from a matrix product is good to ε, and down to ε^(1/4) it is that one.
    assert error.max() < 8 * np.finfo(dtype).eps ** (7 / 8)
    angles = np.array([values.angle for values in wanted])
    refined = np.minimum(angles, np.pi - angles) < 1.1e-3
    assert refined.sum() > 10
    assert error[refined].max() < 4 * depth * np.finfo(dtype).eps


def test_near_inputs_of_one_set_are_as_accurate_as_those_of_two():
    rows = np.concatenate(close_pairs(np.float32))
    architecture = DenseNTK(depth=3)
    one, two = np.asarray(architecture(rows)), np.asarray(architecture(rows, rows))
    scale = np.sqrt(np.outer(np.diag(one), np.diag(one)))
    relative = np.abs(one - two) / np.where(scale > 0, scale, 1)
    assert relative.max() < 16 * np.finfo(np.float32).eps


@pytest.mark.parametrize("depth", [1, 3])
def test_depth_counts_weight_layers(depth):
    """With φ = identity and unit variances every layer adds x·x'/d once: Θ = depth·x·x'/d."""
    x = inputs(4, 3)
    architecture = DenseNTK(depth=depth, activation="identity")
    np.testing.assert_allclose(architecture(x, x), depth * x @ x.T / 3, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["leaky_relu", "erf"])
def test_the_default_weight_variance_keeps_the_variance_of_a_unit_signal(name):
    architecture = DenseNTK(depth=4, activation=ACTIVATIONS[name][0])
    d = 5
    x = inputs(3, d)
    x *= np.sqrt(d / architecture.weight_variance) / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(architecture.diagonal(x, kernel="nngp"), 1, rtol=1e-14)
    assert DenseNTK().weight_variance == 2


# --- invariances ----------------------------------------------------------------------------------


def test_rotations_and_permutations():
    architecture = DenseNTK(depth=3, bias_variance=0.2)
    x = inputs(6, 4)
    wanted = np.asarray(architecture(x, x))
    rotated = x @ np.linalg.qr(inputs(4, 4, seed=1))[0]
    np.testing.assert_allclose(architecture(rotated, rotated), wanted, rtol=1e-12)
    order = np.random.default_rng(2).permutation(6)
    np.testing.assert_allclose(architecture(x[order], x), wanted[order], rtol=1e-12)
    np.testing.assert_allclose(architecture(x, x[order]), wanted[:, order], rtol=1e-12)


def test_without_biases_a_relu_kernel_is_homogeneous_in_each_norm():
    architecture = DenseNTK(depth=3)
    x1, x2 = inputs(3, 4), inputs(5, 4, seed=1)
    scale1, scale2 = np.array([1e-8, 2.0, 1e5]), np.array([3.0, 1e8, 0.5, 1e-3, 1.0])
    scaled = architecture(scale1[:, None] * x1, scale2[:, None] * x2)
    wanted = scale1[:, None] * np.asarray(architecture(x1, x2)) * scale2
    np.testing.assert_allclose(scaled, wanted, rtol=1e-12, atol=1e-14 * np.abs(wanted).max())


def test_zero_and_equal_rows():
    x = inputs(4, 3)
    x[1], x[2] = x[0], 0
    for bias_variance in (0.0, 0.5):
        architecture = DenseNTK(depth=2, bias_variance=bias_variance)
        matrix = np.asarray(architecture(x, x))
        np.testing.assert_allclose(matrix[0], matrix[1], rtol=1e-15)
        if bias_variance == 0:
            assert (matrix[2] == 0).all()
        else:
            assert (matrix[2] > 0).all()


# --- derivatives ----------------------------------------------------------------------------------


def test_derivatives_agree_with_differences():
    architecture = DenseNTK(depth=3, bias_variance=0.3)
    x1, x2, direction = inputs(3, 4), inputs(2, 4, seed=1), inputs(3, 4, seed=2)
    step = 1e-6
    wanted = (
        np.asarray(architecture.ntk(x1 + step * direction, x2))
        - np.asarray(architecture.ntk(x1 - step * direction, x2))
    ) / (2 * step)
    _, measured = jax.jvp(lambda x: architecture.ntk(x, jnp.asarray(x2)), (x1,), (direction,))
    np.testing.assert_allclose(measured, wanted, rtol=1e-7, atol=1e-8)


def test_derivatives_at_equal_opposite_and_zero_rows_are_finite():
    architecture = DenseNTK(depth=3)
    x = inputs(4, 3, dtype=np.float32)
    x[1], x[2], x[3] = x[0], -x[0], 0
    both = jax.jit(jax.grad(lambda x1, x2: architecture(x1, x2).sum(), argnums=(0, 1)))
    assert all(jnp.isfinite(gradient).all() for gradient in both(x, x))


def test_the_derivative_of_the_diagonal_is_that_of_the_self_kernel():
    architecture = DenseNTK(depth=2)
    x = inputs(3, 4)
    gradient = jax.jit(jax.grad(lambda x: jnp.trace(architecture(x))))(x)
    np.testing.assert_allclose(gradient, 2 * 2 * 2 * x / 4, rtol=1e-12)
