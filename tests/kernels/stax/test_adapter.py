"""stax kernels in the house interface: values, precision, memory, refusals; named networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.stax.adapter import StaxKernel
from ntk_air.kernels.stax.architectures import StaxNTK, stax_architecture_names
from ntk_air.kernels.stax.compat import load_neural_tangents
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers
from tests.helpers.type_checks import without_type_checks

NAMES = ("dense", "layernorm", "conv", "conv_gap", "resnet", "attention")


@pytest.fixture(scope="module")
def two_layer_kernel():
    stax = load_neural_tangents().stax
    _, _, kernel_fn = stax.serial(
        stax.Dense(1, 2**0.5, None), stax.Relu(), stax.Dense(1, 2**0.5, None)
    )
    return kernel_fn


def _rows(n, d=5, *, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def _images(n, *, dtype="float64"):
    return np.random.default_rng(3).normal(size=(n, 4, 4, 2)).astype(dtype)


def _two_layer_relu(x1, x2):
    """NTK and NNGP of a 2-layer ReLU network by arc-cosine kernels (Cho, Saul 2009)."""
    norms = np.linalg.norm(x1, axis=1)[:, None] * np.linalg.norm(x2, axis=1)
    angle = np.arccos(np.clip(x1 @ x2.T / norms, -1, 1))
    nngp = 2 * norms / x1.shape[1] * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
    return nngp + 2 * x1 @ x2.T / x1.shape[1] * (np.pi - angle) / np.pi, nngp


def test_values_are_those_of_the_closed_form(two_layer_kernel):
    x1, x2 = _rows(4), _rows(6, seed=1)
    ntk, nngp = _two_layer_relu(x1, x2)
    np.testing.assert_allclose(StaxKernel(two_layer_kernel)(x1, x2), ntk, rtol=1e-12)
    np.testing.assert_allclose(StaxKernel(two_layer_kernel, get="nngp")(x1, x2), nngp, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_precision_is_that_of_the_inputs(two_layer_kernel, dtype):
    x1, x2 = _rows(4, dtype=dtype), _rows(6, seed=1, dtype=dtype)
    kernel = StaxKernel(two_layer_kernel)
    for first, second in ((x1, x2), (jnp.asarray(x1), jnp.asarray(x2))):
        values = kernel(first, second)
        assert values.dtype == dtype
        expected, _ = _two_layer_relu(np.float64(x1), np.float64(x2))
        error = np.abs(np.asarray(values) - expected).max() / np.abs(expected).max()
        assert error < 10 * np.finfo(dtype).eps


def test_one_batch_stands_for_two(two_layer_kernel):
    x = _rows(4)
    kernel = StaxKernel(two_layer_kernel)
    own = kernel(x)
    # √ε: what neural-tangents' diagonal is good to.
    np.testing.assert_allclose(own, kernel(x, x), rtol=1e-7)
    np.testing.assert_allclose(own, own.T, rtol=1e-14)


def test_its_layers_need_no_promotion_of_the_caller_and_give_no_warning():
    """Under strict promotion, as all tests: ``RectifiedMonomial`` mixes booleans and floats."""
    stax = load_neural_tangents().stax
    _, _, kernel_fn = stax.serial(
        stax.FanOut(2),
        stax.parallel(stax.Dense(1), stax.Dense(1)),
        stax.FanInSum(),
        stax.RectifiedMonomial(1),
        stax.Dense(1),
    )
    with pytest.raises(Exception, match="promotion"), pytest.warns(UserWarning, match="FanIn"):
        kernel_fn(_rows(2), None, "ntk")
    # Two independent layers, added: the variance doubles.
    np.testing.assert_allclose(
        StaxKernel(kernel_fn)(_rows(2), _rows(3, seed=1)),
        _two_layer_relu(_rows(2), _rows(3, seed=1))[0] / 2,
        rtol=1e-12,
    )


def test_it_lowers_and_compiles_once(two_layer_kernel):
    kernel = StaxKernel(two_layer_kernel)
    assert_lowers(kernel, _rows(4), _rows(3))
    kernel(_rows(4))
    with count_compilations() as compiled:
        kernel(_rows(4, seed=2))
        StaxKernel(two_layer_kernel)(_rows(4, seed=3))
    assert not compiled


def test_gram_matrix_in_tiles():
    kernel, x = StaxNTK("conv_gap"), _images(5)
    whole = np.asarray(kernel(x))
    reports = []
    # The result is 200 bytes; one array between all pixels of all pairs is 51,200.
    tiled = gram_matrix(
        kernel, x, max_memory_bytes=150_000, progress=lambda *report: reports.append(report)
    )
    np.testing.assert_allclose(tiled, whole, rtol=1e-7)
    assert (tiled == tiled.T).all()
    assert len(reports) > 1
    assert reports[-1] == ("stax kernel", len(reports), len(reports))
    cross = gram_matrix(kernel, x, x[:3] + 1)
    np.testing.assert_allclose(cross, kernel(x, x[:3] + 1), rtol=1e-12)
    with pytest.raises(MemoryBudgetError, match="the kernel of a stax network of 5 × 5 inputs"):
        gram_matrix(kernel, x, max_memory_bytes=1000)


# --- Refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x1", "x2", "message"),
    [
        (np.ones(3), None, r"x1 must have shape \(n, \*features\)"),
        (np.ones((0, 3)), None, "x1 must not be empty"),
        (np.ones((2, 3), int), None, "x1 must be a floating-point array"),
        (
            np.ones((2, 3), np.float16),
            None,
            "x1 must be a floating-point array .float32 or float64.; got dtype float16",
        ),
        (np.array([[1.0], [np.nan]]), None, "x1 must be finite; got NaN or infinity in 1 rows: 1"),
        (np.ones((2, 3)), np.full((2, 3), np.inf), "x2 must be finite"),
        (np.ones((2, 3)), np.ones((2, 4)), "x1 and x2 must have the same features"),
        (np.ones((2, 3)), np.ones((2, 3), np.float32), "x1 and x2 must have the same dtype"),
    ],
)
def test_bad_inputs(two_layer_kernel, x1, x2, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        StaxKernel(two_layer_kernel)(x1, x2)


def test_double_precision_needs_64_bits(two_layer_kernel):
    with jax.enable_x64(False):
        with pytest.raises(ValueError, match="x1, which is float64, runs in float64 and JAX is"):
            StaxKernel(two_layer_kernel)(_rows(2))
        assert StaxKernel(two_layer_kernel)(_rows(2, dtype="float32")).dtype == "float32"


def test_bad_kernel_functions(two_layer_kernel):
    stax = load_neural_tangents().stax
    triple = stax.serial(stax.Conv(1, (2, 2)), stax.Relu())
    with without_type_checks(), pytest.raises(ValueError, match="kernel_fn must be a function"):
        StaxKernel(triple)
    with without_type_checks(), pytest.raises(ValueError, match="get must be one of 'ntk', 'nngp'"):
        StaxKernel(two_layer_kernel, get="both")
    with pytest.raises(ValueError, match=r"one number per pair of inputs, shape \(2, 2\)"):
        StaxKernel(triple[2])(_images(2))


# --- Named networks ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_named_networks(name):
    kernel, x = StaxNTK(name), _images(4)
    values = np.asarray(kernel(x))
    np.testing.assert_allclose(values, values.T, rtol=1e-12)
    assert np.linalg.eigvalsh(values).min() > 1e-3 * np.linalg.eigvalsh(values).max()
    assert not np.allclose(values, StaxNTK(name, depth=4)(x))


def test_all_names_are_listed():
    assert tuple(sorted(stax_architecture_names())) == tuple(sorted(NAMES))
    assert all(text.endswith(".") for text in stax_architecture_names().values())


@pytest.mark.parametrize("get", ["ntk", "nngp"])
def test_the_dense_network_is_the_closed_form(get):
    x1, x2 = _rows(4), _rows(3, seed=1)
    options = {"depth": 4, "weight_variance": 1.7, "bias_variance": 0.3}
    closed_form = getattr(DenseNTK(**options), get)(x1, x2)
    found = StaxNTK("dense", get=get, **options)(x1, x2)
    np.testing.assert_allclose(found, closed_form, rtol=1e-12)


def test_the_conv_network_on_one_pixel_is_dense():
    """Around it are zeros: a ninth of each filter sees something."""
    x1, x2 = _rows(4), _rows(3, seed=1)
    pixels = [x[:, None, None, :] for x in (x1, x2)]
    found = StaxNTK("conv", depth=1, weight_variance=2.0 * 9)(*pixels)
    # The last layer is dense in any case, of 9 times the variance here.
    np.testing.assert_allclose(found, 9 * _two_layer_relu(x1, x2)[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "invariant"), [("conv_gap", True), ("resnet", True), ("conv", False)]
)
def test_pooling_ignores_where_something_is(name, invariant):
    """One bright pixel, so far inside that all convolutions see zeros around it."""
    images, moved = np.zeros((2, 3, 9, 9, 2))
    images[:, 4, 4] = moved[:, 4, 5] = _rows(3, 2)
    kernel = StaxNTK(name, depth=1)
    assert np.allclose(kernel(images, moved), kernel(images, images), rtol=1e-7) == invariant


def test_attention_ignores_the_order_of_positions():
    images = _images(3)
    kernel = StaxNTK("attention")
    np.testing.assert_allclose(
        kernel(images, np.roll(images, 1, axis=1)), kernel(images), rtol=1e-7
    )


@pytest.mark.parametrize(
    ("name", "shape", "layout"),
    [
        ("conv", (2, 4), r"\(n, height, width, channels\); got shape \(2, 4\)"),
        ("resnet", (2, 4, 4), r"\(n, height, width, channels\)"),
        ("conv_gap", (2, 4, 4, 4, 1), r"\(n, height, width, channels\)"),
        ("attention", (2, 4), r"\(n, length, channels\) or \(n, height, width, channels\)"),
    ],
)
def test_inputs_of_a_wrong_layout(name, shape, layout):
    with pytest.raises(ValueError, match=f"x1 must have shape {layout}"):
        StaxNTK(name)(np.ones(shape))
    with pytest.raises(ValueError, match=f"x1 must have shape {layout}"):
        gram_matrix(StaxNTK(name), np.ones(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "vgg"}, "name must be one of 'dense', 'layernorm', 'conv'.*got 'vgg'"),
        ({"name": "dense", "depth": 0}, "depth must be a whole number, at least 1; got 0"),
        ({"name": "dense", "depth": 1.5}, "depth must be a whole number"),
        ({"name": "dense", "weight_variance": 0.0}, "weight_variance must be a finite number"),
        ({"name": "dense", "bias_variance": -1.0}, "bias_variance must be a finite number"),
        ({"name": "dense", "get": "cov"}, "get must be one of"),
    ],
)
def test_bad_options(options, message):
    with without_type_checks(), pytest.raises(ValueError, match=message):
        StaxNTK(**options)
