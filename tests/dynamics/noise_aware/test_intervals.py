"""Bootstrap intervals against the binomial spread that they stand for."""

import numpy as np

import ntk_air as na
from ntk_air.dynamics.noise_aware.intervals import Intervals, bootstrap_intervals, joined

N = 400


def intervals(beliefs, given, **options):
    return bootstrap_intervals(
        given, beliefs, na.CleaningOptions(n_bootstrap=2000, **options), seed=0
    )


def test_certain_beliefs_have_the_rows_binomial_spread():
    true = np.repeat([0, 1], N // 2)
    given = np.where(np.arange(N) % 5 == 0, 1 - true, true)
    found = intervals(np.eye(2)[true], given, level=0.9)
    spread = 1.645 * np.sqrt(0.2 * 0.8 / N)
    np.testing.assert_allclose(found.rate, [0.2 - spread, 0.2 + spread], atol=0.006)
    spread = 1.645 * np.sqrt(0.2 * 0.8 / (N / 2))
    np.testing.assert_allclose(found.transition[:, 0, 1], [0.2 - spread, 0.2 + spread], atol=0.01)


def test_doubt_about_a_row_widens_them():
    given = np.zeros(N, int)
    given[0] = 1
    sure, doubtful = np.eye(2)[given], np.full((N, 2), 0.5)
    assert np.ptp(intervals(sure, given).rate) == 0
    low, high = intervals(doubtful, given).rate
    assert abs(high - low - 2 * 1.96 * 0.5 / N**0.5) < 0.01


def test_joined_intervals_hold_each():
    one, other = (Intervals(np.full((2, 2, 2), value), (value, 2 * value)) for value in (0.1, 0.3))
    both = joined([one, other])
    assert both.rate == (0.1, 0.6)
    assert (both.transition[0] == 0.1).all()
    assert (both.transition[1] == 0.3).all()
