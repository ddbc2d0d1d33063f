"""Two inequalities that enclosures rest on, each where both sides can be computed."""

import numpy as np
import pytest

from ntk_air.spectrum.krylov.enclosure import residual_bounds
from tests.helpers.problems import spectral_problem
from tests.spectrum.krylov.reference import decay_of, energy_shares, left_at, spectrum_of


def test_residuals_add_up_to_what_is_summed_step_by_step():
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, 9)
    leaving, amplitudes = rng.standard_normal((2, 9)), rng.standard_normal((9, 3))
    steps = np.arange(40.0)
    sizes = [
        np.linalg.norm(leaving @ ((1 - values) ** step * amplitudes.T).T) for step in steps[:-1]
    ]
    expected = np.append(0, np.cumsum(sizes)) ** 2
    residuals = (leaving.T @ leaving) * (amplitudes @ amplitudes.T)
    speeds = 1 - np.outer(1 - values, 1 - values)

    def bounds(times):
        return residual_bounds(times, left_at(values, times, 1.0, "descent"), speeds, residuals)

    np.testing.assert_allclose(bounds(steps), expected, rtol=1e-6)
    # Panels of several steps take no less, and not much more.
    panels = np.array([0.0, 1, 2, 4, 7, 11, 18, 39])
    ratio = bounds(panels)[1:] / expected[panels.astype(int)][1:]
    assert np.all((ratio > 1 - 1e-9) & (ratio < 1.3))


@pytest.mark.parametrize("dynamics", ["descent", "flow"])
def test_kernels_that_lie_close_have_decays_that_do(dynamics):
    problem, size = spectral_problem("power_law"), 1e-3
    rng = np.random.default_rng(1)
    labels, steps = rng.standard_normal((60, 1)), np.array([1.0, 3, 10, 100, 1000])
    noise = rng.standard_normal((60, 60))
    change = size * (noise + noise.T) / np.linalg.norm(noise + noise.T, 2)
    decays = []
    for matrix in (problem.matrix, problem.matrix + change):
        values, vectors = np.linalg.eigh(matrix + size * np.eye(60))
        shares = energy_shares(vectors, labels)
        decays.append(
            [decay_of(values, shares, k, rate=0.3, dynamics=dynamics) for k in (steps, 2 * steps)]
        )
    (before, before_twice), (after, _) = decays
    moves = steps * 0.3 * size
    difference = np.abs(after - before)
    assert np.all(difference <= moves * (np.sqrt(before_twice) + moves))
    assert difference.max() > 1e-3  # of the size that is bounded: 10 to 100 times less
    assert spectrum_of(problem.matrix)[0].min() > 0
