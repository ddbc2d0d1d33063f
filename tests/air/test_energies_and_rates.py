"""Energies and retrieved shares against explicit projections and matrix powers."""

import numpy as np
import pytest

from ntk_air import air
from ntk_air.spectrum.decomposition import decompose
from tests.air.reference import DYNAMICS, filtered_share, labels, on_modes
from tests.helpers.problems import SPECTRA, spectral_problem, with_eigenvalues


@pytest.mark.parametrize("name", SPECTRA)
def test_energy_in_the_top_is_that_of_the_projection(name):
    problem, u = spectral_problem(name), labels()
    found = np.asarray(air.energy_in_top(decompose(problem.matrix), u))
    assert found[-1] == pytest.approx(1, abs=1e-13)
    assert (np.diff(found) >= 0).all()
    for group in problem.groups:  # at the end of a group the eigenspace is unique
        top = problem.basis[:, : group[-1] + 1]
        expected = np.sum((top @ (top.T @ u)) ** 2) / np.sum(u**2)
        assert found[group[-1]] == pytest.approx(expected, abs=1e-11)


def test_energies_of_a_truncated_spectrum_are_those_of_the_full_one():
    problem, u = spectral_problem("power_law"), labels()
    top = air.energy_in_top(decompose(problem.matrix, top_k=7), u)
    full = air.energy_in_top(decompose(problem.matrix), u)
    np.testing.assert_allclose(top, full[:7], atol=1e-12)


def test_labels_without_energy_shape_or_sense_are_refused():
    spectrum = decompose(spectral_problem("step").matrix)
    with pytest.raises(ValueError, match="labels must not be all zero"):
        air.energy_in_top(spectrum, np.zeros((60, 2)))
    with pytest.raises(ValueError, match=r"labels must have one row .* 60 .* got 59 rows"):
        air.energy_in_top(spectrum, np.ones((59, 2)))
    with pytest.raises(ValueError, match="signal must be finite"):
        air.air_curve(spectrum, np.full((60, 3), np.nan), labels())
    with pytest.raises(ValueError, match="noise must not be all zero"):
        air.air_curve(spectrum, labels(), np.zeros((60, 3)))


def test_half_lives():
    spectrum = decompose(with_eigenvalues(np.array([2.0, 1.0, 0.5, 1e-9, 0.0])).matrix)
    half = np.asarray(air.retrieval_half_lives(spectrum, 0.5))
    # ηλ = 1: gone with the first step; ηλ = ½: one step; tiny: ln 2/ηλ; zero: never.
    expected = [0, 1, np.log(2) / -np.log(0.75), np.log(2) / 5e-10, np.inf]
    np.testing.assert_allclose(half[:3], expected[:3], rtol=1e-13)
    assert half[3] == pytest.approx(expected[3], rel=1e-5)  # the eigenvalue itself has 6 digits
    assert half[4] == np.inf
    flow = air.retrieval_half_lives(spectrum, 0.5, dynamics="flow")
    assert flow[0] == pytest.approx(np.log(2))


def test_the_default_learning_rate_retrieves_the_top_mode_at_once():
    for seed in range(8):  # 1/λ₁ times λ₁ rounds either way
        problem = with_eigenvalues(np.array([3.0, 1.0, 0.3]) * (1 + 0.1 * seed), seed)
        assert air.retrieval_half_lives(decompose(problem.matrix))[0] == 0


def test_learning_rates_that_overshoot_are_refused():
    spectrum = decompose(spectral_problem("step").matrix)
    with pytest.raises(ValueError, match=r"learning_rate must be at most 1/λ₁ = 0\.2.*got 0\.21"):
        air.retrieval_rates(spectrum, learning_rate=0.21)
    assert air.retrieval_rates(spectrum, learning_rate=0.21, dynamics="flow")[0] > 1
    with pytest.raises(ValueError, match="learning_rate must be a finite number above 0"):
        air.retrieval_rates(spectrum, learning_rate=0.0)


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("name", SPECTRA)
def test_retrieved_share_is_that_of_the_matrix_filter(name, dynamics):
    problem, u = spectral_problem(name), labels()
    spectrum = decompose(problem.matrix)
    for fraction in (1.0, 0.3):
        rate = fraction / problem.eigenvalues[0]
        steps = np.array([0, 1, 2, 7, 40, 300])
        found = air.retrieved_share(
            spectrum, u, steps.astype(float), learning_rate=rate, dynamics=dynamics
        )
        expected = [
            filtered_share(problem.matrix, u, t, learning_rate=rate, dynamics=dynamics)
            for t in steps
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-15)


def test_shares_and_dimension_at_the_ends_of_time():
    problem, u = spectral_problem("rank_deficient"), labels()
    spectrum = decompose(problem.matrix)
    times = np.array([0.0, 1e-12, 1e15, np.inf])
    reachable = np.sum((problem.basis[:, :25].T @ u) ** 2) / np.sum(u**2)
    found = air.retrieved_share(spectrum, u, times, dynamics="flow")
    np.testing.assert_allclose(found[2:], reachable, rtol=1e-12)
    # R_t → t²‖Θu‖²η²/‖u‖² as t → 0: the digits are not lost in 1 − e^{−tμ}.
    early = 1e-24 * np.sum((problem.matrix @ u) ** 2) / np.sum(u**2) / 4
    assert found[0] == 0
    assert found[1] == pytest.approx(early, rel=1e-10, abs=0)
    dimension = air.effective_dimension(spectrum, times, dynamics="flow")
    np.testing.assert_allclose(dimension[2:], 25, rtol=1e-13)
    np.testing.assert_allclose(dimension[:2], [0, 0.5e-12 * problem.eigenvalues.sum()], rtol=1e-10)


def test_shares_grow_with_time():
    spectrum = decompose(spectral_problem("power_law").matrix)
    times = np.geomspace(1e-3, 1e6, 200)
    for values in (
        air.retrieved_share(spectrum, labels(), times),
        air.effective_dimension(spectrum, times),
    ):
        assert (np.diff(values) >= 0).all()
        assert values[-1] > 0.999 * values.max()


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_what_is_left_multiplies_over_time(dynamics):
    # Semigroup: 1 − g_{s+t} = (1 − g_s)(1 − g_t) for one mode, read off single-mode labels.
    problem = spectral_problem("power_law")
    spectrum = decompose(problem.matrix)
    u = on_modes(problem, np.eye(60)[4])
    share = air.retrieved_share(spectrum, u, np.array([3.0, 8.5, 11.5]), dynamics=dynamics)
    left = 1 - np.sqrt(np.asarray(share))
    assert left[2] == pytest.approx(left[0] * left[1], rel=1e-12)


def test_negative_times_are_refused():
    spectrum = decompose(spectral_problem("step").matrix)
    for bad in (-1.0, np.nan):
        with pytest.raises(ValueError, match="times must be at least 0 steps"):
            air.retrieved_share(spectrum, labels(), np.array([1.0, bad]))
