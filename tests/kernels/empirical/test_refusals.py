"""What the empirical NTK refuses, before any work starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.empirical import empirical_ntk
from tests.helpers.type_checks import without_type_checks
from tests.kernels.empirical.small_network import NETWORK, PARAMS, X1, X2


def spoiled(x, row):
    x = x.copy()
    x[row, 0] = np.nan
    return x


def nan_bias():
    return (PARAMS[0] | {"bias": PARAMS[0]["bias"].at[1].set(jnp.nan)}, *PARAMS[1:])


def as_single(tree):
    return jax.tree.map(lambda leaf: leaf.astype(np.float32), tree)


@pytest.mark.parametrize(
    ("params", "x1", "x2", "message"),
    [
        (PARAMS, spoiled(X1, 5), None, r"x1 must be finite; got NaN or infinity in 1 rows: 5"),
        (PARAMS, X1, spoiled(X2, 3), r"x2 must be finite; got NaN or infinity in 1 rows: 3"),
        (PARAMS, X1[:0], None, r"x1 must not be empty; got shape \(0, 5\)"),
        (PARAMS, X1, X2[:, :3], r"x1 and x2 .* same features; got shapes \(5,\) and \(3,\)"),
        (PARAMS, X1, as_single(X2), "x1 and x2 .* same dtype; got float64 and float32"),
        (as_single(PARAMS), X1, None, r"params\[0\]\['bias'\] .* inputs, float64; got float32"),
        (PARAMS, as_single(X1), None, r"params\[0\]\['bias'\] .* inputs, float32; got float64"),
        (nan_bias(), X1, None, r"params\[0\]\['bias'\] must be finite; got NaN or infinity"),
        ({"scale": 0.5}, X1, None, r"params\['scale'\] must be an array.* got the number 0\.5"),
        ({"step": np.arange(3)}, X1, None, "at least one floating-point array; got none"),
    ],
)
def test_bad_inputs_and_parameters_are_refused(params, x1, x2, message):
    def never(params, x):
        raise AssertionError("the network was called")

    with pytest.raises(ValueError, match=message):
        empirical_ntk(never, params, x1, x2)


def test_integer_inputs_are_refused():
    refusal = pytest.raises(ValueError, match=r"x1 must be a floating-point array.*got dtype int64")
    with refusal, without_type_checks():
        empirical_ntk(NETWORK.apply, PARAMS, np.ones((3, 5), int))


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda y: y[:, 0], r"shape \(1,\) for a batch of 1"),
        (lambda y: y[0], r"shape \(3,\) for a batch of 1"),
        (lambda y: y.mean(axis=0, keepdims=True), r"shape \(1, 3\) for a batch of 2"),
        (lambda y: y[:, :, None], r"shape \(1, 3, 1\) for a batch of 1"),
        (lambda y: y[:, :0], r"shape \(1, 0\) for a batch of 1"),
        (lambda y: (y, y), "a tuple for a batch of 1"),
    ],
)
def test_a_model_of_another_shape_is_refused(change, got):
    message = rf"apply_fn\(params, x\) must return one array of shape \(n, n_out\); got {got}"
    with pytest.raises(ValueError, match=message):
        empirical_ntk(lambda params, x: change(NETWORK.apply(params, x)), PARAMS, X1)


def test_a_model_that_changes_the_precision_is_refused():
    with pytest.raises(ValueError, match="precision of its arguments, float64; got float32"):
        empirical_ntk(lambda params, x: NETWORK.apply(params, x).astype(jnp.float32), PARAMS, X1)


@pytest.mark.parametrize("outputs", ["sum", -1, 3, True, 1.0])
def test_unknown_outputs_are_refused(outputs):
    refusal = pytest.raises(
        ValueError, match=rf"outputs must be .* one of the network's 3 outputs; got {outputs!r}"
    )
    with refusal, without_type_checks():
        empirical_ntk(NETWORK.apply, PARAMS, X1, outputs=outputs)


@pytest.mark.parametrize("bound", [0, -5])
def test_a_bound_must_be_positive(bound):
    with pytest.raises(ValueError, match="max_memory_bytes must be a finite number above 0"):
        empirical_ntk(NETWORK.apply, PARAMS, X1, max_memory_bytes=bound)
