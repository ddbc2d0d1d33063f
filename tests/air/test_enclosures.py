"""AIR between bounds, from a few products, against AIR from a whole decomposition."""

import numpy as np
import pytest

from ntk_air import air
from ntk_air.air import enclosures
from ntk_air.kernels.operators.operator import DenseKernel
from ntk_air.spectrum.decomposition import decompose
from ntk_air.spectrum.krylov import label_quadrature
from tests.air.reference import DYNAMICS, filtered_share, labels, noisy_labels
from tests.helpers.problems import SPECTRA, spectral_problem


def signal_and_noise():
    clean, expected, noisy = noisy_labels(1)
    return clean, noisy[0] - expected


def measures_of(matrix, n_products, **labels_by_name):
    quadrature = label_quadrature(DenseKernel(matrix), labels_by_name, max(n_products))
    for m in n_products:
        yield quadrature.measures(n_products=min(m, quadrature.n_products))


# The area's width after 2, 5 and 20 products of four columns in 60 dimensions.
WIDTHS = {
    "power_law": [0.95, 0.22, 1e-8],
    "step": [1e-8, 1e-8, 1e-8],
    "repeated": [0.51, 0.03, 1e-8],
    # Energy in eigenvalues that rounding cannot tell from 0 may be retrieved in any order.
    "rank_deficient": [0.53, 0.31, 0.3],
}


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("name", SPECTRA)
def test_enclosures_hold_the_curve_and_its_area(name, dynamics):
    matrix, (signal, noise) = spectral_problem(name).matrix, signal_and_noise()
    spectrum = decompose(matrix)
    options = {"learning_rate": 0.999 * spectrum.default_learning_rate, "dynamics": dynamics}
    truth = air.air_curve(spectrum, signal, noise, **options)
    widths = []
    for measures in measures_of(matrix, (2, 5, 20), signal=signal, noise=noise):
        found = air.air_curve_enclosure(measures["signal"], measures["noise"], **options)
        assert found.area.contains(np.array([truth.area])), (found.area, truth.area)
        turned = air.air_curve_enclosure(measures["noise"], measures["signal"], **options)
        assert turned.area.contains(np.array([1 - truth.area])), (turned.area, 1 - truth.area)
        widths.append(float(found.area.width[0]))
        for enclosure, u in ((found.signal, signal), (found.noise, noise)):
            shares = air.retrieved_share(spectrum, u, found.times, **options)
            # The reference, a sum of eigenvectors' shares, has rounding of its own.
            assert np.all(enclosure.lower - 1e-12 <= shares)
            assert np.all(shares <= enclosure.upper + 1e-12)
            assert np.all(np.diff(enclosure.lower) >= 0)
            assert np.all(np.diff(enclosure.upper) >= 0)
        assert found.times[0] == found.noise.upper[0] == 0
    assert np.all(np.array(widths) <= WIDTHS[name]), widths


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_shares_are_those_of_the_definition(dynamics):
    matrix, u = spectral_problem("power_law").matrix, labels()
    (measures,) = measures_of(matrix, [20], u=u)
    times, rate = [0, 1, 3, 10], 0.2
    expected = [filtered_share(matrix, u, t, learning_rate=rate, dynamics=dynamics) for t in times]
    found = air.retrieved_share_enclosure(
        measures["u"], np.append(times, np.inf), learning_rate=rate, dynamics=dynamics
    )
    np.testing.assert_allclose(found.estimate[:-1], expected, rtol=0, atol=1e-12)
    assert found.width[:-1].max() < 1e-10
    assert found.upper[-1] == 1
    assert found.lower[-1] > 1 - 1e-6  # no mode is slower than 1/3,600 of the fastest


def test_measures_of_different_products_are_refused():
    matrix, (signal, noise) = spectral_problem("power_law").matrix, signal_and_noise()
    (alone,), (other,) = (measures_of(matrix, [3], u=u) for u in (signal, noise))
    with pytest.raises(ValueError, match="signal and noise must be measures of the same"):
        air.air_curve_enclosure(alone["u"], other["u"])
    with pytest.raises(ValueError, match="n_points must be a whole number, at least 3"):
        air.air_curve_enclosure(alone["u"], alone["u"], n_points=2)


def test_a_share_is_off_by_twice_the_error_at_a_time_and_once_that_at_double_the_time(monkeypatch):
    """R_t = 1 − 2D_t + D_2t: errors of opposite signs add up."""
    measure = next(measures_of(spectral_problem("step").matrix, [2], u=labels(seed=1)))["u"]
    times, errors = np.array([1.0, 8.0]), {1.0: 0.1, 2.0: 0.03, 8.0: 0.2, 16.0: 0.7}

    def estimate_error(self, steps, **options):
        return np.array([errors[step] for step in steps])

    monkeypatch.setattr(type(measure), "estimate_error", estimate_error)
    found = enclosures._share_error(measure, times, 1.0, "descent")
    np.testing.assert_allclose(found, [0.23, 1.0], rtol=1e-15)


def test_the_least_area_of_known_points_is_that_under_their_polygon_or_staircase():
    height, position = np.array([0.0, 0.3, 0.8, 0.9]), np.array([0.0, 0.1, 0.4, 0.7])
    rises = np.diff(position)
    beyond = 0.9 * (1 - 0.7)  # the curve never falls
    joined = enclosures._least(height, position, np.full(3, True))
    assert joined == pytest.approx(np.trapezoid(height, position) + beyond, rel=1e-14)
    stepped = enclosures._least(height, position, np.full(3, False))
    assert stepped == pytest.approx(height[:-1] @ rises + beyond, rel=1e-14)
