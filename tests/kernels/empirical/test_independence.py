"""Networks that mix the examples of a batch are refused, and none that does not."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.empirical import EmpiricalNTK, empirical_ntk, matrix_free_kernel
from tests.kernels.empirical.small_network import N_OUT, NETWORK, PARAMS, X1, X2

REFUSAL = r"apply_fn must treat each example alone.* got {} for a batch of 2 that differ by .*"


def refused(apply_fn, *, what="outputs", params=PARAMS, x1=X1, x2=None):
    message = REFUSAL.format(what) + "put the model in evaluation mode"
    with pytest.raises(ValueError, match=message):
        empirical_ntk(apply_fn, params, x1, x2)


def batch_norm(hidden):
    return (hidden - hidden.mean(axis=0)) / jnp.sqrt(hidden.var(axis=0) + 1e-3)


def attention_across_the_batch(hidden):
    return jax.nn.softmax(hidden @ hidden.T) @ hidden


def dropout(hidden):
    kept = jax.random.bernoulli(jax.random.key(0), 0.5, hidden.shape)
    return jnp.where(kept, hidden, 0.0)


@pytest.mark.parametrize(
    "mix",
    [
        batch_norm,
        attention_across_the_batch,
        dropout,
        lambda hidden: hidden / len(hidden),
        lambda hidden: hidden.at[1:].add(1e-3 * hidden[:-1]),
        lambda hidden: jnp.where(hidden.shape[0] > 1, jnp.nan, hidden),
    ],
)
def test_mixed_outputs_are_refused(mix):
    refused(lambda params, x: mix(NETWORK.apply(params, x)))


def head_after(mix):
    def apply_fn(params, x):
        return mix(x) @ params["head"]

    return apply_fn


def test_a_head_of_zeros_hides_nothing():
    params = {"head": jnp.zeros((5, N_OUT))}
    refused(head_after(batch_norm), params=params, what="gradients")
    empirical_ntk(head_after(jnp.tanh), params, X1)


def mixing(params, x):
    hidden = NETWORK.apply(params, x)
    return hidden - 0.5 * hidden.mean(axis=0)


@pytest.mark.parametrize(
    ("x1", "x2"),
    [
        (X1[:1], None),
        (np.repeat(X1[:1], 5, axis=0), None),
        (np.zeros((2, 5)), None),
        (X1[:1], X2),
        (np.concatenate([np.repeat(X1[:1], 5, axis=0), X1]), None),
    ],
)
def test_different_examples_are_compared(x1, x2):
    refused(mixing, x1=x1, x2=x2)


def test_outputs_that_cancel_are_no_mixture():
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), PARAMS)
    start = jax.tree.map(lambda leaf: leaf * (1 + 1e-7), single)

    def centred(params, x):
        return NETWORK.apply(params, x) - NETWORK.apply(start, x)

    x = X1.astype(np.float32)
    largest = np.abs(centred(single, x)).max()
    assert largest < 1e-5
    kernel = empirical_ntk(centred, single, x)
    np.testing.assert_allclose(kernel, empirical_ntk(NETWORK.apply, PARAMS, X1), rtol=1e-5)


def from_three_on(mix):
    return lambda x: x if x.shape[0] < 3 else mix(x)


def in_one_place(x):
    return x.at[20:21].multiply(1.01) if x.shape[0] > 20 else x


@pytest.mark.parametrize(
    "mix", [from_three_on(batch_norm), from_three_on(attention_across_the_batch)]
)
@pytest.mark.parametrize("head", [jnp.zeros, jnp.ones])
def test_what_acts_in_larger_batches_alone_is_refused(mix, head):
    params = {"head": head((5, N_OUT))}
    for compute in (
        lambda: empirical_ntk(head_after(mix), params, X1),
        lambda: empirical_ntk(head_after(mix), params, X1[:1], X2),
        lambda: EmpiricalNTK(head_after(mix), params).by_parameter(X1),
        lambda: matrix_free_kernel(head_after(mix), params, X1),
    ):
        with pytest.raises(ValueError, match=r"treat each example alone.* for a batch of [49] "):
            compute()
    # Of two examples it is another network, which mixes nothing.
    empirical_ntk(head_after(mix), params, X1[:2])


def test_what_acts_in_one_place_of_a_batch_is_refused():
    """Wherever that is: 20 is not among eight that are spread evenly."""
    x = np.random.default_rng(2).normal(size=(40, 5))
    with pytest.raises(ValueError, match="for a batch of 40 that differ by"):
        empirical_ntk(head_after(in_one_place), {"head": jnp.ones((5, N_OUT))}, x)


def test_outputs_tell_where_there_is_no_derivative_forward():
    @jax.custom_vjp
    def reverse_only(x):
        return jnp.tanh(x)

    reverse_only.defvjp(lambda x: (jnp.tanh(x), x), lambda x, g: (g * (1 - jnp.tanh(x) ** 2),))
    params = {"head": jnp.ones((5, N_OUT))}

    def apply_fn(params, x):
        return reverse_only(head_after(from_three_on(batch_norm))(params, x))

    with pytest.raises(ValueError, match="got outputs for a batch of 9"):
        empirical_ntk(apply_fn, params, X1)
    empirical_ntk(lambda params, x: reverse_only(x @ params["head"]), params, X1)


class WithBatchNormAndDropout(nn.Module):
    @nn.compact
    def __call__(self, x, *, training_norm=False, training_dropout=False):
        x = nn.BatchNorm(use_running_average=not training_norm)(nn.Dense(4)(x))
        x = nn.Dropout(0.5, deterministic=not training_dropout)(jnp.tanh(x))
        return nn.Dense(N_OUT)(x)


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("training", [{}, {"training_norm": True}, {"training_dropout": True}])
def test_a_model_of_a_library_must_be_in_evaluation_mode(training):
    module = WithBatchNormAndDropout()
    variables = module.init(jax.random.key(0), X1)
    variables = jax.tree.map(lambda leaf: leaf.astype(float), variables)
    averages = variables.pop("batch_stats")

    def apply_fn(params, x):
        outputs, _ = module.apply(
            {"params": params, "batch_stats": averages},
            x,
            rngs={"dropout": jax.random.key(1)},
            mutable="batch_stats",
            **training,
        )
        return outputs

    if training:
        refused(apply_fn, params=variables["params"])
    else:
        assert empirical_ntk(apply_fn, variables["params"], X1).shape == (9, 9)
