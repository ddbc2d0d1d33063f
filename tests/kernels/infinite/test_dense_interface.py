"""What a call promises: symmetry, precision, shapes, refusals, one compilation, any platform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.infinite.dense import DenseNTK
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers
from tests.helpers.sweeps import one_in
from tests.helpers.type_checks import without_type_checks

NAMES = ("relu", "gelu")


def inputs(n, d=5, *, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


@pytest.mark.parametrize(("name", "dtype"), [("relu", np.float32), (jnp.tanh, np.float64)])
def test_one_set_gives_a_symmetric_matrix_with_the_self_kernel_as_diagonal(name, dtype):
    architecture = DenseNTK(depth=3, activation=name, bias_variance=0.1)
    x = inputs(67, dtype=dtype)
    x[3], x[5], x[7] = x[2], -x[2], x[2] * (1 + 3 * np.finfo(dtype).eps)
    matrix = np.asarray(architecture(x))
    assert matrix.dtype == dtype
    assert (matrix == matrix.T).all()
    assert (np.diagonal(matrix) == architecture.diagonal(x)).all()
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(architecture(x, x), matrix, rtol=0, atol=40 * eps * matrix.max())


def test_the_nngp_of_one_set():
    architecture = DenseNTK(depth=3, activation="sine", bias_variance=0.1)
    x = inputs(9)
    matrix = np.asarray(architecture.nngp(x))
    assert (matrix == matrix.T).all()
    assert (np.diagonal(matrix) == architecture.diagonal(x, kernel="nngp")).all()
    np.testing.assert_allclose(architecture.nngp(x, x), matrix, rtol=0, atol=1e-14)


def test_calling_it_is_the_ntk():
    x1, x2 = inputs(4), inputs(5, seed=1)
    architecture = DenseNTK()
    assert architecture(x1, x2).shape == (4, 5)
    assert (architecture(x1, x2) == architecture.ntk(x1, x2)).all()
    assert (architecture(jnp.asarray(x1), jnp.asarray(x2)) == architecture(x1, x2)).all()


def test_the_axes_behind_the_first_are_flattened():
    architecture = DenseNTK()
    images = inputs(4, 24).reshape(4, 2, 4, 3)
    flat = images.reshape(4, 24)
    assert (architecture(images) == architecture(flat)).all()
    assert (architecture(images, images) == architecture(flat, flat)).all()
    assert (architecture.diagonal(images) == architecture.diagonal(flat)).all()


def test_neither_a_second_call_nor_other_variances_compile_anything():
    x1, x2, y1, y2 = (jnp.asarray(inputs(n, seed=n)) for n in (4, 5, 4, 5))
    first = DenseNTK(bias_variance=0.1)
    _ = first(x1), first(x1, x2), first.diagonal(x1)
    again = DenseNTK(bias_variance=0.1)
    other = DenseNTK(bias_variance=0.2, weight_variance=1.5)
    with count_compilations() as compiled:
        for architecture in (again, other):
            _ = architecture(y1), architecture(y1, y2), architecture.diagonal(y1)
    assert not compiled
    with count_compilations() as compiled:
        DenseNTK(depth=1)(y1, y2)
    assert compiled


@pytest.mark.parametrize("name", ["relu", jnp.tanh], ids=["relu", "tanh"])
def test_it_lowers_for_every_platform(name):
    architecture = DenseNTK(depth=3, activation=name, bias_variance=0.1)
    for dtype in (jnp.float32, jnp.float64):
        x1, x2 = jnp.ones((3, 4), dtype), jnp.ones((5, 4), dtype)
        assert_lowers(architecture.ntk, x1)
        assert_lowers(architecture.nngp, x1, x2)
    assert_lowers(architecture.diagonal, x1)


@pytest.mark.parametrize("name", one_in(3, [*NAMES, jnp.tanh]), ids=[*NAMES, "tanh"])
def test_tile_bytes_covers_what_the_compiler_allots(name):
    n1, n2, d = 200, 400, 100
    architecture = DenseNTK(depth=4, activation=name, bias_variance=0.1)
    shapes = [jax.ShapeDtypeStruct((n, d), jnp.float64) for n in (n1, n2)]
    compiled = jax.jit(architecture.ntk).lower(*shapes).compile()
    memory = compiled.memory_analysis()
    needed = memory.temp_size_in_bytes + memory.output_size_in_bytes
    stated = architecture.tile_bytes(*shapes)
    assert needed <= stated <= 4 * needed
    # … and half in half the precision.
    halved = [jax.ShapeDtypeStruct(shape.shape, jnp.float32) for shape in shapes]
    assert architecture.tile_bytes(*halved) == stated // 2


def test_tiles_assemble_to_the_same_matrix():
    architecture = DenseNTK()
    x = inputs(100)
    budget = 100 * 100 * 8 + 50 * 50 * 8 * 14
    tiled = gram_matrix(architecture, x, max_memory_bytes=budget)
    whole = np.asarray(architecture(x))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-14 * whole.max())


# --- refusals -------------------------------------------------------------------------------------


def test_inputs_that_make_no_kernel_are_refused():
    architecture = DenseNTK()
    x = inputs(4)
    with pytest.raises(
        ValueError, match=r"x1 and x2 must have the same features; .*\(5,\).*\(3,\)"
    ):
        architecture(x, inputs(4, 3))
    with pytest.raises(ValueError, match=r"x1 and x2 must have the same dtype; got float64 and"):
        architecture(x, x.astype(np.float32))
    with pytest.raises(ValueError, match="x1 must not be empty"):
        architecture.nngp(x[:0])
    with pytest.raises(ValueError, match="x2 must not be empty"):
        architecture(x, x[:0])
    broken = x.copy()
    broken[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"x1 must be finite; .* in 1 rows: 2"):
        architecture(broken)
    with pytest.raises(ValueError, match=r"x2 must be finite; .* in 1 rows: 2"):
        architecture(x, broken)
    with pytest.raises(ValueError, match="x must be finite"):
        architecture.diagonal(broken)
    with without_type_checks():
        with pytest.raises(ValueError, match=r"x1 must be a floating-point array .* got dtype int"):
            architecture(np.ones((3, 2), int))
        with pytest.raises(ValueError, match=r"x1 must have shape .* leading batch axis"):
            architecture(x[0])
        with pytest.raises(ValueError, match=r"x1 must be .*float32.*; got dtype float16"):
            architecture(x.astype(np.float16))
        with pytest.raises(ValueError, match="kernel must be one of 'ntk', 'nngp'; got 'ntks'"):
            architecture.diagonal(x, kernel="ntks")  # pyright: ignore[reportArgumentType]


def test_inputs_whose_kernel_overflows_are_refused():
    x = inputs(4, dtype=np.float32)
    x[1] *= 1e20
    architecture = DenseNTK()
    message = r"x1 must be small enough .* in float32; got overflow in 1 of 4 .* row 1$"
    with pytest.raises(ValueError, match=message):
        architecture(x)
    with pytest.raises(ValueError, match=r"x1 and x2 must be small enough .* in 2 of 2 .* row 0$"):
        architecture(x[2:], x)
    with pytest.raises(ValueError, match=r"x must be small enough"):
        architecture.diagonal(x)


def test_float64_in_a_32_bit_process_is_refused():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match=r"kernel of x1, which is float64, runs in float64"):
            DenseNTK()(inputs(3))
        assert DenseNTK()(inputs(3, dtype=np.float32)).dtype == np.float32
    finally:
        jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 0}, "depth must be a whole number, .*; got 0"),
        ({"depth": 2.5}, "depth must be a whole number"),
        ({"weight_variance": 0.0}, "weight_variance must be a finite number above 0"),
        ({"weight_variance": float("inf")}, "weight_variance must be a finite number above 0"),
        ({"bias_variance": -0.1}, "bias_variance must be a finite number, at least 0"),
        ({"activation": "swosh"}, "activation must be one of 'relu'"),
        ({"bias_initialisation": "ones"}, "bias_initialisation must be one of 'normal', 'zeros'"),
    ],
)
def test_architectures_that_do_not_exist_are_refused(arguments, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        DenseNTK(**arguments)
