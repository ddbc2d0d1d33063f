"""AIR against definitions: explicit matrix powers, quadrature, spectra done by hand."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from ntk_air import air
from ntk_air.air import area, complexity, energies, rates
from ntk_air.spectrum.decomposition import decompose
from tests.lowering import assert_lowers
from tests.problems import SPECTRA, random_orthogonal, spectral_problem, with_eigenvalues
from tests.spectrum.operators import ProductOnly

DYNAMICS = ["descent", "flow"]


def labels(n_draw=None, n_out=3, seed=0, n=60):
    shape = (n, n_out) if n_draw is None else (n_draw, n, n_out)
    return np.random.default_rng(seed).standard_normal(shape)


def on_modes(problem, weights):
    """A single-output label vector with the given amplitudes on the eigenvectors as set."""
    return problem.basis @ np.asarray(weights, float)[:, None]


def filtered_share(matrix, u, t, learning_rate, dynamics):
    """‖g_t(Θ)u‖²/‖u‖² with the matrix power, or the matrix exponential, written out."""
    n = len(matrix)
    if dynamics == "descent":
        residual = np.linalg.matrix_power(np.eye(n) - learning_rate * matrix, t)
    else:
        residual = scipy.linalg.expm(-t * learning_rate * matrix)
    return np.sum((u - residual @ u) ** 2) / np.sum(u**2)


def flow_area(speeds, a, b):
    """∫ R_t(y) dR_t(ζ) over ln t by adaptive quadrature."""

    def integrand(log_time):
        left = np.exp(-np.exp(log_time) * speeds)
        slope = np.sum(b * 2 * (1 - left) * speeds * left)
        return np.sum(a * (1 - left) ** 2) * slope * np.exp(log_time)

    value, _ = scipy.integrate.quad(integrand, -25, 25, limit=500, epsabs=1e-12, epsrel=1e-12)
    return value


def descent_area(speeds, a, b):
    """Trapezoids between all steps until the slowest mode is left with e⁻⁴⁰."""
    signal, noise = np.zeros(1), np.zeros(1)
    left, area = np.ones_like(speeds), 0.0
    for _ in range(int(40 / speeds.min())):
        left *= 1 - speeds
        next_signal, next_noise = a @ (1 - left) ** 2, b @ (1 - left) ** 2
        area += (signal + next_signal) / 2 * (next_noise - noise)
        signal, noise = next_signal, next_noise
    return area.item()


# --- energies -----------------------------------------------------------------------------------


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


# --- rates and retrieved shares -----------------------------------------------------------------


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
        expected = [filtered_share(problem.matrix, u, t, rate, dynamics) for t in steps]
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
    assert found[1] == pytest.approx(early, rel=1e-10)
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


# --- the curve and its area ---------------------------------------------------------------------


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


# --- the window ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_the_window_of_two_modes_by_hand(dynamics):
    problem = with_eigenvalues(np.array([0.5, 0.01]))
    spectrum = decompose(problem.matrix)
    window = air.air_window(
        spectrum,
        on_modes(problem, [1, 0]),
        on_modes(problem, [0, 1]),
        0.19,
        delta_prime=0.04,
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
    swapped = air.air_window(spectrum, second, first, 1.0, delta_prime=0.0)
    assert (swapped.start, swapped.end) == (0, 0)
    with pytest.raises(ValueError, match=r"delta must lie in \[0, 1\]"):
        air.air_window(spectrum, first, second, 1.5)
    with pytest.raises(ValueError, match=r"delta_prime must lie in \[0, 1\]"):
        air.air_window(spectrum, first, second, 0.5, delta_prime=-0.1)


# --- single numbers -----------------------------------------------------------------------------


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


# --- summaries, spreads, the control ------------------------------------------------------------


def noisy_digits(n_draw, n=60, seed=0):
    """Centred one-hot labels of three classes, 40 % flipped: (y, E[ỹ | y], ỹ of each draw)."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(3, size=n)
    flipped = rng.random((n_draw, n)) < 0.4
    drawn = np.where(flipped, (classes + rng.integers(1, 3, size=(n_draw, n))) % 3, classes)
    clean = np.eye(3)[classes] - 1 / 3
    return clean, 0.4 * clean, np.eye(3)[drawn] - 1 / 3


def test_the_summary_gathers_the_numbers():
    spectrum = decompose(spectral_problem("power_law").matrix)
    clean, expected, draws = noisy_digits(1)
    found = air.air_summary(spectrum, clean, expected, draws[0], delta=0.6, delta_prime=0.7)
    centred = draws[0] - expected
    np.testing.assert_array_equal(found.energy_clean, air.energy_in_top(spectrum, clean))
    np.testing.assert_array_equal(found.energy_noise_centred, air.energy_in_top(spectrum, centred))
    raw = air.energy_in_top(spectrum, draws[0] - clean)
    np.testing.assert_array_equal(found.energy_noise_raw, raw)
    np.testing.assert_array_equal(found.energy_noisy, air.energy_in_top(spectrum, draws[0]))
    assert found.auc == air.air_curve(spectrum, clean, centred).area
    assert found.window == air.air_window(spectrum, clean, centred, 0.6, delta_prime=0.7)
    np.testing.assert_array_equal(found.half_lives, air.retrieval_half_lives(spectrum))
    assert found.learning_rate == spectrum.default_learning_rate
    assert found.effective_rank == spectrum.effective_rank
    assert found.notes == ()


def test_without_noise_there_is_nothing_to_compare_with():
    spectrum = decompose(spectral_problem("power_law").matrix)
    clean = noisy_digits(1)[0]
    found = air.air_summary(spectrum, clean, clean, clean)
    assert found.auc is found.curve is found.window is found.energy_noise_centred is None
    assert "the noise is zero" in found.notes[0]
    spread = air.air_over_draws(spectrum, clean, clean, clean[None])
    assert spread.auc is spread.energy_noise_centred is spread.energy_noise_raw is None
    assert "the noise is zero" in spread.notes[0]


def test_draws_together_equal_draws_one_by_one():
    spectrum = decompose(spectral_problem("power_law").matrix)
    clean, expected, draws = noisy_digits(4)
    together = air.air_over_draws(spectrum, clean, expected, draws)
    single = [air.air_summary(spectrum, clean, expected, draw) for draw in draws]
    values = np.array([summary.auc for summary in single])
    np.testing.assert_allclose(together.auc.values, values, atol=1e-13)
    assert together.auc.mean == pytest.approx(values.mean())
    assert together.auc.std == pytest.approx(values.std(ddof=1))
    for name in ("energy_noise_centred", "energy_noise_raw", "energy_noisy"):
        curves = np.array([getattr(summary, name) for summary in single])
        np.testing.assert_allclose(getattr(together, name).values, curves, atol=1e-13)
        np.testing.assert_allclose(getattr(together, name).mean, curves.mean(axis=0), atol=1e-13)
    repeated = air.air_over_draws(spectrum, clean, np.stack([expected] * 4), draws)
    np.testing.assert_array_equal(repeated.auc.values, together.auc.values)
    assert air.air_over_draws(spectrum, clean, expected, draws[:1]).auc.std is None


def test_raw_noise_hides_anisotropy_that_centred_noise_shows():
    # The signal lies in the top modes, the flips everywhere; raw noise keeps 60 % of the signal.
    clean, expected, draws = noisy_digits(6)
    diagonal = np.random.default_rng(0).uniform(0.005, 0.015, 60)
    kernel = clean @ clean.T + np.diag(diagonal)
    found = air.air_over_draws(decompose(kernel), clean, expected, draws)
    assert found.auc.mean > 0.9
    assert found.auc_raw_noise.mean < found.auc.mean - 0.1


@pytest.mark.parametrize("name", SPECTRA)
def test_random_labels_have_an_area_of_one_half(name):
    spectrum = decompose(spectral_problem(name).matrix)
    clean, expected, draws = noisy_digits(200)
    control = air.random_label_control(spectrum, clean, draws - expected, seed=3)
    error = control.std / np.sqrt(200)
    assert abs(control.mean - 0.5) < 4 * error
    assert error < 0.02


def test_random_labels_are_drawn_from_the_rows_given():
    clean = noisy_digits(1)[0]
    drawn = air.random_labels(clean, n_draw=50, seed=0)
    assert drawn.shape == (50, 60, 3)
    rows, counts = np.unique(drawn.reshape(-1, 3), axis=0, return_counts=True)
    np.testing.assert_allclose(rows, np.unique(clean, axis=0), atol=1e-15)
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(1000 * 2 / 3)
    np.testing.assert_array_equal(drawn, air.random_labels(clean, n_draw=50, seed=0))
    assert (drawn != air.random_labels(clean, n_draw=50, seed=1)).any()
    with pytest.raises(ValueError, match="clean must have at least two distinct rows"):
        air.random_labels(np.ones((60, 1)), n_draw=2, seed=0)
    with pytest.raises(ValueError, match=r"n_draw must be .* at least 1"):
        air.random_labels(clean, n_draw=0, seed=0)


# --- precision, compilation, platforms ----------------------------------------------------------


def test_single_precision_agrees_with_double():
    problem, y, z = spectral_problem("step"), labels(seed=1), labels(seed=2)
    single = decompose(problem.matrix, precision="float32")
    double = decompose(problem.matrix)
    curve = air.air_curve(single, y, z)
    assert curve.signal.dtype == jnp.float32
    assert curve.area == pytest.approx(air.air_curve(double, y, z).area, abs=1e-5)
    window, wanted = (air.air_window(s, y, z, 0.7) for s in (single, double))
    assert window.start == pytest.approx(wanted.start, rel=1e-3)
    assert air.arora_complexity(single, y).value == pytest.approx(
        air.arora_complexity(double, y).value, rel=1e-3
    )


def test_products_alone_are_enough():
    problem, y, z = spectral_problem("power_law"), labels(seed=1), labels(seed=2)
    top = decompose(ProductOnly(problem.matrix), top_k=10)
    dense = decompose(problem.matrix, top_k=10)
    areas = [air.air_curve(spectrum, y, z).area for spectrum in (top, dense)]
    assert areas[0] == pytest.approx(areas[1], abs=1e-11)


def test_new_numbers_compile_nothing(caplog):
    from jax import log_compiles

    def compiled(seed, rate):
        spectrum = decompose(spectral_problem("power_law", seed).matrix)
        clean, expected, draws = noisy_digits(3, seed=seed)
        caplog.clear()
        with log_compiles():
            air.air_summary(spectrum, clean, expected, draws[0], learning_rate=rate)
            air.air_over_draws(spectrum, clean, expected, draws, learning_rate=rate)
        return [record for record in caplog.records if "Compiling" in record.getMessage()]

    compiled(0, 0.1)
    assert not compiled(1, 0.2)


def test_lowers_for_accelerators():
    modes, points = jnp.ones(60), jnp.ones(7)
    draws = jnp.ones((4, 60))
    assert_lowers(energies._shares, jnp.ones((60, 60)), jnp.ones((4, 60, 3)))
    for dynamics in DYNAMICS:
        assert_lowers(partial(area.area_under_curve, dynamics=dynamics), modes, draws, draws)
    assert_lowers(area.shares_at, modes, modes, points)
    assert_lowers(area.bracket_crossing, modes, modes, jnp.ones(()), jnp.ones(2))
    assert_lowers(rates._dimension, modes, points)
    assert_lowers(rates._half_lives, modes)
    assert_lowers(lambda *xs: rates._rates(*xs, True), modes, jnp.ones(()), jnp.ones(()))
    assert_lowers(complexity._inverse_moment, modes, modes, modes > 0)
