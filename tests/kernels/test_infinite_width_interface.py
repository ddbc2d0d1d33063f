"""What a call promises: symmetry, precision, shapes, refusals, one compilation, any platform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.infinite_width import DenseArchitecture
from tests.compilations import count_compilations
from tests.kernels.gaussian_reference import ACTIVATIONS
from tests.lowering import assert_lowers
from tests.type_checks import without_type_checks

NAMES = ("relu", "erf", "gelu", "sine")


def inputs(n, d=5, *, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


@pytest.mark.parametrize("name", [*NAMES, jnp.tanh], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_set_gives_a_symmetric_matrix_with_the_self_kernel_as_diagonal(name, dtype):
    architecture = DenseArchitecture(depth=3, activation=name, bias_variance=0.1)
    x = inputs(67, dtype=dtype)
    x[3], x[5], x[7] = x[2], -x[2], x[2] * (1 + 3 * np.finfo(dtype).eps)
    for kernel in ("ntk", "nngp"):
        evaluate = getattr(architecture, kernel)
        matrix = np.asarray(evaluate(x))
        assert matrix.dtype == dtype
        assert (matrix == matrix.T).all()
        assert (np.diagonal(matrix) == architecture.diagonal(x, kernel=kernel)).all()
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(evaluate(x, x), matrix, rtol=0, atol=40 * eps * matrix.max())


def test_calling_it_is_the_ntk():
    x1, x2 = inputs(3), inputs(4, seed=1)
    architecture = DenseArchitecture()
    assert (architecture(x1, x2) == architecture.ntk(x1, x2)).all()
    assert architecture(x1, x2).shape == (3, 4)


def test_the_axes_behind_the_first_are_flattened():
    architecture = DenseArchitecture(depth=3)
    images = inputs(4, 24).reshape(4, 2, 4, 3)
    flat = images.reshape(4, 24)
    assert (architecture(images) == architecture(flat)).all()
    assert (architecture(images, images) == architecture(flat, flat)).all()
    assert (architecture.diagonal(images) == architecture.diagonal(flat)).all()


def test_numpy_and_jax_arrays_give_the_same():
    architecture = DenseArchitecture()
    x = inputs(4)
    assert (architecture(x) == architecture(jnp.asarray(x))).all()


def test_a_second_call_compiles_nothing():
    for activation in ("relu", jnp.tanh):
        architecture = DenseArchitecture(depth=2, activation=activation)
        equal = DenseArchitecture(depth=2, activation=activation)
        for kernel in ("ntk", "nngp"):
            x, y = (jnp.asarray(inputs(n)) for n in (5, 6))
            getattr(architecture, kernel)(x), getattr(architecture, kernel)(x, y)
            with count_compilations() as compiled:
                getattr(equal, kernel)(x + 1), getattr(equal, kernel)(x + 1, y + 1)
            assert not [*compiled][2:]  # the two additions


@pytest.mark.parametrize("name", [*ACTIVATIONS, jnp.tanh], ids=str)
def test_it_lowers_for_every_platform(name):
    activation = ACTIVATIONS[name][0] if name in ACTIVATIONS else name
    architecture = DenseArchitecture(depth=3, activation=activation, bias_variance=0.1)
    for dtype in (jnp.float32, jnp.float64):
        x1, x2 = jnp.ones((3, 4), dtype), jnp.ones((5, 4), dtype)
        assert_lowers(architecture.ntk, x1)
        assert_lowers(architecture.nngp, x1, x2)
        assert_lowers(architecture.diagonal, x1)


@pytest.mark.parametrize("name", [*NAMES, jnp.tanh], ids=str)
@pytest.mark.parametrize("shape", [(300, 400, 30), (64, 500, 200)], ids=str)
def test_tile_bytes_covers_what_the_compiler_allots(name, shape):
    n1, n2, d = shape
    architecture = DenseArchitecture(depth=4, activation=name, bias_variance=0.1)
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
    architecture = DenseArchitecture(depth=3, bias_variance=0.1)
    x = inputs(100)
    budget = 100 * 100 * 8 + 40 * 40 * 8 * 20
    tiled = gram_matrix(architecture, x, max_memory_bytes=budget)
    np.testing.assert_allclose(tiled, architecture(x), rtol=1e-14)


# --- refusals -------------------------------------------------------------------------------------


def test_inputs_that_make_no_kernel_are_refused():
    architecture = DenseArchitecture()
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
        with pytest.raises(ValueError, match="x1 must be float32 or float64; got dtype float16"):
            architecture(x.astype(np.float16))
        with pytest.raises(ValueError, match="kernel must be one of 'ntk', 'nngp'; got 'ntks'"):
            architecture.diagonal(x, kernel="ntks")  # pyright: ignore[reportArgumentType]


def test_inputs_whose_kernel_overflows_are_refused():
    x = inputs(4, dtype=np.float32)
    x[1] *= 1e20
    with pytest.raises(ValueError, match=r"x1 must be small enough .* in float32; row 1 overflows"):
        DenseArchitecture()(x)
    with pytest.raises(ValueError, match="x2 must be small enough"):
        DenseArchitecture().nngp(x[2:], x)


def test_float64_in_a_32_bit_process_is_refused():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match=r"kernel of x1, which is float64, runs in float64"):
            DenseArchitecture()(inputs(3))
        assert DenseArchitecture()(inputs(3, dtype=np.float32)).dtype == np.float32
    finally:
        jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 0}, "depth must be a whole number of weight layers, at least 1; got 0"),
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
        DenseArchitecture(**arguments)
