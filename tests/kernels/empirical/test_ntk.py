"""The empirical NTK against explicit Jacobians and finite differences, of any model."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from ntk_air.kernels.empirical import EmpiricalNTK, empirical_ntk
from ntk_air.kernels.empirical.planning import METHODS
from ntk_air.kernels.gram import gram_matrix
from ntk_air.networks.models.dense import DenseNetwork
from tests.kernels.empirical.small_network import (
    N_OUT,
    NETWORK,
    OUTPUTS,
    PAIRS,
    PARAMS,
    X1,
    X2,
    inputs,
)


def reduced(full, outputs):
    """The reductions by their definitions, from Θ_cc'(x, x') of shape (n1, n2, n_out, n_out)."""
    if outputs == "full":
        return full
    if outputs == "mean":
        return np.trace(full, axis1=2, axis2=3) / full.shape[2]
    return full.sum(axis=(2, 3)) if outputs == "logit_sum" else full[:, :, outputs, outputs]


def explicit_ntk(apply_fn, params, x1, x2=None):
    """Θ_cc' from the Jacobian of the whole batch, forward mode."""

    def jacobian(x):
        flat, unravel = ravel_pytree(params)
        return np.asarray(jax.jacfwd(lambda flat: apply_fn(unravel(flat), x))(flat))

    return np.einsum("icp,jdp->ijcd", jacobian(x1), jacobian(x1 if x2 is None else x2))


def differences_ntk(apply_fn, params, x1, x2=None, *, step=1e-6):
    """Θ_cc' from central differences, parameter by parameter: no automatic derivative."""
    flat, unravel = ravel_pytree(params)

    def jacobian(x):
        columns = [
            (apply_fn(unravel(flat + shift), x) - apply_fn(unravel(flat - shift), x)) / (2 * step)
            for shift in step * np.eye(len(flat))
        ]
        return np.stack([np.asarray(column) for column in columns], axis=-1)

    return np.einsum("icp,jdp->ijcd", jacobian(x1), jacobian(x1 if x2 is None else x2))


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_it_is_the_product_of_explicit_jacobians(method, pair, outputs):
    x1, x2 = PAIRS[pair]
    wanted = reduced(explicit_ntk(NETWORK.apply, PARAMS, x1, x2), outputs)
    kernel = EmpiricalNTK(NETWORK.apply, PARAMS, outputs=outputs, method=method)(x1, x2)
    assert isinstance(kernel, np.ndarray)
    assert kernel.dtype == np.float64
    np.testing.assert_allclose(kernel, wanted, rtol=0, atol=1e-13 * np.abs(wanted).max())


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_it_is_the_product_of_finite_differences(outputs):
    network = DenseNetwork((4,), n_out=N_OUT, activation="identity", bias_variance=0.2)

    def smooth(params, x):
        return jnp.tanh(network.apply(params, x))

    params = network.init(jax.random.key(2), 5)
    wanted = reduced(differences_ntk(smooth, params, X1, X2), outputs)
    kernel = empirical_ntk(smooth, params, X1, X2, outputs=outputs)
    np.testing.assert_allclose(kernel, wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_it_is_symmetric_in_every_bit_and_positive(outputs):
    kernel = empirical_ntk(NETWORK.apply, PARAMS, X1, outputs=outputs)
    if outputs == "full":
        kernel = kernel.transpose(0, 2, 1, 3).reshape(27, 27)
    np.testing.assert_array_equal(kernel, kernel.T)
    eigenvalues = np.linalg.eigvalsh(kernel)
    assert eigenvalues[0] > -1e-13 * eigenvalues[-1]


@pytest.mark.parametrize("outputs", ["mean", "full"])
def test_the_same_inputs_as_x2_give_the_same_kernel(outputs):
    kernels = [
        empirical_ntk(NETWORK.apply, PARAMS, X1, x2, outputs=outputs) for x2 in (None, X1.copy())
    ]
    np.testing.assert_allclose(*kernels, rtol=1e-12, atol=1e-12)


def test_swapping_the_inputs_transposes_the_kernel():
    forth = empirical_ntk(NETWORK.apply, PARAMS, X1, X2, outputs="full")
    back = empirical_ntk(NETWORK.apply, PARAMS, X2, X1, outputs="full")
    np.testing.assert_allclose(forth, back.transpose(1, 0, 3, 2), rtol=1e-12, atol=1e-13)


def test_permuting_inputs_permutes_the_kernel():
    order = np.random.default_rng(5).permutation(9)
    kernel = empirical_ntk(NETWORK.apply, PARAMS, X1)
    permuted = empirical_ntk(NETWORK.apply, PARAMS, X1[order])
    np.testing.assert_allclose(permuted, kernel[np.ix_(order, order)], rtol=1e-12)


def test_rotating_inputs_and_first_weights_changes_nothing():
    rotation, _ = np.linalg.qr(inputs(5, seed=6))
    first = PARAMS[0] | {"weight": rotation.T @ PARAMS[0]["weight"]}
    kernel = empirical_ntk(NETWORK.apply, PARAMS, X1)
    rotated = empirical_ntk(NETWORK.apply, (first, *PARAMS[1:]), X1 @ rotation)
    np.testing.assert_allclose(rotated, kernel, rtol=1e-12)


def test_single_precision_agrees_with_double():
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), PARAMS)
    kernel = empirical_ntk(NETWORK.apply, params, X1.astype(np.float32))
    assert kernel.dtype == np.float32
    np.testing.assert_allclose(kernel, empirical_ntk(NETWORK.apply, PARAMS, X1), rtol=1e-5)


# --- any model --------------------------------------------------------------------------------


def test_images_and_nested_parameters():
    def apply_fn(params, x):
        hidden = jax.lax.conv(x, params["conv"]["filters"], (1, 1), "SAME")
        hidden = jnp.tanh(hidden).mean(axis=(2, 3))
        return hidden @ params["head"][0] + params["head"][1]

    params = {
        "conv": {"filters": inputs(4, features=(2, 3, 3))},
        "head": [inputs(4, seed=2, features=(3,)), inputs(3, seed=3, features=())],
    }
    x = inputs(5, features=(2, 6, 6))
    wanted = explicit_ntk(apply_fn, jax.tree.map(jnp.asarray, params), x)
    np.testing.assert_allclose(
        empirical_ntk(apply_fn, params, x, outputs="full"), wanted, rtol=1e-11, atol=1e-11
    )


def test_leaves_that_are_not_floating_point_are_held_fixed():
    params = {"net": PARAMS, "step": jnp.asarray(3), "on": np.True_, "name": "tanh", "rate": None}

    def apply_fn(params, x):
        scale = params["step"].astype(x.dtype) * jnp.where(params["on"], 1.0, 2.0)
        return scale.astype(x.dtype) * getattr(jnp, params["name"])(NETWORK.apply(params["net"], x))

    def tripled(params, x):
        return 3 * jnp.tanh(NETWORK.apply(params, x))

    np.testing.assert_allclose(
        empirical_ntk(apply_fn, params, X1), empirical_ntk(tripled, PARAMS, X1), rtol=1e-12
    )


def test_arrays_inside_the_model_are_held_fixed():
    class Scaled(eqx.Module):
        scale: np.ndarray

        def __call__(self, params, x):
            return self.scale * NETWORK.apply(params, x)

    kernel = empirical_ntk(Scaled(np.full(N_OUT, 2.0)), PARAMS, X1)
    np.testing.assert_allclose(kernel, 4 * empirical_ntk(NETWORK.apply, PARAMS, X1), rtol=1e-12)


def test_the_kernel_object_is_the_function():
    kernel = EmpiricalNTK(NETWORK.apply, PARAMS, "logit_sum")
    wanted = empirical_ntk(NETWORK.apply, PARAMS, X1, X2, outputs="logit_sum")
    np.testing.assert_array_equal(kernel(X1, X2), wanted)
    np.testing.assert_array_equal(gram_matrix(kernel, X1, X2), wanted)
    np.testing.assert_array_equal(
        EmpiricalNTK(NETWORK.apply, PARAMS)(X1), empirical_ntk(NETWORK.apply, PARAMS, X1)
    )


# --- as a function --------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("x2", [None, X2], ids=["one batch", "two"])
def test_a_function_of_parameters_is_the_kernel_at_these(outputs, x2):
    """At other parameters than those it was made with, and under ``jax.jit``."""
    other = jax.tree.map(lambda leaf: 1.1 * leaf - 0.05, PARAMS)
    function = jax.jit(EmpiricalNTK(NETWORK.apply, PARAMS, outputs).as_function(X1, x2))
    expected = reduced(explicit_ntk(NETWORK.apply, other, X1, x2), outputs)
    np.testing.assert_allclose(function(other, X1, x2), expected, rtol=1e-10, atol=1e-12)


def test_gradients_and_maps_pass_through_a_function():
    function = EmpiricalNTK(NETWORK.apply, PARAMS).as_function(X1)

    def trace(shift):
        return jnp.trace(function(jax.tree.map(lambda leaf: leaf + shift, PARAMS), X1))

    slope = (trace(1e-5) - trace(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(trace)(0.0), slope, rtol=1e-7)
    shifts = jnp.array([0.0, 0.3])
    np.testing.assert_allclose(
        jax.vmap(trace)(shifts), [trace(float(shift)) for shift in shifts], rtol=1e-12
    )


def test_what_takes_tiles_is_no_function():
    rows = inputs(40, seed=5)
    kernel = EmpiricalNTK(NETWORK.apply, PARAMS)
    with pytest.raises(ValueError, match=r"must fit in one tile.*got \(40, 40\) rows: evaluate"):
        kernel.as_function(rows, max_memory_bytes=40 * 40 * 8 + 30_000)
    with pytest.raises(ValueError, match=r"one tile, here of \d rows; got \(40, 2\) rows"):
        kernel.as_function(rows, rows[:2], max_memory_bytes=40 * 2 * 8 + 12_000)
    mixing = EmpiricalNTK(lambda params, x: NETWORK.apply(params, x - jnp.mean(x, 0)), PARAMS)
    with pytest.raises(ValueError, match="must treat each example"):
        mixing.as_function(X1)
