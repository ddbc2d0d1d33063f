"""What convolutional kernels promise: memory, tiles, compilations, platforms, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers
from tests.helpers.peak_memory import peak_bytes
from tests.helpers.type_checks import without_type_checks

POOLED = ConvolutionalNTK((1, 1))


def images(n, *shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(dtype)


def test_it_lowers_for_every_platform():
    architecture = ConvolutionalNTK((2, 1), bias_variance=0.1)
    x1, x2 = jnp.ones((3, 4, 4, 2)), jnp.ones((5, 4, 4, 2))
    assert_lowers(architecture.ntk, x1)
    assert_lowers(architecture.nngp, x1.astype(np.float32), x2.astype(np.float32))
    assert_lowers(architecture.diagonal, x1)


def test_neither_a_second_call_nor_other_variances_compile_anything():
    x1, x2, y1, y2 = (jnp.asarray(images(n, 4, 4, 2, seed=n)) for n in (3, 5, 3, 5))
    first = ConvolutionalNTK((1, 1), bias_variance=0.1)
    _ = first(x1), first(x1, x2), first.diagonal(x1)
    again = ConvolutionalNTK([1, 1], bias_variance=0.1)
    other = ConvolutionalNTK((1, 1), bias_variance=0.2, weight_variance=1.5)
    with count_compilations() as compiled:
        for architecture in (again, other):
            _ = architecture(y1), architecture(y1, y2), architecture.diagonal(y1)
    assert not compiled
    with count_compilations() as compiled:
        ConvolutionalNTK((1,))(y1, y2)
    assert compiled


def test_more_pairs_than_are_computed_at_once():
    """Full blocks, one that is filled up, and the row that needs none above the diagonal."""
    x = images(67, 2, 2, 1)
    architecture = ConvolutionalNTK((1,))
    matrix = np.asarray(architecture(x))
    one_by_one = [np.asarray(architecture(x[[i]], x[[j]]))[0, 0] for i, j in ((0, 66), (65, 66))]
    np.testing.assert_allclose([matrix[0, 66], matrix[65, 66]], one_by_one, rtol=1e-14)
    np.testing.assert_allclose(architecture(x, x), matrix, rtol=0, atol=1e-14 * matrix.max())
    tiled = gram_matrix(architecture, x, max_memory_bytes=2_000_000)
    np.testing.assert_allclose(tiled, matrix, rtol=0, atol=1e-14 * matrix.max())
    assert (tiled == tiled.T).all()


@pytest.mark.slow
def test_tile_bytes_covers_what_a_call_takes():
    sizes = (16, 24)
    setup = """
        import numpy as np
        from ntk_air.kernels.infinite.convolutional import ConvolutionalNTK
        x1, x2 = (np.random.default_rng(0).standard_normal((n, 8, 8, 3)) for n in (16, 24))
        pooled = ConvolutionalNTK((1, 1))
        smooth = ConvolutionalNTK((1,), activation="erf", bias_variance=0.1)
    """
    measured = peak_bytes(setup, "pooled(x1, x2)", "smooth(x1, x2)")
    shapes = [jax.ShapeDtypeStruct((n, 8, 8, 3), jnp.float64) for n in sizes]
    pooled = ConvolutionalNTK((1, 1))
    smooth = ConvolutionalNTK((1,), activation="erf", bias_variance=0.1)
    for architecture, peak in zip((pooled, smooth), measured, strict=True):
        stated = architecture.tile_bytes(*shapes)
        assert peak <= stated <= 6 * peak
        halved = [jax.ShapeDtypeStruct(shape.shape, jnp.float32) for shape in shapes]
        # Half the precision: as many bytes, for twice as many pairs at once.
        assert architecture.tile_bytes(*halved) <= stated


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvolutionalNTK(()), r"at least 1 block; got \(\)"),
        (
            lambda: ConvolutionalNTK((2, 0)),
            r"blocks\[1\] must be a whole number, at least 1; got 0",
        ),
        (
            lambda: ConvolutionalNTK((1.5,)),
            r"blocks\[0\] must be a whole number, .*; got 1\.5",
        ),
        (lambda: ConvolutionalNTK(weight_variance=0), "weight_variance must be"),
        (lambda: ConvolutionalNTK(bias_variance=-1.0), "bias_variance must be"),
        (lambda: ConvolutionalNTK.myrtle(6), "depth must be one of 5, 7, 10; got 6"),
        (lambda: ConvolutionalNTK(activation="rleu"), "rleu"),
    ],
)
def test_networks_that_make_no_sense_are_refused(make, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        make()


def test_inputs_that_make_no_kernel_are_refused():
    x = images(3, 4, 4, 2)
    with pytest.raises(ValueError, match=r"x1 must have a height and a width .* got 4 × 5"):
        POOLED(images(3, 4, 5, 2))
    with (
        without_type_checks(),
        pytest.raises(ValueError, match=r"x1 and x2 must have the same features; .*\(4, 4, 2\)"),
    ):
        POOLED(x, images(3, 4, 4, 1))
    with pytest.raises(ValueError, match=r"x1 and x2 must have the same dtype; got float64 and"):
        POOLED(x, x.astype(np.float32))
    with pytest.raises(ValueError, match="x2 must not be empty"):
        POOLED(x, x[:0])
    broken = x.copy()
    broken[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"x1 must be finite; .* in 1 rows: 2"):
        POOLED.nngp(broken)
    with pytest.raises(ValueError, match="x must be finite"):
        POOLED.diagonal(broken)
    with pytest.raises(ValueError, match=r"x1 must be small enough .* overflow in 1 of 3 rows"):
        POOLED(np.concatenate([x[:2], 1e160 * x[2:]]))
    with without_type_checks():
        with pytest.raises(ValueError, match=r"x1 must be images of shape .* got shape \(3, 32\)"):
            POOLED(x.reshape(3, -1))
        with pytest.raises(ValueError, match=r"x1 must be .*float32.*; got dtype float16"):
            POOLED(x.astype(np.float16))
        with pytest.raises(ValueError, match=r"x1 must be a floating-point array .* got dtype int"):
            POOLED(x.astype(int))
        with pytest.raises(ValueError, match="kernel must be one of 'ntk', 'nngp'; got 'ntks'"):
            POOLED.diagonal(x, kernel="ntks")  # pyright: ignore[reportArgumentType]
