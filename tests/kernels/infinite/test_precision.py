"""Deep kernels against 60 digits: the promised accuracy, or a refusal that says why."""

import itertools

import jax
import numpy as np
import pytest

from ntk_air.kernels.infinite.dense import DenseNTK
from tests.kernels.infinite.scalar_reference import kernels, relative_errors

PROMISED = {np.float32: 1e-5, np.float64: 1e-12}
ANGLES = (0, 1e-8, 1e-4, 1.0, 2.5, np.pi - 1e-6, np.pi)
DEPTH = 60
ROWS = 9
"""As many as any test compares: what has other shapes is another program."""


def pairs(dtype):
    """One vector, and the same turned, rounded to a dtype."""
    x, across = np.random.default_rng(0).standard_normal((2, 6))
    across -= (across @ x) / (x @ x) * x
    across *= np.linalg.norm(x) / np.linalg.norm(across)
    turned = [np.cos(angle) * x + np.sin(angle) * across for angle in ANGLES]
    turned[0], turned[-1] = x, -x
    return x[None].astype(dtype), np.stack(turned).astype(dtype)


def errors(name, variances, x1, x2, *, depth=DEPTH, activation=None):
    network = dict(zip(("weight_variance", "bias_variance"), variances, strict=True))
    rows, columns = (
        np.concatenate([x, np.repeat(x[-1:], ROWS - len(x), axis=0)]) for x in (x1, x2)
    )
    kernel = DenseNTK(depth=depth, activation=activation or name, **network)
    measured = np.asarray(kernel(rows, columns))[:, : len(x2)]
    wanted = [kernels(name, (x1[0], y), variances, [depth])[depth] for y in x2]
    return relative_errors(measured[0], [(one.ntk, one.scale) for one in wanted])


@pytest.mark.parametrize(
    ("name", "variances"),
    [
        ("erf", [(1.5, 0.1), (4.0, 0.1), (225.0, 0.1)]),
        pytest.param("erf", [(25.0, 0.0)], marks=pytest.mark.sweep),
        ("sine", [(4.0, 0.1), (225.0, 0.1)]),
        pytest.param("gelu", [(2.5, 0.1), (0.5, 0.0)], marks=pytest.mark.sweep),
    ],
)
def test_deep_kernels_in_float64_hold_twelve_digits(name, variances):
    """Identical inputs stay identical and near ones near, in chaotic networks too."""
    x1, x2 = pairs(np.float64)
    for pair in variances:
        assert max(errors(name, pair, x1, x2)) < PROMISED[np.float64]


def test_a_deep_kernel_by_quadrature_is_the_one_in_closed_form():
    x1, x2 = pairs(np.float64)
    found = errors("erf", (2.0, 0.1), x1, x2, activation=jax.scipy.special.erf)
    assert max(found) < PROMISED[np.float64]


def test_near_inputs_in_float32_are_right_or_refused_with_what_parts_them():
    """Norms are known to ε, and layers multiply what follows of it until they forget it."""
    x1, x2 = pairs(np.float32)
    near = np.concatenate([x1 * np.float32(1 + 1e-6), x1 * np.float32(1 + 1e-4), x2])
    right = PROMISED[np.float32]
    assert max(errors("sine", (1.5, 0.1), x1, near, depth=24)) < right
    message = r"depth 24, which multiplies 1 − cos .* up to 2\.4e\+13: .* rows 0 and 0 by .*float64"
    with pytest.raises(ValueError, match=message):
        errors("sine", (8.0, 0.1), x1, near, depth=24)
    # Identical and opposite inputs are known to be; where inputs have long parted, all is right.
    assert max(errors("sine", (8.0, 0.1), x1, x2[[0, -1]], depth=24)) < right
    assert max(errors("sine", (25.0, 0.1), x1, near[:2], depth=24)) < right


def nearly(rng, angle):
    """A vector of a length drawn, and itself turned, in float32."""
    x, across = rng.standard_normal((2, 6))
    across -= (across @ x) / (x @ x) * x
    across *= np.linalg.norm(x) / np.linalg.norm(across)
    turned = np.cos(angle) * x + np.sin(angle) * across
    return (rng.uniform(0.3, 2) * np.stack([x, turned])[:, None]).astype(np.float32)


def test_opposite_inputs_stay_so_where_layers_multiply_the_least_normal_number_beyond_1():
    x, _ = pairs(np.float32)
    kernel = DenseNTK(depth=40, activation="sine", weight_variance=25.0)
    opposite, own = np.asarray(kernel.nngp(x, np.concatenate([-x, x])))[0]
    assert opposite == -own != 0


@pytest.mark.parametrize(
    ("variances", "seeds", "angles"),
    [
        ((4.0, 0.1), range(6), (1e-8, 3e-7, 3e-6)),  # norms rounded to one number among them
        pytest.param((8.0, 0.1), range(3), (1e-8, 1e-7, 1e-6), marks=pytest.mark.sweep),
    ],
)
def test_each_near_pair_in_float32_is_right_or_refused(variances, seeds, angles):
    found = []
    for seed, angle in itertools.product(seeds, angles):
        x, y = nearly(np.random.default_rng(seed), angle)
        try:
            found += errors("sine", variances, x, y, depth=40)
        except ValueError:
            found.append(None)
    assert None in found
    assert max(error or 0 for error in found) < PROMISED[np.float32]


def test_a_depth_whose_roundings_add_up_is_refused():
    x, _ = pairs(np.float32)
    kernel = DenseNTK(depth=400, activation="erf", weight_variance=2.1)
    message = r"depth must be small enough .* 1e-05 in float32; got depth 400, which multiplies"
    with pytest.raises(ValueError, match=message):
        kernel(x)
    assert kernel(x.astype(np.float64)).shape == (1, 1)


def test_a_depth_that_overflows_is_named():
    x, _ = pairs(np.float64)
    kernel = DenseNTK(depth=400, activation="erf", weight_variance=225.0)
    with pytest.raises(ValueError, match=r"the kernel of depth 400 to be finite in float64"):
        kernel(x)


def test_a_kernel_that_underflows_is_named():
    """What deep layers with small weights leave is not 0, and a norm of squares that are lost."""
    x = np.stack([pairs(np.float32)[0][0], np.zeros(6, np.float32)])
    kernel = DenseNTK(depth=80, weight_variance=0.5)
    message = r"x1 must be large .* depth 80 .* 9\.9e-32, .* float32 .* in 1 of 2 rows, .* row 0"
    for inputs in ((x,), (x, x[1:])):
        with pytest.raises(ValueError, match=message):
            kernel(*inputs)
    with pytest.raises(ValueError, match=r"x2 must be large enough"):
        kernel(x[1:], x)
    with pytest.raises(ValueError, match=r"x must be large enough"):
        kernel.diagonal(x)
    # Blank inputs have nothing to lose, nor has what biases keep up.
    assert (np.asarray(kernel(x[1:])) == 0).all()
    assert kernel(x.astype(np.float64))[0, 0] > 0
    wide = DenseNTK(depth=3, activation="erf", weight_variance=225.0)
    with pytest.raises(ValueError, match=r"x1 must be large enough"):
        wide(x * np.float32(1e-19))


def test_a_quadrature_that_does_not_resolve_its_activation_is_refused():
    x = np.full((1, 3), 1.0)
    with pytest.raises(ValueError, match=r"Hermite coefficients at pre-activations of variance 22"):
        DenseNTK(activation=jax.numpy.tanh, weight_variance=225.0)(x)


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_variances_whose_parts_underflow_are_refused(scale):
    """GELU at depth 40 halves and quarters them to 10⁻³⁷: in float32 a tenth of it was wrong."""
    x = (scale * np.random.default_rng(1).normal(size=(ROWS, 6))).astype(np.float32)
    shallow, deep = (
        DenseNTK(depth=depth, activation="gelu", weight_variance=0.5) for depth in (40, DEPTH)
    )
    with pytest.raises(ValueError, match=r"x1 must be large enough for the kernel of depth 40"):
        shallow(x, x)
    x = x.astype(np.float64)
    assert np.isfinite(deep(x, x.copy())).all()
