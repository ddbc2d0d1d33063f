"""A callable is an activation, or is refused with what it breaks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.infinite.activations import callables
from ntk_air.kernels.infinite.activations.by_name import QuadratureActivation, as_activation
from ntk_air.kernels.infinite.dense import DenseNTK
from tests.helpers.sweeps import one_in


def branching(z):
    return z if z.sum() > 0 else -z


@jax.custom_jvp
def derivative_mixes(z):
    return jnp.tanh(z)


@derivative_mixes.defjvp
def _(primals, tangents):
    ((z,), (dz,)) = primals, tangents
    return jnp.tanh(z), dz * (1 - jnp.mean(jnp.tanh(z)) ** 2)


ALONE = "must work element by element; got values"
NOT_FOR_ALL = "must be JAX code that works element by element on arrays of any shape; got"
SHAPE = (
    r"must return an array of the shape and dtype of its argument, \(2, 118\) and float{}; got {}"
)
SMOOTH = "must be smooth enough for its quadrature with 128 nodes"
MOMENTS = "must have finite moments"

REFUSED = {
    "softmax": (jax.nn.softmax, ALONE),
    "softmax down": (lambda z: jax.nn.softmax(z, axis=0), ALONE),
    "standardise": (lambda z: (z - z.mean()) / z.std(), ALONE),
    "by place": (lambda z: z * jnp.arange(z.size).reshape(z.shape), ALONE),
    "dropout": (lambda z: z * jax.random.bernoulli(jax.random.key(1), 0.5, z.shape), ALONE),
    "sorted": (lambda z: jnp.sort(z, axis=None).reshape(z.shape)[::-1], ALONE),
    "derivative": (derivative_mixes, "must work element by element; got derivatives"),
    "np.tanh": (np.tanh, NOT_FOR_ALL),
    "float": (float, NOT_FOR_ALL),
    "branch": (branching, NOT_FOR_ALL),
    "two arguments": (jnp.add, NOT_FOR_ALL),
    "a sum": (jnp.sum, SHAPE.format("..", r"shape \(\)")),
    "a half": (jax.nn.glu, SHAPE.format("..", r"shape \(2, 59\)")),
    "a number": (lambda z: 1.0, SHAPE.format("..", r"shape \(\)")),
    "a pair": (lambda z: (z, z), SHAPE.format("..", "a tuple")),
    "counts": (lambda z: (z > 0).astype(int), SHAPE.format("..", r".* dtype int64")),
    "complex": (lambda z: z * 1j, SHAPE.format("..", ".* dtype complex")),
    "single": (lambda z: jnp.tanh(z).astype(jnp.float32), SHAPE.format("64", ".* float32")),
    "double": (lambda z: np.float64(2.0) * z, SHAPE.format("32", ".* float64")),
    "zero": (lambda z: 0 * z, "must not be zero"),
    "exp z²": (lambda z: jnp.exp(z**2), MOMENTS),
    "exp z²/5, infinite at variance 4": (lambda z: jnp.exp(z**2 / 5), MOMENTS),
    "step": (lambda z: jnp.heaviside(z, 0.5), SMOOTH),
    "floor": (jnp.floor, SMOOTH),
    "no derivative": (lambda z: jax.lax.stop_gradient(jnp.tanh(z)), SMOOTH),
    "kink": (jax.nn.relu, SMOOTH),
    "kink in the slope": (jax.nn.elu, SMOOTH),
    "too steep": (lambda z: jnp.tanh(10 * z), SMOOTH),
    "too fast": (lambda z: jnp.sin(20 * z), SMOOTH),
}


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_activation_is_refused(name):
    function, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"^activation {message}"):
        as_activation(function)


ACCEPTED = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "mish": jax.nn.mish,
    "exp": jnp.exp,
    "a bump": lambda z: jnp.exp(-(z**2)),
    "a cubic": lambda z: z**3 - z,
    "a constant": jnp.ones_like,
    "far from 0": lambda z: 1e6 + jnp.tanh(z),
    "tiny": lambda z: 1e-120 * jnp.tanh(z),
}


@pytest.mark.parametrize("name", one_in(3, ACCEPTED))
def test_smooth_functions_of_each_entry_are_accepted(name):
    kernel = DenseNTK(depth=2, activation=ACCEPTED[name], weight_variance=1.0)
    assert np.isfinite(np.asarray(kernel(np.eye(3)))).all()


def test_single_precision_accepts_what_double_does():
    with jax.enable_x64(False):
        for function in (jnp.tanh, jnp.exp, jax.nn.softplus, lambda z: z**3):
            QuadratureActivation(function)
        with pytest.raises(ValueError, match=SMOOTH):
            QuadratureActivation(jax.nn.relu)


def test_a_kink_is_accepted_at_a_stated_tolerance():
    relu = QuadratureActivation(jax.nn.relu, tolerance=0.2)
    exact = as_activation("relu")
    q = [jnp.asarray(value) for value in (1.0, 0.5, 1.0)]
    assert abs(float(relu.kappa_dot(*q) - exact.kappa_dot(*q))) < 0.2**2
    with pytest.raises(ValueError, match="tolerance must be a finite number above 0; got 0"):
        QuadratureActivation(jnp.tanh, tolerance=0.0)


@pytest.mark.parametrize("name", ["tanh", "softplus", "a bump", "a cubic"])
def test_coefficients_that_fit_miss_each_other_by_rounding_alone(name):
    """Stein's identity holds of the exact coefficients, so what is off is the quadrature's."""
    activation = QuadratureActivation(ACCEPTED[name], n_nodes=256)
    values, slopes = (
        np.stack(parts, axis=-1).ravel() for parts in activation._coefficients(jnp.ones(()), 256)
    )
    callables.check_smooth(values, slopes, 1e-7)
    with pytest.raises(ValueError, match="miss each other"):
        callables.check_smooth(values, 1.01 * slopes, 1e-3)
