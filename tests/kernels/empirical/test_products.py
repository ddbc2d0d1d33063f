"""Products with the empirical NTK: those of the matrix, in bounded memory, compiled once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.kernels.empirical import EmpiricalNTK, matrix_free_kernel
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers
from tests.helpers.peak_memory import peak_bytes
from tests.helpers.sweeps import one_in
from tests.kernels.empirical.architectures import ARCHITECTURES
from tests.kernels.empirical.small_network import N_OUT, NETWORK, OUTPUTS, PARAMS, X1, inputs


def matrix(apply_fn, params, x, outputs):
    """The kernel as a matrix; its rows are examples, or pairs of an example and an output."""
    kernel = EmpiricalNTK(apply_fn, params, outputs=outputs, method="jacobian")(x)
    if outputs != "full":
        return kernel
    return kernel.transpose(0, 2, 1, 3).reshape(len(x) * kernel.shape[2], -1)


def least_bytes(*arguments, **options):
    """The smallest bound that is not refused, as the refusal states it."""
    with pytest.raises(MemoryBudgetError) as refusal:
        matrix_free_kernel(*arguments, **options, max_memory_bytes=1)
    return int(str(refusal.value).split("max_memory_bytes=")[1])


def assert_is_the_operator_of(operator, wanted, k=3):
    vectors = inputs(len(wanted), seed=3, features=(k,))
    assert operator.shape == wanted.shape
    assert operator.dtype == wanted.dtype
    scale = np.abs(wanted).max()
    for got, expected in (
        (operator.matvec(vectors), wanted @ vectors),
        (operator.diagonal(), np.diag(wanted)),
        (operator.to_dense(), wanted),
    ):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("outputs", one_in(2, OUTPUTS))
@pytest.mark.parametrize("factor", [None, 1, 4])
def test_products_are_those_of_the_matrix(outputs, factor):
    arguments, options = (NETWORK.apply, PARAMS, X1), {"outputs": outputs}
    if factor is not None:
        options["max_memory_bytes"] = factor * least_bytes(*arguments, outputs=outputs)
    operator = matrix_free_kernel(*arguments, **options)
    n_chunks, chunk = operator.chunks.shape[:2]
    assert (n_chunks, chunk) == ((1, 9) if factor is None else (9, 1)) or factor == 4
    assert operator.gradients_held == 1 or factor != 1
    assert_is_the_operator_of(operator, matrix(*arguments, outputs))


@pytest.mark.parametrize(
    "name", ["convolutions_valid_and_strided", "transformer", "scan_over_layers", "conditional"]
)
def test_products_of_other_architectures(name):
    _, apply_fn, params, x = ARCHITECTURES[name]
    bound = 2 * least_bytes(apply_fn, params, x)
    operator = matrix_free_kernel(apply_fn, params, x, max_memory_bytes=bound)
    assert_is_the_operator_of(operator, matrix(apply_fn, params, x, "mean"))


def test_chunks_that_do_not_divide_the_inputs():
    least = least_bytes(NETWORK.apply, PARAMS, X1)
    chunks = set()
    for factor in np.linspace(1, 1.5, 11):
        operator = matrix_free_kernel(
            NETWORK.apply, PARAMS, X1, max_memory_bytes=int(factor * least)
        )
        chunks.add(operator.chunks.shape[1])
        if 9 % operator.chunks.shape[1]:
            wanted = matrix(NETWORK.apply, PARAMS, X1, "mean")
            assert_is_the_operator_of(operator, wanted)
            return
    pytest.fail(f"no bound gave chunks that leave a remainder; got {chunks}")


def test_single_precision():
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), PARAMS)
    operator = matrix_free_kernel(NETWORK.apply, params, X1.astype(np.float32))
    vectors = inputs(9, features=(3,))
    products = operator.matvec(vectors.astype(np.float32))
    assert products.dtype == operator.dtype == np.float32
    wanted = matrix(NETWORK.apply, PARAMS, X1, "mean") @ vectors
    np.testing.assert_allclose(products, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_a_second_product_compiles_nothing():
    def fresh(params, x):
        return NETWORK.apply(params, x)

    def products(params, x):
        operator = matrix_free_kernel(fresh, params, x)
        return operator.matvec(inputs(9, features=(2,))), operator.diagonal()

    others = NETWORK.init(jax.random.key(1), 5), X1 + 1
    with count_compilations() as first:
        products(PARAMS, X1)
    with count_compilations() as second:
        products(*others)
    assert len(first) > 0
    assert not second


def test_products_lower_for_accelerators():
    operator = matrix_free_kernel(
        NETWORK.apply, PARAMS, X1, max_memory_bytes=3 * least_bytes(NETWORK.apply, PARAMS, X1)
    )
    assert_lowers(lambda operator, u: (operator.matvec(u), operator.diagonal()), operator, X1)


SETUP = """
import jax.numpy as jnp
import numpy as np
from ntk_air.kernels.empirical import matrix_free_kernel
from ntk_air.networks.models.dense import DenseNetwork
network = DenseNetwork((300, 300), n_out=3)
params = network.init(jax.random.key(0), 50)
random = np.random.default_rng(0)
x, vectors = random.standard_normal((150, 50)), random.standard_normal((150, 20))
bounded, free = (
    matrix_free_kernel(network.apply, params, x, max_memory_bytes=bound)
    for bound in ({bound}, None)
)
"""


@pytest.mark.slow
def test_measured_peak_memory_stays_under_the_bound():
    bound = 12_000_000
    bounded, diagonal, free = peak_bytes(
        SETUP.format(bound=bound),
        "bounded.matvec(vectors).block_until_ready()",
        "bounded.diagonal().block_until_ready()",
        "free.matvec(vectors).block_until_ready()",
    )
    assert bound / 8 < bounded <= bound
    assert diagonal <= bound
    assert free > 2 * bound


# --- refusals ---------------------------------------------------------------------------------


def test_what_cannot_fit_is_refused():
    least = least_bytes(NETWORK.apply, PARAMS, X1)
    matrix_free_kernel(NETWORK.apply, PARAMS, X1, max_memory_bytes=least)
    with pytest.raises(MemoryBudgetError, match="a product with the empirical NTK, of one example"):
        matrix_free_kernel(NETWORK.apply, PARAMS, X1, max_memory_bytes=least - 1)


@pytest.mark.parametrize("bound", [0, -3])
def test_a_bound_must_be_positive(bound):
    with pytest.raises(ValueError, match="max_memory_bytes must be a finite number above 0"):
        matrix_free_kernel(NETWORK.apply, PARAMS, X1, max_memory_bytes=bound)


def test_vectors_of_another_shape_or_precision_are_refused():
    operator = matrix_free_kernel(NETWORK.apply, PARAMS, X1)
    with pytest.raises(ValueError, match=r"vectors must have shape \(9, k\); got shape \(8, 2\)"):
        operator.matvec(np.ones((8, 2)))
    with pytest.raises(ValueError, match="precision of the kernel, float64; got float32"):
        operator.matvec(np.ones((9, 2), np.float32))


def test_a_network_without_a_forward_derivative_is_refused():
    _, apply_fn, params, x = ARCHITECTURES["own_custom_vjp"]
    with pytest.raises(ValueError, match=r"forward mode.*reverse mode only, by jax\.custom_vjp"):
        matrix_free_kernel(apply_fn, params, x)


def test_what_the_kernel_refuses_is_refused():
    with pytest.raises(ValueError, match="apply_fn must treat each example alone"):
        matrix_free_kernel(
            lambda params, x: NETWORK.apply(params, x) - x.mean(axis=0)[:N_OUT], PARAMS, X1
        )
