"""The AIR curve and its area against sums over steps, quadrature and spectra done by hand."""

import numpy as np
import pytest

from ntk_air import air
from ntk_air.spectrum.decomposition import decompose
from tests.air.reference import DYNAMICS, descent_area, flow_area, labels, on_modes
from tests.helpers.problems import SPECTRA, random_orthogonal, spectral_problem, with_eigenvalues


@pytest.mark.parametrize("fraction", [0.7, 1.0])
@pytest.mark.parametrize(
    ("dynamics", "reference"), [("descent", descent_area), ("flow", flow_area)]
)
@pytest.mark.parametrize("name", ["power_law", "step", "repeated"])
def test_area_is_the_integral(name, dynamics, reference, fraction):
    problem, y, z = spectral_problem(name), labels(seed=1), labels(seed=2)
    rate = fraction / problem.eigenvalues[0]
    curve = air.air_curve(decompose(problem.matrix), y, z, learning_rate=rate, dynamics=dynamics)
    a, b = (np.sum((problem.basis.T @ u) ** 2, axis=1) / np.sum(u**2) for u in (y, z))
    expected = reference(rate * problem.eigenvalues, a, b)
    assert curve.area == pytest.approx(expected, abs=1e-9)
    assert curve.notes == ()


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("name", SPECTRA)
def test_area_is_what_the_drawn_curve_encloses(name, dynamics):
    spectrum = decompose(spectral_problem(name).matrix)
    curve = air.air_curve(
        spectrum, labels(seed=1), labels(seed=2), dynamics=dynamics, n_points=5000
    )
    x, y = (np.append(np.asarray(values), 1.0) for values in (curve.noise, curve.signal))
    assert np.trapezoid(y, x) == pytest.approx(curve.area, abs=1e-6)
    times = np.asarray(curve.times)
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    assert dynamics == "flow" or (times == np.round(times)).all()


def test_descent_in_small_steps_has_the_area_of_the_flow():
    spectrum = decompose(spectral_problem("power_law").matrix)
    y, z = labels(seed=1), labels(seed=2)
    flow = air.air_curve(spectrum, y, z, dynamics="flow").area
    errors = [
        abs(air.air_curve(spectrum, y, z, learning_rate=rate).area - flow) for rate in (1e-3, 1e-4)
    ]
    # −ln(1 − ηλ)/η − λ is of first order in η.
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.02)
    assert errors[0] < 1e-6


def test_two_modes_by_hand():
    # Signal in mode 1, noise in mode 2, flow, μ₁ = 2μ₂. With w = e^{−tμ₂}, R_t(y) = (1 − w²)² and
    # R_t(ζ) = (1 − w)²: ∫₀¹ (1 − w²)² 2(1 − w) dw = 2(1 − 2/3 + 1/5 − 1/2 + 1/2 − 1/6) = 11/15.
    problem = with_eigenvalues(np.array([2.0, 1.0]))
    spectrum = decompose(problem.matrix)
    first, second = on_modes(problem, [1, 0]), on_modes(problem, [0, 1])
    assert air.air_curve(spectrum, first, second, dynamics="flow").area == pytest.approx(11 / 15)
    assert air.air_curve(spectrum, second, first, dynamics="flow").area == pytest.approx(4 / 15)


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("rank", [60, 20])
def test_an_isotropic_kernel_gives_one_half(rank, dynamics):
    problem = with_eigenvalues(np.repeat([3.0, 0.0], [rank, 60 - rank]))
    spectrum = decompose(problem.matrix)
    curve = air.air_curve(spectrum, labels(seed=1), labels(seed=2), dynamics=dynamics)
    reach = [np.sum((problem.basis[:, :rank].T @ labels(seed=s)) ** 2) for s in (1, 2)]
    reach /= np.array([np.sum(labels(seed=s) ** 2) for s in (1, 2)])
    # The diagonal up to the reachable shares, then a straight line to (1, 1).
    expected = 0.5 * reach[0] * reach[1] + (1 - reach[1]) * (1 + reach[0]) / 2
    assert curve.area == pytest.approx(expected, abs=1e-12)
    assert curve.area_among_retrieved == pytest.approx(0.5, abs=1e-12)
    np.testing.assert_allclose(curve.signal * reach[1], curve.noise * reach[0], atol=1e-12)
    assert bool(curve.notes) == (rank < 60)
    same = air.air_curve(spectrum, labels(), labels(), dynamics=dynamics)
    assert same.area == pytest.approx(0.5, abs=1e-12)


def test_perfect_anisotropy_gives_one_and_its_reverse_zero():
    problem = with_eigenvalues(np.array([1.0, 1e-9]))
    spectrum = decompose(problem.matrix)
    first, second = on_modes(problem, [1, 0]), on_modes(problem, [0, 1])
    assert air.air_curve(spectrum, first, second).area == pytest.approx(1, abs=1e-12)
    assert air.air_curve(spectrum, second, first).area == pytest.approx(0, abs=1e-12)


def test_energy_in_zero_modes_counts_as_retrieved_last():
    y, z = labels(seed=1), labels(seed=2)
    zero = decompose(spectral_problem("rank_deficient").matrix)
    nearly = with_eigenvalues(np.maximum(SPECTRA["rank_deficient"], 1e-8))
    limit = air.air_curve(decompose(nearly.matrix), y, z)
    curve = air.air_curve(zero, y, z)
    assert limit.signal_never_retrieved == 0
    assert 0.3 < curve.signal_never_retrieved < 0.9
    assert curve.area == pytest.approx(limit.area, abs=1e-6)
    assert "counts as never retrieved" in curve.notes[0]


def test_a_truncated_spectrum_says_what_it_does_not_hold():
    problem, y, z = spectral_problem("power_law"), labels(seed=1), labels(seed=2)
    curve = air.air_curve(decompose(problem.matrix, top_k=12), y, z)
    held = np.sum((problem.basis[:, :12].T @ y) ** 2) / np.sum(y**2)
    assert curve.signal_never_retrieved == pytest.approx(1 - held)
    assert "outside the modes held" in curve.notes[0]
    assert 0 <= curve.area <= 1


@pytest.mark.parametrize("name", SPECTRA)
def test_numbers_do_not_depend_on_the_basis_or_the_order_of_inputs(name):
    problem, y, z = spectral_problem(name), labels(seed=1), labels(seed=2)
    ends = np.array([group[-1] for group in problem.groups])
    turn = random_orthogonal(60, seed=5)
    shuffle = np.eye(60)[np.random.default_rng(6).permutation(60)]

    def numbers(matrix, y, z):
        spectrum = decompose((matrix + matrix.T) / 2)
        curve = air.air_curve(spectrum, y, z)
        window = air.air_window(spectrum, y, z, 0.7)
        return np.array(
            [
                curve.area,
                curve.signal_never_retrieved,
                curve.noise_never_retrieved,
                np.log(window.start),
                np.log(window.end),
                air.kernel_target_alignment(spectrum, y),
                air.arora_complexity(spectrum, matrix @ y).value,
                spectrum.effective_rank,
                *air.energy_in_top(spectrum, y)[ends],
            ]
        )

    expected = numbers(problem.matrix, y, z)
    for q in (turn, shuffle):
        again = numbers(q @ problem.matrix @ q.T, q @ y, q @ z)
        np.testing.assert_allclose(again, expected, rtol=1e-8, atol=1e-11)


def test_a_curve_has_three_points_or_more():
    spectrum = decompose(spectral_problem("step").matrix)
    assert len(air.air_curve(spectrum, labels(seed=1), labels(seed=2), n_points=3).times) == 3
    with pytest.raises(ValueError, match=r"n_points must be .* at least 3"):
        air.air_curve(spectrum, labels(seed=1), labels(seed=2), n_points=2)
