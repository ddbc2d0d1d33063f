"""Layer-wise contraction against per-example Jacobians, on networks of many kinds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.kernels.empirical import (
    EmpiricalNTK,
)
from ntk_air.kernels.empirical.layerwise import contraction
from ntk_air.kernels.empirical.layerwise import tile as tile_module
from ntk_air.kernels.empirical.layerwise.tile import LAYERWISE
from ntk_air.kernels.empirical.network import split
from ntk_air.kernels.empirical.work import count_work
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers
from tests.helpers.sweeps import one_in
from tests.kernels.empirical.architectures import ARCHITECTURES, N_OUT
from tests.kernels.empirical.architectures.by_jacobians import jacobian_kernel, mean, reference
from tests.kernels.empirical.small_network import NETWORK, PAIRS, PARAMS, X1, inputs


def largest_difference(kernel, reference):
    kernel, reference = np.asarray(kernel), np.asarray(reference)
    return np.max(np.abs(kernel - reference)) / np.max(np.abs(reference))


@pytest.mark.parametrize("name", one_in(3, ARCHITECTURES))
def test_every_architecture_in_both_precisions(name):
    _, apply_fn, params, inputs = ARCHITECTURES[name]
    wanted = reference(name)[:3, 2:]
    for precision, bound in (("float64", 1e-12), ("float32", 1e-5)):
        cast, x = jax.tree.map(lambda leaf: leaf.astype(precision), (params, inputs))  # noqa: B023
        kernel = LAYERWISE.tile(split(apply_fn, cast), x[:3], x[2:], outputs="full", n_out=N_OUT)
        assert kernel.dtype == precision
        assert largest_difference(kernel, wanted) < bound


@pytest.mark.parametrize("first", [slice(0, 4), slice(0, 3)])
def test_entries_that_two_uses_share_in_part_are_not_taken_apart(first):
    def overlapping(params, x):
        return x[:, first] @ params[first] + jnp.tanh(x[:, 1:]) @ params[1:]

    params, x = inputs(4, features=(N_OUT,)), inputs(5, features=(4,))
    kernel = LAYERWISE.tile(split(overlapping, params), x, None, outputs="mean", n_out=N_OUT)
    assert largest_difference(kernel, mean(jacobian_kernel(overlapping, params, x))) < 1e-12


@pytest.mark.parametrize("mode", ["fill", "clip", "promise_in_bounds"])
def test_rows_that_are_looked_up_are_contracted_in_every_mode(mode):
    def embedded(params, x):
        return params["table"].at[x.astype(int)].get(mode=mode).mean(axis=1) @ params["head"]

    params = {"table": inputs(7, features=(4,)), "head": inputs(4, features=(N_OUT,))}
    x = np.arange(15.0).reshape(5, 3) % 7
    plan = EmpiricalNTK(embedded, params, method="layerwise").plan(x)
    assert all(each.route in ("gram", "explicit") for each in plan.parameters)
    kernel = EmpiricalNTK(embedded, params, method="layerwise")(x)
    assert largest_difference(kernel, mean(jacobian_kernel(embedded, params, x))) < 1e-12


# --- the two orders, and what is held at once ---------------------------------------------------

BOTH_ORDERS = ["convolutions_valid_and_strided", "grouped_convolution", "weight_tied_across_layers"]


@pytest.mark.parametrize("order", ["gram", "explicit"])
@pytest.mark.parametrize("name", BOTH_ORDERS)
def test_both_orders_agree_with_the_jacobian(monkeypatch, name, order):
    monkeypatch.setattr(contraction, "cheaper_order", lambda factors, sizes: order)
    monkeypatch.setattr(contraction, "LONGEST_SUM", 7)
    _, apply_fn, params, x = ARCHITECTURES[name]

    def fresh(params, x):  # not compiled before, in the other order
        return apply_fn(params, x)

    network = split(fresh, params)
    for outputs in ("mean", "full"):
        kernel = LAYERWISE.tile(network, x, None, outputs=outputs, n_out=N_OUT)
        wanted = reference(name) if outputs == "full" else mean(reference(name))
        assert largest_difference(kernel, wanted) < 1e-12


@pytest.mark.parametrize("name", ["convolution_same", "branch_for_all_examples"])
def test_outputs_in_turn_give_what_all_at_once_give(monkeypatch, name):
    monkeypatch.setattr(tile_module, "HELD_ENTRIES", 1)
    _, apply_fn, params, x = ARCHITECTURES[name]

    def fresh(params, x):
        return apply_fn(params, x)

    kernel = LAYERWISE.tile(split(fresh, params), x, None, outputs="mean", n_out=N_OUT)
    assert largest_difference(kernel, mean(reference(name))) < 1e-12


@pytest.mark.parametrize("name", ["depth_eight", "convolution_same"])
def test_blocks_that_are_mirrored_are_those_that_are_not(monkeypatch, name):
    monkeypatch.setattr(contraction, "LARGEST_SQUARE", 2)
    monkeypatch.setattr(contraction, "cheaper_order", lambda factors, sizes: "gram")
    _, apply_fn, params, x = ARCHITECTURES[name]

    def fresh(params, x):
        return apply_fn(params, x)

    kernel = LAYERWISE.tile(split(fresh, params), x, None, outputs="mean", n_out=N_OUT)
    assert largest_difference(kernel, mean(reference(name))) < 1e-12


@pytest.mark.parametrize(
    ("sizes", "order"),
    [
        ((1, 1, 500, 500), "gram"),
        ((1, 1024, 27, 32), "explicit"),
        ((1, 4, 4608, 512), "gram"),
        ((1, 1, 1, 5), "gram"),  # a bias: its gradients alone would be fewer operations
    ],
)
def test_the_order_is_the_one_of_fewer_operations(sizes, order):
    factors = contraction.Factors(0, (), (), sizes)
    tile = contraction.TileSizes(32, 32, 10, full=False)
    assert contraction.cheaper_order(factors, tile) == order


@pytest.mark.parametrize("k", [1, 3])
def test_operations_are_counted_as_those_of_the_products(k):
    n, n_kept, (p, i, j) = 4, 3, (5, 20, 30)
    left, right = np.zeros((n, k, p, i)), np.zeros((n_kept, n, k, p, j))

    def counted(function, *arguments):
        return count_work(jax.make_jaxpr(function)(*arguments).jaxpr).operations

    def grams(one, other):
        return contraction._gram(*map(contraction._outputs_last, (one, other)))

    gradients = np.zeros((n, k * i * j))
    expected = {
        "gram": counted(contraction._gram, left, left.copy()) + counted(grams, right, right.copy()),
        "explicit": n_kept
        * (
            2 * counted(contraction._gradient, left.swapaxes(2, 3), right[0])
            + counted(contraction._inner, gradients, gradients)
        ),
    }
    factors = contraction.Factors(0, (), (), (k, p, i, j))
    found = contraction.operations(factors, contraction.TileSizes(n, n, n_kept, full=False))
    # What arrays are rearranged for the products is not counted.
    assert found == pytest.approx(expected, rel=0.05)


# --- parameter by parameter ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tied_autoencoder", "branch_for_all_examples"])
@pytest.mark.parametrize("outputs", ["mean", "full"])
def test_each_part_is_the_kernel_of_that_parameter_alone(name, outputs):
    _, apply_fn, params, x = ARCHITECTURES[name]
    parts = EmpiricalNTK(apply_fn, params, outputs=outputs).by_parameter(x)
    assert parts.names == tuple(f"params['{name}']" for name in sorted(params))
    for key in params:

        def alone(trained, x, key=key):
            return apply_fn(params | {key: trained}, x)

        part = parts[f"params['{key}']"]
        wanted = jacobian_kernel(alone, params[key], x)
        wanted = wanted if outputs == "full" else mean(wanted)
        np.testing.assert_allclose(part, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())
        axes = (1, 0) if outputs == "mean" else (1, 0, 3, 2)
        np.testing.assert_array_equal(part, part.transpose(axes))


@pytest.mark.parametrize("pair", PAIRS)
def test_the_parts_add_up_to_the_kernel(pair):
    x1, x2 = PAIRS[pair]
    kernel = EmpiricalNTK(NETWORK.apply, PARAMS, outputs="logit_sum")
    parts = kernel.by_parameter(x1, x2, max_memory_bytes=100_000)
    np.testing.assert_allclose(parts.kernels.sum(axis=0), kernel(x1, x2), rtol=1e-12)


def test_an_unknown_parameter_is_refused_with_those_there_are():
    parts = EmpiricalNTK(NETWORK.apply, PARAMS).by_parameter(X1)
    with pytest.raises(KeyError, match=r"no parameter is called 'weight'; there are params\[0\]"):
        parts["weight"]


# --- what is said -------------------------------------------------------------------------------


def test_the_plan_says_what_happens_to_each_parameter():
    def apply_fn(params, x):
        hidden = jnp.tanh(x @ params["product"] + params["bias"])
        twice = hidden @ params["twice"] * jnp.sum(params["twice"])
        return twice + 0 * jnp.sum(hidden, axis=1, keepdims=True)

    params = {"bias": np.ones(6), "product": np.ones((5, 6)), "twice": np.ones((6, 3))}
    params["unused"] = np.ones(2)
    plan = EmpiricalNTK(apply_fn, params, method="layerwise").plan(X1)
    said = {each.name: (each.route, each.uses) for each in plan.parameters}
    assert said["params['product']"] == ("gram", ("dot_general",))
    assert said["params['bias']"][0] == "gradient"
    assert said["params['twice']"] == (
        "jacobian",
        ("some of its entries are used in two ways that do not factor alike",),
    )
    assert said["params['unused']"] == ("none", ())
    assert "params['twice']: jacobian (some of its entries" in str(plan)
    wanted = mean(jacobian_kernel(apply_fn, params, X1))
    kernel = EmpiricalNTK(apply_fn, params, method="layerwise")(X1)
    assert largest_difference(kernel, wanted) < 1e-12


def test_other_methods_say_nothing_of_parameters():
    assert EmpiricalNTK(NETWORK.apply, PARAMS, method="jacobian").plan(X1).parameters == ()


def test_a_parameter_that_is_itself_an_output():

    def same(params, x):
        del x
        return params["row"]

    # Of one example, the network's output is the parameter and no equation is in between.
    params = {"row": np.ones((1, 3))}
    network = split(same, params)
    kernel = LAYERWISE.tile(network, X1[:1], X1[1:2], outputs="full", n_out=3)
    np.testing.assert_array_equal(kernel[0, 0], np.eye(3))


# --- compiled code ------------------------------------------------------------------------------


def test_the_second_call_compiles_nothing():
    EmpiricalNTK(NETWORK.apply, PARAMS, method="layerwise")(X1)
    other = jax.tree.map(lambda leaf: 2 * leaf, PARAMS)
    with count_compilations() as compiled:
        EmpiricalNTK(NETWORK.apply, other, method="layerwise")(X1 + 1)
    assert compiled == []


@pytest.mark.parametrize("name", ["convolutions_valid_and_strided", "transformer"])
def test_it_lowers_for_every_platform(name):
    _, apply_fn, params, x = ARCHITECTURES[name]
    network = split(apply_fn, params)
    assert_lowers(
        lambda x: LAYERWISE.tile(network, x, None, outputs="mean", n_out=N_OUT), jnp.asarray(x)
    )
