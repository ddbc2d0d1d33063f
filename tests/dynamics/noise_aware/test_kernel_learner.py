"""The closed forms against gradient flow by the matrix exponential, row by row."""

import numpy as np
import pytest
import scipy.linalg

from ntk_air.dynamics.noise_aware.kernel_learner import KernelLearner
from tests.helpers.problems import random_orthogonal

N, C = 12, 3


def kernel(n=N, seed=0):
    vectors = np.asarray(random_orthogonal(n, seed=seed))
    return vectors @ np.diag(np.geomspace(5, 0.05, n)) @ vectors.T


def learner_of(theta, n_modes=None):
    values, vectors = np.linalg.eigh(theta)
    return KernelLearner(values[::-1][:n_modes], vectors[:, ::-1][:, :n_modes])


def flow(theta, targets, time):
    """f_t = (I − e^{−tΘ})y."""
    return targets - scipy.linalg.expm(-time * theta) @ targets


def targets(seed=1, n=N):
    return np.random.default_rng(seed).dirichlet(np.ones(C), size=n)


def signal(n=40):
    """Kernel of points on a line, and classes along it with noise: best stopped half way."""
    x = np.linspace(0, 3, n)
    noise = np.random.default_rng(0).normal(size=(n, C))
    y = np.stack([x < 1, (x >= 1) & (x < 2), x >= 2], axis=1) + 0.5 * noise
    return np.exp(-((x[:, None] - x) ** 2)) + 0.02 * np.eye(n), y


@pytest.mark.parametrize("n_modes", [N, 5])
def test_a_left_out_output_is_the_target_that_predicts_itself(n_modes):
    learner = learner_of(kernel(), n_modes)
    theta = learner.eigenvectors @ np.diag(learner.eigenvalues) @ learner.eigenvectors.T
    y = targets()
    fit = learner.fit(y)
    for row in range(N):
        replaced = y.copy()
        replaced[row] = fit.left_out[row]
        own = flow(theta, replaced, learner.times[fit.stop])[row]
        np.testing.assert_allclose(own, fit.left_out[row], rtol=0, atol=1e-9)


def left_out_errors(theta, y, times):
    """Mean squared leave-one-out errors by their definition, at each time."""
    errors = []
    for time in times:
        smoother = np.eye(len(y)) - scipy.linalg.expm(-time * theta)
        own = np.diag(smoother)[:, None]
        errors.append(np.mean(((smoother @ y - own * y) / (1 - own) - y) ** 2))
    return np.array(errors)


def test_training_stops_where_left_out_targets_are_predicted_best():
    theta, y = signal()
    learner = learner_of(theta)
    errors = left_out_errors(theta, y, learner.times)
    stop = learner.fit(y).stop
    assert stop == int(np.argmin(errors))
    assert 0 < stop < len(errors) - 1


def test_a_search_from_elsewhere_goes_down_to_where_no_neighbour_is_better():
    theta, y = signal()
    learner = learner_of(theta)
    errors = left_out_errors(theta, y, learner.times)
    for start in (0, 12, 23):
        stop = learner.fit(y, start).stop
        assert errors[stop] <= errors[start]
        assert errors[stop] <= errors[max(stop - 1, 0) : stop + 2].min()


def test_an_isotropic_kernel_says_nothing_of_any_label():
    fit = KernelLearner(np.full(N, 2.0), np.asarray(random_orthogonal(N, seed=0))).fit(targets())
    assert (fit.left_out == 0).all()


@pytest.mark.parametrize("n_modes", [N, 6])
def test_a_row_that_no_other_resembles_gets_no_opinion(n_modes):
    theta = np.zeros((N, N))
    theta[: N - 1, : N - 1] = kernel(N - 1)
    theta[-1, -1] = 3.0
    left_out = learner_of(theta, n_modes).fit(targets()).left_out
    assert (left_out[-1] == 0).all()
    assert (left_out[:-1] != 0).all()


@pytest.mark.parametrize("n_modes", [N, 5])
@pytest.mark.parametrize("n_shown", [4, 9])
def test_a_part_is_the_flow_on_its_rows_alone(n_modes, n_shown):
    learner = learner_of(kernel(), n_modes)
    theta = learner.eigenvectors @ np.diag(learner.eigenvalues) @ learner.eigenvectors.T
    rows = np.random.default_rng(3).permutation(N)
    shown, hidden = rows[:n_shown], rows[n_shown:]
    part = learner.split(shown, hidden)
    y, stop = targets(n=n_shown), 14
    coefficients = part.coefficients(y, stop)
    own = theta[np.ix_(shown, shown)]
    expected = flow(own, y, part.times[stop])
    np.testing.assert_allclose(part.eigenvectors @ coefficients, expected, atol=1e-9)
    dual = np.linalg.pinv(own, rcond=1e-11) @ expected
    at_hidden = theta[np.ix_(hidden, shown)] @ dual
    np.testing.assert_allclose(part.predict_hidden(y, stop), at_hidden, atol=1e-7)


def test_held_out_predictions_are_the_kernels_own():
    theta = kernel()
    learner = learner_of(theta[:9, :9])
    y, stop = targets(n=9), 14
    dual = np.linalg.solve(theta[:9, :9], flow(theta[:9, :9], y, learner.times[stop]))
    cross = learner.cross_modes(theta[9:, :9])
    np.testing.assert_allclose(learner.predict(cross, y, stop), theta[9:, :9] @ dual, atol=1e-10)


def test_modes_that_arithmetic_cannot_resolve_predict_nothing():
    theta = kernel()
    values, vectors = np.linalg.eigh(theta)
    values[0] = 1e-19
    learner = KernelLearner(values[::-1], vectors[:, ::-1])
    assert np.abs(learner.cross_modes(theta)).max() < 2
