"""Indices out of range: methods agree, or the network is refused with the reason."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.empirical import EmpiricalNTK, empirical_ntk, matrix_free_kernel

TABLE = {"embedding": np.random.default_rng(0).normal(size=(10, 4))}
TOKENS = np.array([[0.0, 3, 5], [2, 2, 1], [9, 4, 6], [1, 1, 7]])
METHODS = ("layerwise", "jacobian", "ntk_vector_products")


def of_tokens(read):
    def apply_fn(params, x):
        return jnp.tanh(read(params["embedding"], x.astype(jnp.int32))).sum(1)

    return apply_fn


by_index = of_tokens(lambda table, tokens: table[tokens])


def beyond(row):
    tokens = TOKENS.copy()
    tokens[row, 1] = 50
    return tokens


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("row", range(4))
def test_a_token_beyond_the_table_is_refused_wherever_it_stands(method, row):
    kernel = EmpiricalNTK(by_index, TABLE, method=method)
    for x1, x2 in ((beyond(row), None), (TOKENS, beyond(row)), (beyond(row), TOKENS)):
        with pytest.raises(ValueError, match=r"one derivative, forward and reverse.*index out of"):
            kernel(x1, x2)
    with pytest.raises(ValueError, match=r"one derivative, forward and reverse.*index out of"):
        matrix_free_kernel(by_index, TABLE, beyond(row))


def test_it_is_found_in_any_tile():
    tokens = np.random.default_rng(1).integers(0, 10, (70, 3)).astype(float)
    kernel = EmpiricalNTK(by_index, TABLE, method="jacobian")
    bound = 70 * 70 * 8 + 60_000
    assert kernel.plan(tokens, max_memory_bytes=bound).tile < 70
    kernel.evaluate(tokens, max_memory_bytes=bound)
    tokens[68, 2] = 10
    with pytest.raises(ValueError, match="one derivative"):
        kernel.evaluate(tokens, max_memory_bytes=bound)


@pytest.mark.parametrize("mode", ["clip", "wrap"])
def test_where_a_network_says_what_it_reads_methods_agree(mode):
    """A stated mode holds both ways, so that the kernel is that of the token it stands for."""
    stated = of_tokens(lambda table, tokens: jnp.take(table, tokens, axis=0, mode=mode))
    meant = beyond(1)
    meant[1, 1] = 9 if mode == "clip" else 0
    wanted = empirical_ntk(by_index, TABLE, meant)
    for method in METHODS:
        found = EmpiricalNTK(stated, TABLE, method=method)(beyond(1))
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_absent_values_are_refused():
    filled = of_tokens(lambda table, tokens: jnp.take(table, tokens, axis=0, mode="fill"))
    with pytest.raises(ValueError, match="kernel must return finite values"):
        empirical_ntk(filled, TABLE, beyond(2))
