"""Convolutional kernels of infinite width against their definition and neural-tangents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.stax.compat import load_neural_tangents
from tests.kernels.infinite.convolutional_reference import (
    convolutional_kernels,
    erf_dual,
    relu_dual,
)

DUALS = {"relu": relu_dual, "erf": erf_dual}

BIAS_VARIANCE = 0.3


def images(n, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal((n, *shape))


def hard_images(n, height, width):
    """Among others: a blank one, a flat one, a half of another, twice another, its negative."""
    x = images(n, height, width, 2)
    x[1] = 0
    x[2] = [1.0, 2.0]
    x[3, : height // 2] = 0
    x[3, height // 2 :] = x[0, height // 2 :]
    x[4], x[5] = 2 * x[0], -x[0]
    return x


def scaled_error(measured, wanted, diagonal):
    """The largest error as a share of √(K(x, x)·K(x', x')); where that is 0, so must K be."""
    norms = np.sqrt(diagonal)
    scale = np.where(np.outer(norms, norms) > 0, np.outer(norms, norms), 1)
    return float(np.max(np.abs(np.asarray(measured) - wanted) / scale[: len(measured)]))


def architecture(blocks, name, bias_variance):
    return ConvolutionalNTK(
        blocks, activation=name, weight_variance=1.8, bias_variance=bias_variance
    )


def reference(x, blocks, name, bias_variance):
    return convolutional_kernels(
        x,
        blocks=blocks,
        dual=DUALS[name],
        weight_variance=1.8,
        bias_variance=bias_variance,
    )


@pytest.mark.parametrize(
    ("blocks", "size", "name", "bias_variance"),
    [
        ((2,), (3, 5), "erf", 0.0),
        ((1, 2), (4, 6), "relu", 0.0),
        ((2, 1, 1), (4, 8), "relu", BIAS_VARIANCE),
    ],
)
def test_it_is_the_recursion_over_positions(blocks, size, name, bias_variance):
    x = hard_images(7, *size)
    ntk, _ = reference(x, blocks, name, bias_variance)
    kernel = architecture(blocks, name, bias_variance)
    single = [(np.float32, 5e-6)] if name == "relu" else []
    for dtype, tolerance in ((np.float64, 1e-13), *single):
        measured = np.asarray(kernel(x.astype(dtype)))
        assert measured.dtype == dtype
        # Where equal or opposite patches meet, in one pair of positions of height · width, the
        # reference or we know their angle to the root of a rounding.
        at_cusp = np.sqrt(np.finfo(dtype).eps) / (size[0] * size[1]) if name == "relu" else 0
        assert scaled_error(measured, ntk, np.diag(ntk)) < tolerance + at_cusp
        # No two patches of images 0 and 6 have anything to do with each other.
        assert abs(measured[0, 6] / ntk[0, 6] - 1) < 20 * np.finfo(dtype).eps


def test_it_agrees_with_neural_tangents(standard_promotion):
    stax = load_neural_tangents().stax
    w_std, b_std = 1.8**0.5, BIAS_VARIANCE**0.5
    layers = []
    for n_convolutions in (1, 2):
        convolution = stax.Conv(1, (3, 3), padding="SAME", W_std=w_std, b_std=b_std)
        layers += [*(convolution, stax.Relu()) * n_convolutions, stax.AvgPool((2, 2), (2, 2))]
    layers[-1:] = [stax.GlobalAvgPool(), stax.Dense(1, w_std, b_std)]
    _, _, kernel_fn = stax.serial(*layers)
    x1, x2 = images(2, 4, 8, 3), images(3, 4, 8, 3, seed=1)
    wanted = jax.jit(lambda x1, x2: kernel_fn(x1, x2, ("ntk", "nngp")))(x1, x2)
    kernel = architecture((1, 2), "relu", BIAS_VARIANCE)
    np.testing.assert_allclose(kernel(x1, x2), wanted.ntk, rtol=1e-12)
    np.testing.assert_allclose(kernel.nngp(x1, x2), wanted.nngp, rtol=1e-12)


def test_the_myrtle_family():
    assert [ConvolutionalNTK.myrtle(depth).blocks for depth in (5, 7, 10)] == [
        (2, 1, 1),
        (2, 2, 2),
        (3, 3, 3),
    ]
    assert ConvolutionalNTK.myrtle(7, activation="erf", bias_variance=0.2) == (
        ConvolutionalNTK((2, 2, 2), activation="erf", bias_variance=0.2)
    )


def test_images_of_one_pixel_make_it_a_dense_network():
    """Of nine weights one meets the pixel: a convolution has a ninth of a dense layer's scale."""
    x1, x2 = images(3, 1, 1, 4), images(5, 1, 1, 4, seed=1)
    measured = ConvolutionalNTK((2,))(x1, x2)
    wanted = np.asarray(DenseNTK(depth=3)(x1, x2)) / 9**2
    np.testing.assert_allclose(measured, wanted, rtol=1e-13)


# --- invariances ----------------------------------------------------------------------------------

POOLED = ConvolutionalNTK((1, 1))


def test_one_set_gives_a_symmetric_positive_matrix_with_the_self_kernel_as_diagonal():
    x = hard_images(7, 4, 6)
    matrix = np.asarray(POOLED(x))
    assert (matrix == matrix.T).all()
    assert (np.diagonal(matrix) == POOLED.diagonal(x)).all()
    eps = np.finfo(float).eps
    assert np.linalg.eigvalsh(matrix)[0] > -20 * eps * matrix.max()
    np.testing.assert_allclose(POOLED(x, x), matrix, rtol=0, atol=40 * eps * matrix.max())
    # A blank image has nothing in common with any other.
    assert (matrix[1] == 0).all()


def test_symmetries_of_images():
    """Mirror images, quarter turns, and rotations of the channels change nothing."""
    x1, x2 = images(3, 4, 4, 3), images(3, 4, 4, 3, seed=1)
    wanted = np.asarray(POOLED(x1, x2))
    rotation, _ = np.linalg.qr(images(3, 3, seed=2))
    for change in (
        lambda x: x[:, ::-1],
        lambda x: x[:, :, ::-1],
        lambda x: np.swapaxes(x, 1, 2),
        lambda x: x @ rotation,
    ):
        np.testing.assert_allclose(POOLED(change(x1), change(x2)), wanted, rtol=1e-12)
        # … where both undergo it; one alone is another image.
        assert not np.allclose(POOLED(x1, change(x2)), wanted, rtol=1e-3)
    order = [2, 0, 1]
    np.testing.assert_allclose(POOLED(x1[order], x2), wanted[order], rtol=1e-13)


def test_without_biases_a_relu_kernel_is_homogeneous_in_each_image():
    x1, x2 = images(3, 4, 4, 3), images(3, 4, 4, 3, seed=1)
    wanted = np.asarray(POOLED(x1, x2))
    scale1, scale2 = np.array([1e-8, 2.0, 1e5]), np.array([3.0, 1e8, 1e-3])
    measured = POOLED(scale1[:, None, None, None] * x1, scale2[:, None, None, None] * x2)
    np.testing.assert_allclose(measured, scale1[:, None] * wanted * scale2, rtol=1e-12)
    # Rounding gives an image no angle to a multiple of its own, not even behind a pooling.
    np.testing.assert_allclose(np.diagonal(POOLED(3 * x1, x1)), 3 * POOLED.diagonal(x1), rtol=1e-13)


def test_derivatives_are_finite_at_equal_blank_and_flat_images():
    x = hard_images(6, 4, 4)
    derivative = jax.jit(lambda x, change: jax.jvp(lambda x: POOLED(x, x), (x,), (change,)))
    value, change = derivative(x, images(*x.shape, seed=1))
    assert jnp.isfinite(change).all()
    # Euler: the kernel is homogeneous of degree two in both images together.
    np.testing.assert_allclose(derivative(x, x)[1].sum(), 2 * value.sum(), rtol=1e-10)
