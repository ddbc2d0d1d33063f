"""Element-wise functions against NumPy's, at the edges and in their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.infinite.elementwise import arctan, arctan_unit, safe_divide, safe_sqrt

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@every_dtype
def test_arctan_is_accurate_relative_to_its_size(dtype):
    positive = np.concatenate([np.logspace(-30, 30, 4001), np.linspace(0.01, 3, 4001)])
    x = np.concatenate([positive, -positive, [0.0, 1.0, -1.0]]).astype(dtype)
    wanted = np.arctan(x.astype(np.float64))
    rtol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(arctan(jnp.asarray(x)), wanted, rtol=rtol)
    unit = np.abs(x) <= 1
    np.testing.assert_allclose(arctan_unit(jnp.asarray(x[unit])), wanted[unit], rtol=rtol)


def test_the_derivative_of_arctan():
    x = jnp.asarray(np.concatenate([np.linspace(-4, 4, 801), [0.0]]))
    derivative = jax.vmap(jax.grad(arctan))(x)
    np.testing.assert_allclose(derivative, 1 / (1 + x**2), rtol=1e-12)


@every_dtype
def test_roots_and_quotients_at_zero(dtype):
    x = jnp.asarray([0.0, 4.0], dtype)
    assert safe_sqrt(x).tolist() == [0, 2]
    assert jax.vmap(jax.grad(safe_sqrt))(x).tolist() == [0, 0.25]
    # What overflows on its way must not come out as 0.
    assert jnp.isnan(safe_sqrt(jnp.asarray(jnp.nan, dtype)))
    one = jnp.ones((), dtype)
    assert safe_divide(one, x).tolist() == [0, 0.25]
    assert jax.vmap(jax.grad(safe_divide, argnums=1), (None, 0))(one, x).tolist() == [0, -0.0625]
