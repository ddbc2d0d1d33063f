"""The empirical NTK in tiles: the same values, under the bound, compiled once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.kernels.empirical import EmpiricalNTK, empirical_ntk
from ntk_air.kernels.empirical.network import split
from ntk_air.kernels.empirical.planning import METHODS
from ntk_air.kernels.gram import gram_matrix
from ntk_air.networks.models.dense import DenseNetwork
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers
from tests.helpers.peak_memory import peak_bytes
from tests.helpers.sweeps import one_in
from tests.kernels.empirical.small_network import N_OUT, NETWORK, PAIRS, PARAMS, X1, X2


def least_bytes(kernel, x1, x2=None):
    """The smallest bound that is not refused, as the refusal states it."""
    with pytest.raises(MemoryBudgetError) as refusal:
        kernel.evaluate(x1, x2, max_memory_bytes=1)
    return int(str(refusal.value).split("max_memory_bytes=")[1].split(";")[0])


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("outputs", ["mean", "full"])
@pytest.mark.parametrize("factor", [1, 3])
def test_tiles_make_the_untiled_kernel(pair, outputs, factor):
    x1, x2 = PAIRS[pair]
    kernel = EmpiricalNTK(NETWORK.apply, PARAMS, outputs, method="jacobian")
    untiled = kernel(x1, x2)
    steps = []
    tiled = kernel.evaluate(
        x1,
        x2,
        max_memory_bytes=factor * least_bytes(kernel, x1, x2),
        progress=lambda *args: steps.append(args),
    )
    np.testing.assert_allclose(tiled, untiled, rtol=0, atol=1e-12 * np.abs(untiled).max())
    if x2 is None:
        mirrored = tiled.transpose((1, 0, 3, 2) if outputs == "full" else (1, 0))
        np.testing.assert_array_equal(tiled, mirrored)
    total = steps[-1][2]
    assert steps == [("empirical NTK", done, total) for done in range(1, total + 1)]
    if factor == 1:
        assert total == (45 if x2 is None else 36)
    else:
        assert total > 1


def test_what_cannot_fit_is_refused_before_it_starts():
    kernel, steps = EmpiricalNTK(NETWORK.apply, PARAMS, "full"), []
    with pytest.raises(
        MemoryBudgetError,
        match=r"empirical NTK of 9 × 9 inputs needs .* budget is 1000 B: allow max_memory_bytes="
        r"\d+; one tile alone needs .*; outputs=\"mean\" has a far smaller result",
    ):
        kernel.evaluate(X1, max_memory_bytes=1000, progress=lambda *args: steps.append(args))
    assert not steps


def test_a_gram_matrix_hands_its_bound_on():
    kernel = EmpiricalNTK(NETWORK.apply, PARAMS, method="jacobian")
    least = least_bytes(kernel, X1)
    steps = []
    matrix = gram_matrix(
        kernel, X1, max_memory_bytes=least, progress=lambda *args: steps.append(args)
    )
    assert len(steps) == 45
    np.testing.assert_allclose(matrix, kernel(X1), rtol=1e-12)
    with pytest.raises(MemoryBudgetError, match="empirical NTK of 9 × 9"):
        gram_matrix(kernel, X1, max_memory_bytes=least - 1)


def test_a_full_kernel_is_no_gram_matrix():
    with pytest.raises(ValueError, match=r'outputs must not be "full" for a Gram matrix'):
        gram_matrix(EmpiricalNTK(NETWORK.apply, PARAMS, "full"), X1)


def test_platforms_that_do_not_report_memory_are_bounded_too(monkeypatch):
    untiled = empirical_ntk(NETWORK.apply, PARAMS, X1)
    monkeypatch.setattr(jax.stages.Compiled, "memory_analysis", lambda self: None)
    least = least_bytes(EmpiricalNTK(NETWORK.apply, PARAMS), X1)
    n_params = sum(leaf.size for leaf in jax.tree.leaves(PARAMS))
    assert least > 2 * n_params * 8
    kernel = empirical_ntk(NETWORK.apply, PARAMS, X1, max_memory_bytes=4 * least)
    np.testing.assert_allclose(kernel, untiled, rtol=1e-12)


SETUP = """
import jax.numpy as jnp
import numpy as np
from ntk_air.kernels.empirical import EmpiricalNTK
from ntk_air.networks.models.dense import DenseNetwork
network = DenseNetwork((300, 300), n_out=3)
params = network.init(jax.random.key(0), 50)
dense = network.apply, params
x = np.random.default_rng(0).standard_normal((40, 50))

def few_parameters_apply(params, x):
    hidden = x[:, :, None] * jnp.linspace(0, 1, 1000)
    for scale in params:
        hidden = jnp.tanh(scale * hidden)
    return hidden.mean(axis=(1, 2))[:, None]

few_parameters = few_parameters_apply, list(jnp.ones(4))
"""


MEASURED = [
    ("dense", "mean", 40, 16_000_000),
    ("dense", "full", 12, 20_000_000),
    # Activations fill the memory here, not Jacobians: only the compiler knows of them.
    ("few_parameters", "mean", 15, 12_000_000),
]


@pytest.fixture(scope="module")
def peaks():
    """Of each case the peak within its bound, and without one."""
    works = []
    for model, outputs, n, bound in MEASURED:
        kernel = f"EmpiricalNTK(*{model}, {outputs!r}, 'jacobian')"
        works += [f"{kernel}.evaluate(x[:{n}], max_memory_bytes={bound})", f"{kernel}(x[:{n}])"]
    measured = peak_bytes(SETUP, *works)
    return dict(zip(MEASURED, zip(measured[::2], measured[1::2], strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("case", MEASURED)
def test_measured_peak_memory_stays_under_the_bound(case, peaks):
    bound = case[-1]
    tiled, whole = peaks[case]
    assert bound / 5 < tiled <= bound
    # The same bound is far from the need of one single tile.
    assert whole > 1.5 * bound


# --- compilation ------------------------------------------------------------------------------


def fresh_model():
    """A model that JAX has not seen: what was compiled for another serves it nothing."""
    return lambda params, x: NETWORK.apply(params, x)


@pytest.mark.parametrize("bounded", [False, True])
def test_the_second_call_compiles_nothing(bounded):
    model = fresh_model()
    limit = 2 * least_bytes(EmpiricalNTK(model, PARAMS), X1) if bounded else None
    others = NETWORK.init(jax.random.key(1), 5)
    with count_compilations() as first:
        empirical_ntk(model, PARAMS, X1, max_memory_bytes=limit)
    with count_compilations() as second:
        empirical_ntk(model, others, X1 + 1, max_memory_bytes=limit)
    assert len(first) > 0 or bounded
    assert not second


def test_a_method_of_an_equal_network_compiles_nothing():
    empirical_ntk(NETWORK.apply, PARAMS, X1)
    equal = DenseNetwork((11, 8), n_out=N_OUT, bias_variance=0.1)
    with count_compilations() as compiled:
        empirical_ntk(equal.apply, PARAMS, X1)
    assert not compiled


def test_more_tiles_compile_nothing_more():
    model, compiled = fresh_model(), []
    for n in (2, 5, 9):  # tiles of one example
        limit = least_bytes(EmpiricalNTK(model, PARAMS), X1[:n])
        with count_compilations() as events:
            empirical_ntk(model, PARAMS, X1[:n], max_memory_bytes=limit)
        compiled.append(len(events))
    assert compiled[1:] == [0, 0]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("outputs", one_in(3, ["mean", "full", 0]))
def test_tiles_lower_for_accelerators(method, outputs):
    def tile(params, x1, x2):
        network = split(NETWORK.apply, params)
        shape = {"outputs": outputs, "n_out": N_OUT}
        return method.tile(network, x1, x2, **shape), method.tile(network, x1, None, **shape)

    assert_lowers(tile, PARAMS, jnp.asarray(X1), jnp.asarray(X2))
