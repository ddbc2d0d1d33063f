"""Alignment and complexity against the matrices they are defined by."""

import numpy as np
import pytest

from ntk_air import air
from ntk_air.spectrum.decomposition import decompose
from tests.air.reference import labels
from tests.helpers.problems import spectral_problem


def test_alignment_is_the_cosine_of_the_matrices():
    problem, y = spectral_problem("power_law"), labels()
    outer = y @ y.T
    expected = np.sum(problem.matrix * outer)
    expected /= np.linalg.norm(problem.matrix) * np.linalg.norm(outer)
    found = air.kernel_target_alignment(decompose(problem.matrix), y)
    assert found == pytest.approx(expected, rel=1e-12)
    one = labels(n_out=1)
    assert air.kernel_target_alignment(decompose(one @ one.T), one) == pytest.approx(1)


def test_complexity_is_the_quadratic_form_of_the_inverse():
    problem, y = spectral_problem("power_law"), labels()
    found = air.arora_complexity(decompose(problem.matrix), y)
    quadratic = np.trace(y.T @ np.linalg.solve(problem.matrix, y))
    assert found.value == pytest.approx(np.sqrt(2 * quadratic / 60), rel=1e-10)
    assert (found.n_clipped, found.reason) == (0, "")


def test_complexity_does_not_invert_zero_modes():
    problem, y = spectral_problem("rank_deficient"), labels()
    spectrum = decompose(problem.matrix)
    infinite = air.arora_complexity(spectrum, y)
    assert infinite.value == np.inf
    assert infinite.n_clipped == 35
    assert "energy lies in 35 modes of eigenvalue 0" in infinite.reason
    in_range = problem.matrix @ y
    finite = air.arora_complexity(spectrum, in_range)
    quadratic = np.trace(in_range.T @ y)  # yᵀΘ Θ⁺ Θy = yᵀΘy
    assert finite.value == pytest.approx(np.sqrt(2 * quadratic / 60), rel=1e-10)
    assert finite.n_clipped == 35
    assert "were left out" in finite.reason


def test_single_numbers_need_the_whole_spectrum():
    top = decompose(spectral_problem("step").matrix, top_k=4)
    for function in (air.kernel_target_alignment, air.arora_complexity):
        with pytest.raises(ValueError, match=r"spectrum must be complete .* top 4 of 60 modes"):
            function(top, labels())
