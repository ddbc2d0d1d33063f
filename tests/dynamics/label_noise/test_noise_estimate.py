"""The noise estimate against refits, planted rates and the likelihood's own definition."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from ntk_air.dynamics.label_noise import noise_estimate
from ntk_air.dynamics.label_noise.flip_likelihood import class_shares, fit_flips
from ntk_air.dynamics.label_noise.noise_estimate import estimate_noise, leave_one_out
from tests.dynamics.reference import (
    SPECTRA,
    kernel_with,
    noisy_problem,
    one_hot,
    spectrum_of,
    step_by_step,
)
from tests.helpers.lowering import assert_lowers
from tests.helpers.problems import random_orthogonal
from tests.helpers.type_checks import without_type_checks

N = 24


def blobs(n, n_classes, flipped, seed=0):
    """An RBF kernel on separated blobs, and their labels with a share flipped evenly."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, n_classes, n)
    points = 5.0 * np.eye(n_classes)[classes] + rng.normal(size=(n, n_classes))
    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    shift = rng.integers(1, n_classes, n)
    noisy = np.where(rng.random(n) < flipped, (classes + shift) % n_classes, classes)
    return spectrum_of(np.exp(-square / 8)), classes, noisy


def coded(classes, n_classes):
    return 2.0 * classes[:, None] - 1 if n_classes == 2 else one_hot(classes, n_classes)


@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("steps", [1, 30, 3000])
def test_a_left_out_label_that_is_its_own_prediction_changes_nothing(n_out, steps):
    kernel = kernel_with(SPECTRA["power_law"](N))
    _, noisy = noisy_problem(N, n_out)
    spectrum = spectrum_of(kernel)
    outputs = np.asarray(leave_one_out(spectrum, noisy, steps=steps))
    for row in (0, 5, N - 1):
        without = noisy.copy()
        without[row] = outputs[row]
        refit, _ = step_by_step(
            kernel,
            lambda *_, target=without: target,
            learning_rate=spectrum.default_learning_rate,
            steps=[steps],
            initial=np.zeros_like(noisy),
        )[steps]
        np.testing.assert_allclose(refit[row], outputs[row], rtol=1e-9, atol=1e-12)


def test_it_is_close_to_the_refit_without_the_row():
    spectrum, _, noisy = blobs(60, 3, 0.3)
    kernel = np.asarray(spectrum.eigenvectors * spectrum.eigenvalues) @ spectrum.eigenvectors.T
    labels, steps = one_hot(noisy, 3), 20
    rate = spectrum.default_learning_rate
    fitted = {}
    for row in range(60):
        rest = np.delete(np.arange(60), row)
        _, dual = step_by_step(
            kernel[np.ix_(rest, rest)],
            lambda *_, kept=labels[rest]: kept,
            learning_rate=rate,
            steps=[steps],
            initial=np.zeros((59, 3)),
        )[steps]
        fitted[row] = kernel[row, rest] @ dual
    refits = np.array([fitted[row] for row in range(60)])
    with_all, _ = step_by_step(
        kernel, lambda *_: labels, learning_rate=rate, steps=[steps], initial=np.zeros((60, 3))
    )[steps]
    own_say = np.linalg.norm(with_all - refits)
    left_out = leave_one_out(spectrum, labels, steps=steps)
    assert np.linalg.norm(left_out - refits) < own_say / 3


@pytest.mark.parametrize(("n_classes", "rate"), [(2, 0.15), (2, 0.35), (4, 0.3), (4, 0.6)])
def test_labels_drawn_from_the_model_give_back_rate_and_temperature(n_classes, rate):
    n, temperature = 4000, 0.3
    errors = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        outputs = rng.normal(size=(n, 1 if n_classes == 2 else n_classes))
        logits = np.hstack([-outputs, outputs]) / 2 if n_classes == 2 else outputs
        powers = np.exp(logits / temperature)
        below = np.cumsum(powers / powers.sum(axis=1, keepdims=True), axis=1)
        clean = np.minimum((rng.random((n, 1)) > below).sum(axis=1), n_classes - 1)
        shift = rng.integers(1, n_classes, n)
        noisy = np.where(rng.random(n) < rate, (clean + shift) % n_classes, clean)
        fit = fit_flips(outputs, coded(noisy, n_classes))
        errors.append((fit.noise_rate - rate) / fit.noise_rate_std_error)
        np.testing.assert_allclose(fit.temperature, temperature, rtol=0.3)
        assert 0 < fit.noise_rate_std_error < 0.05
    # Four standard normal errors: their root mean square exceeds 2 with probability 0.003.
    assert np.sqrt(np.mean(np.square(errors))) < 2


@pytest.mark.parametrize(("n_classes", "rate"), [(2, 0.2), (3, 0.4)])
def test_the_rate_of_flipped_blobs_is_found(n_classes, rate):
    spectrum, classes, noisy = blobs(300, n_classes, rate)
    estimate = estimate_noise(spectrum, coded(noisy, n_classes))
    flipped = np.mean(noisy != classes)
    assert abs(estimate.noise_rate - flipped) < 3 * estimate.noise_rate_std_error < 0.15
    assert estimate.log_likelihood > estimate.chance_log_likelihood
    outputs = leave_one_out(spectrum, coded(noisy, n_classes), steps=estimate.steps)
    again = fit_flips(outputs, coded(noisy, n_classes))
    np.testing.assert_allclose(again.log_likelihood, estimate.log_likelihood, rtol=1e-5)


def test_random_labels_are_noise_alone():
    spectrum, _, _ = blobs(300, 3, 0.0)
    random = np.random.default_rng(5).integers(0, 3, 300)
    estimate = estimate_noise(spectrum, one_hot(random, 3))
    assert estimate.log_likelihood - estimate.chance_log_likelihood < 0.03


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("size", [2.0, 1e-3])
def test_of_an_isotropic_kernel_no_label_says_anything_of_another(n_classes, size):
    """Equal eigenvalues are found up to rounding, in any basis: the answer is exact."""
    n, rng = 60, np.random.default_rng(3)
    basis = random_orthogonal(n, 4)
    spectrum = spectrum_of(size * basis @ basis.T)
    labels = coded(rng.integers(0, n_classes, n), n_classes)
    for steps in (1, 2, 7, 1000, 2**20):
        assert np.abs(leave_one_out(spectrum, labels, steps=steps)).max() < 1e-12
    slow = leave_one_out(spectrum, labels, steps=5, learning_rate=0.3 / size)
    assert np.abs(slow).max() < 1e-12
    found = estimate_noise(spectrum, labels)
    assert not found.has_signal
    assert found.log_likelihood < -np.log(n_classes) + 1e-9
    assert f"of {n} of {n} labels no other label says anything" in found.notes


@pytest.mark.parametrize("own", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 6, 500])
def test_an_input_like_no_other_has_no_prediction_and_disturbs_none(own, steps):
    """Its K_ii is anything beside λ₁ of the rest, so that G_ii is 1 to rounding, or 1."""
    rest = kernel_with(SPECTRA["power_law"](N))
    largest = np.linalg.eigvalsh(rest)[-1]
    kernel = scipy.linalg.block_diag(rest, [[own * largest]])
    spectrum, noisy = spectrum_of(kernel), noisy_problem(N + 1, 3)[1]
    outputs = np.asarray(leave_one_out(spectrum, noisy, steps=steps))
    assert np.abs(outputs[N]).max() < 1e-12
    rate = spectrum.default_learning_rate
    alone = leave_one_out(spectrum_of(rest), noisy[:N], steps=steps, learning_rate=rate)
    np.testing.assert_allclose(outputs[:N], alone, rtol=1e-7, atol=1e-9)


def test_after_any_number_of_steps_the_slowest_mode_is_left():
    """All of (1 − ηλ)ᵗ underflow; their ratio does not: f_i = y_i − (v·y)/v_i of the last mode."""
    kernel = kernel_with(np.array([1.0, 0.9, 0.8, 0.5]))
    spectrum, noisy = spectrum_of(kernel), noisy_problem(4, 3)[1]
    last = np.asarray(spectrum.eigenvectors)[:, -1:]
    wanted = noisy - (last.T @ noisy) / last
    found = leave_one_out(spectrum, noisy, steps=2**20)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda y: y[:, 0], "one row for each of 24 inputs"),
        (lambda y: np.where(np.arange(N)[:, None] == 3, 0.0, y), "in the target coding"),
        (lambda y: y + 0.5, "in the target coding"),
        (lambda y: y.tolist(), "an array of NumPy or JAX; got a list"),
        (lambda y: y + 0j, "got dtype complex128"),
    ],
)
@pytest.mark.parametrize("n_out", [1, 3])
def test_labels_that_are_not_coded_as_documented_are_refused(spoil, message, n_out):
    spectrum = spectrum_of(kernel_with(SPECTRA["power_law"](N)))
    labels = spoil(noisy_problem(N, n_out)[1])
    with without_type_checks(), pytest.raises(ValueError, match=f"noisy must .*{message}"):
        estimate_noise(spectrum, labels)
    with without_type_checks(), pytest.raises(ValueError, match=f"noisy must .*{message}"):
        leave_one_out(spectrum, labels, steps=1)


def test_class_shares_count_hard_labels():
    np.testing.assert_allclose(
        class_shares(np.array([[-0.2], [3.0], [0.1], [0.0]])), [0.375, 0.625]
    )
    np.testing.assert_allclose(class_shares(one_hot(np.array([0, 2, 2, 1]), 3)), [0.25, 0.25, 0.5])


def test_leave_one_out_lowers_for_every_platform():
    spectrum = spectrum_of(kernel_with(SPECTRA["power_law"](N)))

    def left_out(arrays, rate, steps):
        return noise_estimate._leave_one_out(*arrays, rate=rate, steps=steps, floor=rate * 1e-14)

    arrays = (spectrum.eigenvalues, spectrum.eigenvectors, jnp.asarray(noisy_problem(N, 3)[1]))
    assert_lowers(left_out, arrays, jnp.asarray(1.0), jnp.asarray(3.0))


def test_bad_arguments_are_refused():
    kernel = kernel_with(SPECTRA["power_law"](N))
    spectrum, noisy = spectrum_of(kernel), noisy_problem(N, 3)[1]
    with pytest.raises(ValueError, match=r"spectrum must hold all modes.*got 5 of 24"):
        estimate_noise(spectrum_of(kernel, top_k=5), noisy)
    with pytest.raises(ValueError, match="noisy must have one row for each of 24 inputs"):
        estimate_noise(spectrum, noisy[1:])
    with pytest.raises(ValueError, match="noisy must hold labels in the target coding"):
        estimate_noise(spectrum, 2 * noisy)
    with pytest.raises(ValueError, match="at least two classes; got one"):
        estimate_noise(spectrum, np.ones((N, 1)))
    with pytest.raises(ValueError, match="noisy must be finite"):
        estimate_noise(spectrum, np.where(noisy > 0, np.nan, noisy))
    with pytest.raises(ValueError, match="steps must be a whole number, at least 1"):
        leave_one_out(spectrum, noisy, steps=0)


def test_steps_that_the_rows_cannot_tell_apart_are_those_within_a_standard_error_over_rows():
    """400 rows that differ by ±1: means within √2/20 ≈ 0.07 of the best are as good as it."""
    signs = np.where(np.random.default_rng(0).random((5, 400)) < 0.5, 1.0, -1.0)
    signs -= signs.mean(axis=1, keepdims=True)
    for behind, middle in (
        ([0.0, 0.05, 0.05, 0.3, 0.3], 1),
        ([0.3, 0.3, 0.3, 0.0, 0.05], 3),
        ([0.3, 0.3, 0.0, 0.3, 0.01], 2),  # alike, but beyond one that is not
    ):
        rows = signs - np.array(behind)[:, None]
        assert noise_estimate._middle_of_the_best(rows) == middle


def test_the_standard_error_is_that_of_a_sample():
    """Of two paired differences it is half of what they are apart.

    Those of −0.1 and 1 have mean 0.45 and standard error 0.55; of a population it would be 0.39.
    """
    rows = np.array([[0.0, 0.0], [0.1, -1.0], [0.1, -1.0]])
    assert noise_estimate._middle_of_the_best(rows) == 1
    assert noise_estimate._middle_of_the_best(rows - [[0.0], [0.11], [0.11]]) == 0
