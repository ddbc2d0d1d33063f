"""Any activation by quadrature: convergence, exactness on polynomials, limits, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.infinite.activations.by_name import QuadratureActivation
from tests.kernels.infinite.gaussian_reference import ACTIVATIONS, gaussian_expectation

COVARIANCES = ((1.0, 0.3, 1.0), (2.0, 1.9, 1.9), (2.0, -1.0, 0.5))


def errors(name, n_nodes):
    """The largest errors of κ and κ̇ over the covariances."""
    exact, _, _ = ACTIVATIONS[name]
    numerical = QuadratureActivation(exact, n_nodes=n_nodes, tolerance=1e9)
    q = [jnp.asarray(values) for values in np.transpose(COVARIANCES)]
    return [
        float(jnp.abs(getattr(numerical, value)(*q) - getattr(exact, value)(*q)).max())
        for value in ("kappa", "kappa_dot")
    ]


@pytest.mark.parametrize(
    ("name", "n_nodes", "accuracy"),
    [("sine", 32, 1e-13), ("gelu", 128, 1e-14), ("erf", 128, 1e-12)],
)
def test_smooth_functions_converge_to_rounding(name, n_nodes, accuracy):
    few, more, enough = (max(errors(name, n)) for n in (n_nodes // 8, n_nodes // 4, n_nodes))
    assert enough < accuracy
    assert more < few / 10
    assert enough < more / 100


def test_kinks_converge_as_a_power_only():
    """κ to 1/n_nodes or so: the closed forms are there for a reason."""
    kappa = [errors("relu", n)[0] for n in (16, 64, 256)]
    slope = np.polyfit(np.log([16, 64, 256]), np.log(kappa), 1)[0]
    assert -1.5 < slope < -0.5
    assert 1e-5 < kappa[-1] < 1e-2


def test_polynomials_are_exact():
    """φ(x) = x³ − x: κ = q12(9·q11·q22 + 6·q12² − 3·q11 − 3·q22 + 1), by Wick's theorem."""
    activation = QuadratureActivation(lambda x: x**3 - x, n_nodes=8)
    q11, q12, q22 = (np.asarray(values) for values in np.transpose(COVARIANCES))
    kappa = q12 * (9 * q11 * q22 + 6 * q12**2 - 3 * q11 - 3 * q22 + 1)
    kappa_dot = 9 * (q11 * q22 + 2 * q12**2) - 3 * (q11 + q22) + 1
    np.testing.assert_allclose(activation.kappa(q11, q12, q22), kappa, rtol=1e-12)
    np.testing.assert_allclose(activation.kappa_dot(q11, q12, q22), kappa_dot, rtol=1e-12)


def test_a_function_without_closed_form():
    activation = QuadratureActivation(jax.nn.softplus)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    for q in COVARIANCES:
        values = [jnp.asarray(value) for value in q]
        wanted = gaussian_expectation(lambda x: np.logaddexp(0, x), *q)
        np.testing.assert_allclose(activation.kappa(*values), wanted, rtol=1e-12)
        wanted = gaussian_expectation(sigmoid, *q)
        np.testing.assert_allclose(activation.kappa_dot(*values), wanted, rtol=1e-9)


def test_zero_variance_and_float32():
    activation = QuadratureActivation(lambda x: jnp.exp(-(x**2)))
    zero, one = jnp.zeros((), jnp.float32), jnp.ones((), jnp.float32)
    kappa = activation.kappa(zero, zero, one)
    assert kappa.dtype == jnp.float32
    # E[exp(−z²)] = 1/√3.
    np.testing.assert_allclose(kappa, 1 / np.sqrt(3), rtol=1e-6)


def test_what_cannot_be_integrated_is_refused():
    with pytest.raises(ValueError, match="n_nodes must be a whole number, from 2 to 4096; got 1"):
        QuadratureActivation(jnp.tanh, n_nodes=1)
    with pytest.raises(ValueError, match=r"n_nodes must be .*, from 2 to 4096; got 5000"):
        QuadratureActivation(jnp.tanh, n_nodes=5000)
    with pytest.raises(ValueError, match=r"activation must be finite .* it is not at -"):
        QuadratureActivation(jnp.log)
    with pytest.raises(ValueError, match=r"with a finite derivative at the nodes .* at 0"):
        QuadratureActivation(jnp.cbrt, n_nodes=3)
