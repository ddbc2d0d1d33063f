"""The AIR window against the shares it is defined by."""

import numpy as np
import pytest

from ntk_air import air
from ntk_air.spectrum.decomposition import decompose
from tests.air.reference import DYNAMICS, labels, on_modes
from tests.helpers.problems import spectral_problem, with_eigenvalues


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_the_window_of_two_modes_by_hand(dynamics):
    problem = with_eigenvalues(np.array([0.5, 0.01]))
    spectrum = decompose(problem.matrix)
    window = air.air_window(
        spectrum,
        on_modes(problem, [1, 0]),
        on_modes(problem, [0, 1]),
        (0.19, 0.04),
        learning_rate=1.0,
        dynamics=dynamics,
    )
    mu = np.array([0.5, 0.01]) if dynamics == "flow" else -np.log1p(-np.array([0.5, 0.01]))
    # (1 − e^{−tμ₁})² = 0.81 and (1 − e^{−tμ₂})² = 0.04.
    assert window.start == pytest.approx(-np.log(0.1) / mu[0], rel=1e-13)
    assert window.end == pytest.approx(-np.log(0.8) / mu[1], rel=1e-12)
    assert not window.is_empty
    assert window.reason == ""
    assert window.steps == (np.ceil(window.start), np.floor(window.end))


def test_the_window_is_where_the_shares_say():
    problem = with_eigenvalues(np.repeat([1.0, 0.2, 1e-4], [4, 6, 50]))
    spectrum = decompose(problem.matrix)
    y = on_modes(problem, np.repeat([1.0, 1.0, 0.02], [4, 6, 50]))
    z = on_modes(problem, np.repeat([0.1, 0.1, 1.0], [4, 6, 50]))
    window = air.air_window(spectrum, y, z, 0.05)
    around = np.array([window.start, window.start, window.end, window.end])
    around *= [1 - 1e-9, 1 + 1e-9, 1 - 1e-9, 1 + 1e-9]
    signal = air.retrieved_share(spectrum, y, around)
    noise = air.retrieved_share(spectrum, z, around)
    assert signal[0] < 0.95 <= signal[1]
    assert noise[2] <= 0.05 < noise[3]
    assert window.steps is not None
    first, last = window.steps
    assert first - 1 < window.start <= first <= last <= window.end < last + 1


def test_an_empty_window_says_why():
    problem = spectral_problem("power_law")
    late = air.air_window(decompose(problem.matrix), labels(seed=1), labels(seed=2), 0.1)
    assert late.is_empty
    assert late.steps is None
    assert "more than δ′ = 0.1" in late.reason
    deficient = decompose(spectral_problem("rank_deficient").matrix)
    never = air.air_window(deficient, labels(seed=1), labels(seed=2), 0.1)
    assert never.is_empty
    assert never.start == np.inf
    assert "the signal never reaches 1 − δ = 0.9" in never.reason


def test_windows_that_begin_at_once_or_never_end():
    problem = with_eigenvalues(np.repeat([1.0, 0.0], [30, 30]))
    spectrum = decompose(problem.matrix)
    first, second = (on_modes(problem, np.repeat(w, 30)) for w in ([1, 0], [0, 1]))
    window = air.air_window(spectrum, first, second, 0.1)
    # The first step retrieves the whole signal, and the noise is never retrieved.
    assert window.steps == (1, np.inf)
    swapped = air.air_window(spectrum, second, first, (1.0, 0.0))
    assert (swapped.start, swapped.end) == (0, 0)
    with pytest.raises(ValueError, match=r"delta must lie in \[0, 1\]"):
        air.air_window(spectrum, first, second, 1.5)
    with pytest.raises(ValueError, match=r"delta_prime must lie in \[0, 1\]"):
        air.air_window(spectrum, first, second, (0.5, -0.1))


@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_a_window_whose_ends_fall_on_whole_steps_holds_them(rate):
    spectrum = decompose(np.diag([1.0, rate]))
    signal, noise = np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]])
    for n in range(1, 12):
        # A mode of ηλ = 1 is there after one step; one of ηλ = x has (1 − (1 − x)ⁿ)² after n.
        window = air.air_window(spectrum, signal, noise, (0.1, (1 - (1 - rate) ** n) ** 2))
        assert window.steps == (1, n)


def test_noise_that_stays_at_its_limit_never_ends_the_window():
    spectrum = decompose(np.diag([1.0, 0.0]))
    signal, noise = np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]])
    # Half of the noise is in a mode that never moves: its share is ½ from the first step on.
    assert air.air_window(spectrum, signal, noise, (0.1, 0.5)).end == np.inf
    assert air.air_window(spectrum, signal, noise, (0.1, 0.499)).end <= 1
    assert air.air_window(spectrum, signal, signal, (0.1, 1.0)).end == np.inf
