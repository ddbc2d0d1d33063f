"""Summaries, spreads over draws, the random-label control; precision and compilation."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air import air
from ntk_air.air import area, energies, rates
from ntk_air.problem import Labels, Problem
from ntk_air.spectrum.decomposition import decompose
from tests.air.reference import (
    DYNAMICS,
    labels,
    noisy_labels,
)
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers
from tests.helpers.problems import SPECTRA, spectral_problem
from tests.spectrum.operators import ProductOnly


def problem_of(spectrum, clean, expected, noisy):
    return Problem(Labels(noisy=noisy, clean=clean, expected_noisy=expected), spectrum=spectrum)


def test_a_summary_needs_all_three_labels_and_a_spectrum():
    matrix = spectral_problem("step").matrix
    spectrum, u = decompose(matrix), labels()
    for parts, missing in (
        (Labels(noisy=u, expected_noisy=u), "clean"),
        (Labels(noisy=u, clean=u), "expected_noisy"),
    ):
        with pytest.raises(ValueError, match=f"{missing} must be given with the problem"):
            air.air_summary(Problem(parts, spectrum=spectrum))
    with pytest.raises(ValueError, match="spectrum must be given with the problem"):
        air.air_summary(Problem(Labels(noisy=u, clean=u, expected_noisy=u), matrix))


def test_the_summary_gathers_the_numbers():
    spectrum = decompose(spectral_problem("power_law").matrix)
    clean, expected, draws = noisy_labels(1)
    problem = problem_of(spectrum, clean, expected, draws[0])
    found = air.air_summary(problem, delta=0.6, delta_prime=0.7)
    centred = draws[0] - expected
    np.testing.assert_array_equal(found.energy_clean, air.energy_in_top(spectrum, clean))
    np.testing.assert_array_equal(found.energy_noise_centred, air.energy_in_top(spectrum, centred))
    raw = air.energy_in_top(spectrum, draws[0] - clean)
    np.testing.assert_array_equal(found.energy_noise_raw, raw)
    np.testing.assert_array_equal(found.energy_noisy, air.energy_in_top(spectrum, draws[0]))
    assert found.auc == air.air_curve(spectrum, clean, centred).area
    assert found.window == air.air_window(spectrum, clean, centred, (0.6, 0.7))
    alike = air.air_summary(problem, delta=0.6).window
    assert (alike.delta, alike.delta_prime) == (0.6, 0.6)
    np.testing.assert_array_equal(found.half_lives, air.retrieval_half_lives(spectrum))
    assert found.learning_rate == spectrum.default_learning_rate
    assert found.effective_rank == spectrum.effective_rank
    assert found.notes == ()


def test_without_noise_there_is_nothing_to_compare_with():
    spectrum = decompose(spectral_problem("power_law").matrix)
    clean = noisy_labels(1)[0]
    found = air.air_summary(problem_of(spectrum, clean, clean, clean))
    assert found.auc is found.curve is found.window is found.energy_noise_centred is None
    assert "the noise is zero" in found.notes[0]
    spread = air.air_over_draws(spectrum, clean, clean, clean[None])
    assert spread.auc is spread.energy_noise_centred is spread.energy_noise_raw is None
    assert "the noise is zero" in spread.notes[0]


def test_one_draw_without_noise_is_enough_to_refuse():
    spectrum = decompose(spectral_problem("power_law").matrix)
    clean, expected, draws = noisy_labels(2)
    noises = (draws - expected) * np.array([1.0, 0.0])[:, None, None]
    with pytest.raises(ValueError, match="noises must not be all zero"):
        air.auc_over_draws(spectrum, clean[None], noises)
    assert air.air_over_draws(spectrum, clean, expected, expected + noises).auc is None


def test_draws_together_equal_draws_one_by_one():
    spectrum = decompose(spectral_problem("power_law").matrix)
    clean, expected, draws = noisy_labels(4)
    together = air.air_over_draws(spectrum, clean, expected, draws)
    single = [air.air_summary(problem_of(spectrum, clean, expected, draw)) for draw in draws]
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
    clean, expected, draws = noisy_labels(6)
    diagonal = np.random.default_rng(0).uniform(0.005, 0.015, 60)
    kernel = clean @ clean.T + np.diag(diagonal)
    found = air.air_over_draws(decompose(kernel), clean, expected, draws)
    assert found.auc.mean > 0.9
    assert found.auc_raw_noise.mean < found.auc.mean - 0.1


@pytest.mark.parametrize("name", SPECTRA)
def test_random_labels_have_an_area_of_one_half(name):
    spectrum = decompose(spectral_problem(name).matrix)
    clean, expected, draws = noisy_labels(200)
    control = air.random_label_control(spectrum, clean, draws - expected, seed=3)
    error = control.std / np.sqrt(200)
    assert abs(control.mean - 0.5) < 4 * error
    assert error < 0.02


def test_random_labels_are_drawn_from_the_rows_given():
    clean = noisy_labels(1)[0]
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


def test_new_numbers_compile_nothing():
    def numbers(seed, rate):
        spectrum = decompose(spectral_problem("power_law", seed).matrix)
        clean, expected, draws = noisy_labels(3, seed=seed)
        air.air_summary(problem_of(spectrum, clean, expected, draws[0]), learning_rate=rate)
        air.air_over_draws(spectrum, clean, expected, draws, learning_rate=rate)

    numbers(0, 0.1)
    with count_compilations() as compiled:
        numbers(1, 0.2)
    assert not compiled


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


def test_random_labels_are_centred_whatever_the_coding():
    drawn = air.random_labels(np.eye(3)[np.arange(60) % 3], n_draw=5, seed=0)
    rows = np.unique(drawn.reshape(-1, 3), axis=0)
    np.testing.assert_allclose(rows.sum(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(rows, np.unique(np.eye(3) - 1 / 3, axis=0), rtol=1e-15)
