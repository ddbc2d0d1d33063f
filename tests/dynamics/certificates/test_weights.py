"""What a certificate takes for the weights is never below the weights, rounding and all."""

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics.certificates import certificate as module
from ntk_air.dynamics.certificates.certificate import RunState, certify_pattern
from ntk_air.dynamics.certificates.tail_bounds import tail_basis
from tests.dynamics.reference import spectrum_of
from tests.helpers.type_checks import without_type_checks

PATTERN = np.array([[1.0], [-1.0], [1.0]])
NOISY = np.array([[1.0], [-1.0], [-1.0]])
KERNEL = np.diag([2.0, 1.0, 0.5])
ROUNDED = 0.9e-12


def certified(weights, precision="float64"):
    basis = tail_basis(spectrum_of(KERNEL.astype(precision), precision=precision))
    state = RunState(*(array.astype(precision) for array in (0.9 * PATTERN, NOISY)), step=7)
    return certify_pattern(basis, state, weights=weights, learning_rate=0.5)


def test_growth_that_hides_between_neighbours_adds_up():
    growing = 0.2 * (1 + ROUNDED) ** np.arange(1_000_000)
    assert (np.diff(growing) <= 1e-12 * growing[:-1]).all()
    found = certified(growing)
    assert not found.issued
    assert found.reason.startswith("the weights grow, from 0.2 to 0.200000000000")
    assert not certified(lambda after: 0.2 * (1 + 1e-9 * np.minimum(after, 1e9) / 1e9)).issued


JITTERED = 0.2 * (1 + ROUNDED * np.array([0, 1, 0, 0, 1, 0.5, 1, 0, 0]))
FALLING = 0.2 / (1 + np.arange(9))


@pytest.mark.parametrize("weights", [JITTERED, FALLING, JITTERED.tolist()])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_weight_at_the_start_is_the_largest_stated(weights, precision):
    found = certified(weights, precision)
    assert found.issued
    assert float(found._tail.weight) >= np.max(weights)


@pytest.mark.parametrize("weights", [JITTERED, FALLING])
@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_weight_at_a_split_bounds_all_later_ones(weights, called, precision):
    def at(after):
        return weights[np.minimum(after, 8).astype(int)]

    bound, growing = module._checked_weights(at if called else weights)
    assert growing == ""
    for after in (0.0, 1.0, 4.0, 8.0, 20.0, np.inf):
        for moment in module._moments(after, bound, np.dtype(precision)):
            split = after - float(moment.since_split) if np.isfinite(after) else 8
            later = weights[min(int(split), 8) :]
            assert float(moment.weight_at_split) >= later.max()
            assert float(moment.weight_at_split) <= later.max() * (1 + 2e-7)


@pytest.mark.parametrize(
    "weights", ["0.5", ["0.5"], [], True, [0.5, np.nan], 1.5, np.full((2, 2), 0.5), 0.5 + 0j, None]
)
def test_what_is_no_vector_of_weights_is_refused(weights):
    refusal = pytest.raises(ValueError, match="weights must be one or a vector of values in")
    with refusal, without_type_checks():
        certified(weights)


def test_a_weight_is_rounded_up_and_not_away():
    assert module._rounded_up(0.25, np.dtype(np.float32)) == jnp.float32(0.25)
    assert float(module._rounded_up(0.2 * (1 - 1e-9), np.dtype(np.float32))) >= 0.2 * (1 - 1e-9)
