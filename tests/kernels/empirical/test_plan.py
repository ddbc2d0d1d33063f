"""Which method computes an empirical NTK, and why: counted work, and what is chosen from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.kernels.empirical import EmpiricalNTK, empirical_ntk_plan
from ntk_air.kernels.empirical.jacobian import JACOBIAN
from ntk_air.kernels.empirical.ntk_vector_products import NTK_VECTOR_PRODUCTS
from ntk_air.kernels.empirical.planning import METHODS, choose
from ntk_air.kernels.empirical.task import make_task
from ntk_air.kernels.empirical.work import Work, count_work
from tests.helpers.compilations import count_compilations
from tests.kernels.empirical.architectures import ARCHITECTURES
from tests.kernels.empirical.small_network import NETWORK, PARAMS, X1, X2, inputs

# --- counting ---------------------------------------------------------------------------------

MATRIX = np.zeros((4, 6))
IMAGES, FILTERS = np.zeros((2, 8, 8, 3)), np.zeros((3, 3, 3, 5))


def work_of(function, *arguments):
    return count_work(jax.make_jaxpr(function)(*arguments).jaxpr)


def convolve(x, w, **options):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=layout, **options)


def gram(a):
    return jax.lax.dot_general(a, a, (((1,), (1,)), ((), ())))


def repeated(length):
    return lambda a: jax.lax.scan(lambda h, _: (gram(h), None), a, None, length=length)[0]


def branches(a):
    return jax.lax.cond(True, gram, lambda a: jnp.tanh(a[:, :4]), a)


@pytest.mark.parametrize(
    ("function", "arguments", "operations"),
    [
        (gram, [MATRIX], 2 * 4 * 4 * 6),
        (jax.jit(jax.checkpoint(gram)), [MATRIX], 2 * 4 * 4 * 6),
        (jax.vmap(gram), [MATRIX[None]], 2 * 4 * 4 * 6),
        (repeated(1), [np.zeros((4, 4))], 2 * 4**3),
        (repeated(7), [np.zeros((4, 4))], 7 * 2 * 4**3),
        (branches, [MATRIX], 2 * 4 * 4 * 6),
        (lambda a: jnp.tanh(a.reshape(6, 4)), [MATRIX], 24),
        (lambda a: jnp.sum(a, axis=0), [MATRIX], 24),
        (convolve, [IMAGES, FILTERS], 2 * (2 * 8 * 8 * 5) * (3 * 3 * 3)),
        (
            lambda x, w: convolve(x, w, feature_group_count=3),
            [IMAGES, np.zeros((3, 3, 1, 6))],
            2 * (2 * 8 * 8 * 6) * (3 * 3),
        ),
    ],
)
def test_operations_are_counted(function, arguments, operations):
    assert work_of(function, *arguments).operations == operations


def test_bytes_are_counted():
    gram_work = work_of(gram, MATRIX)
    assert gram_work.bytes_moved == 8 * (2 * 24 + 16)
    assert gram_work.bytes_held == 8 * 16
    # Of a chain two values are held at a time, whatever its length; both stay if both return.
    chain = work_of(lambda a: jnp.tanh(jnp.tanh(jnp.tanh(a))), MATRIX)
    assert (chain.bytes_moved, chain.bytes_held) == (3 * 8 * 24, 2 * 8 * 24)
    assert work_of(lambda a: (jnp.tanh(a), jnp.exp(a)), MATRIX).bytes_held == 2 * 8 * 24
    assert work_of(repeated(7), np.zeros((4, 4))).bytes_held == 2 * 8 * 16


# --- choosing ---------------------------------------------------------------------------------


def many_outputs(params, x):
    return jnp.tanh(x @ params["w"])


@pytest.mark.parametrize(
    ("n_out", "outputs", "first"),
    [
        # n² n_out² contractions over all parameters, against n² n_out forward derivatives.
        (30, "full", "ntk_vector_products"),
        (30, "mean", "jacobian"),
        (1, "full", "jacobian"),
    ],
)
def test_the_choice_follows_the_operations(n_out, outputs, first):
    params = {"w": inputs(50, features=(n_out,))}
    plan = empirical_ntk_plan(many_outputs, params, inputs(20, features=(50,)), outputs=outputs)
    assert plan.method == plan.estimates[0].method
    assert [each.score for each in plan.estimates] == sorted(each.score for each in plan.estimates)
    two = [
        each.method for each in plan.estimates if each.method in ("jacobian", "ntk_vector_products")
    ]
    assert two[0] == first
    assert len(plan.estimates) == len(METHODS)


def test_operations_of_jacobian_contraction_are_those_of_its_formula():
    n, m, n_out = 20, 50, 30
    params, x = {"w": inputs(m, features=(n_out,))}, inputs(n, features=(m,))
    plan = EmpiricalNTK(many_outputs, params, outputs="full", method="jacobian").plan(x)
    contraction = 2 * (n * n_out) ** 2 * (m * n_out)
    (estimate,) = plan.estimates
    assert contraction < estimate.operations < 1.1 * contraction


def test_a_method_that_is_asked_for_is_taken():
    for name in METHODS:
        plan = EmpiricalNTK(NETWORK.apply, PARAMS, method=name).plan(X1, X2)
        assert (plan.method, plan.reason) == (name, "as asked")
        assert [each.method for each in plan.estimates] == [name]


def test_the_plan_is_what_is_done():
    kernel = EmpiricalNTK(NETWORK.apply, PARAMS, method="jacobian")
    plan = kernel.plan(X1, max_memory_bytes=20_000)
    assert plan.tile < len(X1)
    blocks = -(-len(X1) // plan.tile)
    steps = []
    kernel.evaluate(X1, max_memory_bytes=20_000, progress=lambda *args: steps.append(args))
    assert len(steps) == blocks * (blocks + 1) // 2


@pytest.mark.parametrize("method", METHODS)
def test_an_ample_bound_on_memory_changes_no_tile(method):
    kernel = EmpiricalNTK(NETWORK.apply, PARAMS, method=method)
    unbounded = kernel.plan(X1).tile
    assert kernel.plan(X1, max_memory_bytes=2**40).tile == unbounded == len(X1)


def test_a_plan_says_why():
    text = str(empirical_ntk_plan(NETWORK.apply, PARAMS, X1))
    assert "times as fast as" in text.splitlines()[0]
    assert all(
        any(line.lstrip().startswith(name) for line in text.splitlines()) for name in METHODS
    )


def test_what_does_not_fit_makes_room_for_what_does():
    kernel = EmpiricalNTK(NETWORK.apply, PARAMS, "full", method="jacobian")
    with pytest.raises(MemoryBudgetError) as refusal:
        kernel.evaluate(X1, max_memory_bytes=1)
    least = int(str(refusal.value).split("max_memory_bytes=")[1].split(";")[0])
    task = make_task(NETWORK.apply, PARAMS, X1, None, outputs="full")
    free = JACOBIAN._replace(name="free", work=lambda *_: Work(1.0, 1.0, 1.0))
    methods = {"free": free, "ntk_vector_products": NTK_VECTOR_PRODUCTS}
    _, plan = choose(task, "auto", max_memory_bytes=least, methods=methods)
    assert plan.method == "free"
    _, plan = choose(task, "auto", max_memory_bytes=least - 1, methods=methods)
    assert plan.method == "ntk_vector_products"
    assert plan.reason == "no other method is left; free does not fit into memory"


def test_a_model_without_a_forward_derivative_is_left_to_the_others():
    _, apply_fn, params, x = ARCHITECTURES["own_custom_vjp"]
    plan = empirical_ntk_plan(apply_fn, params, x)
    assert plan.method != "ntk_vector_products"
    assert "ntk_vector_products does not apply" in plan.reason
    with pytest.raises(ValueError, match=r'method must not be "ntk_vector_products".*custom_vjp'):
        EmpiricalNTK(apply_fn, params, method="ntk_vector_products")(x)


def test_an_unknown_method_is_refused():
    with pytest.raises(
        ValueError, match=r"method must be one of 'auto', 'layerwise', 'jacobian'.*'fast'"
    ):
        EmpiricalNTK(NETWORK.apply, PARAMS, method="fast")(X1)


def test_a_second_plan_compiles_nothing():
    empirical_ntk_plan(NETWORK.apply, PARAMS, X1)
    with count_compilations() as compiled:
        empirical_ntk_plan(NETWORK.apply, PARAMS, X1 + 1)
    assert not compiled
