"""Batches as large as users': the XLA of jaxlib 0.10.2 and 0.11 sums broadcast products wrongly.

JAX issue 39103. At the few examples of other tests its answers are right.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.empirical import EmpiricalNTK


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_of_broadcast_products_is_right(dtype):
    def summed(x, d):
        dots = (x[None] * d[:, None]).sum(-1)
        return dots[..., None] * x[None] + d[:, None]

    generator = np.random.default_rng(0)
    x, d = generator.standard_normal((64, 128)), generator.standard_normal((10, 128))
    got = jax.jit(summed)(x.astype(dtype), d.astype(dtype))
    np.testing.assert_allclose(got, summed(x, d), rtol=0, atol=1e4 * np.finfo(dtype).eps)


def test_layer_norm_of_a_large_batch_in_float32():
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((40, 16, 32))
    weights = {
        "first": generator.standard_normal((32, 128)) / 6,
        "last": generator.standard_normal((128, 10)) / 8,
    }

    def network(params, x):
        x = x @ params["first"]
        centred = x - x.mean(-1, keepdims=True)
        x = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return x.mean(1) @ params["last"]

    def kernel(dtype, method):
        params = {name: jnp.asarray(weight, dtype) for name, weight in weights.items()}
        return EmpiricalNTK(network, params, method=method)(jnp.asarray(inputs, dtype))

    wanted = kernel(np.float64, "jacobian")
    got = kernel(np.float32, "layerwise")
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-6 * wanted.max())
