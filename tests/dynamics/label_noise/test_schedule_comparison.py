"""Every method of the comparison against what defines it."""

import numpy as np
import pytest

from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.label_noise.schedule_comparison import (
    GRID_FACTORS,
    GRID_TEMPERATURES,
    GRID_WEIGHTS,
    TIMES,
    Validation,
    compare_schedules,
    split_rows,
    training_outcome,
)
from ntk_air.dynamics.rounds import ByRounds, Rounds
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.supervision import Constant, Hard, Restart, Sharpened, Supervision
from ntk_air.problem import HeldOut, Labels, Problem
from tests.dynamics.reference import one_hot, spectrum_of

N, N_TEST, N_CLASSES = 60, 40, 3


@pytest.fixture(scope="module")
def problem_and_validation():
    rng = np.random.default_rng(3)
    classes = rng.integers(0, N_CLASSES, N + N_TEST)
    points = 2.0 * np.eye(N_CLASSES)[classes] + rng.normal(size=(N + N_TEST, N_CLASSES))
    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    kernel = np.exp(-square / 4) + 1e-3 * np.eye(N + N_TEST)
    noisy = np.where(rng.random(N) < 0.3, (classes[:N] + 1) % N_CLASSES, classes[:N])
    fitted, held_back = split_rows(N, 0.2, seed=0)
    among = kernel[:N, :N]
    validation = Validation(
        spectrum=spectrum_of(among[np.ix_(fitted, fitted)]),
        cross_kernel=among[np.ix_(held_back, fitted)],
        fitted=fitted,
        held_back=held_back,
    )
    labels = Labels(one_hot(noisy, N_CLASSES), one_hot(classes[:N], N_CLASSES))
    held_out = HeldOut(kernel[N:, :N], one_hot(classes[N:], N_CLASSES))
    return Problem(labels, spectrum=spectrum_of(among), held_out=held_out), validation


@pytest.fixture(scope="module")
def problem(problem_and_validation):
    return problem_and_validation[0]


@pytest.fixture(scope="module")
def validation(problem_and_validation):
    return problem_and_validation[1]


@pytest.fixture(scope="module")
def comparison(problem, validation):
    return compare_schedules(problem, validation=validation)


def test_stops_are_points_of_plain_descent(problem, comparison):
    on_clean = problem.replace(labels=Labels(problem.clean, problem.clean))
    for name in (
        "oracle",
        "closest",
        "memorised",
        "validation",
        "leave_one_out",
        "clean_labels",
    ):
        score = comparison.scores[name]
        solved = on_clean if name == "clean_labels" else problem
        run = solve(solved, Descent(), [score.steps], ClosedForm())
        np.testing.assert_allclose(score.test_accuracy, run.held_out.accuracy[0])
        np.testing.assert_allclose(score.rms_distance, run.train.rms_distance[0])
    early = comparison.scores["leave_one_out"].steps
    # The nearest in ratio of steps that are a factor 2^¼ apart, or one step where they are whole.
    warm_up = comparison.schedule.noise.steps
    assert abs(np.log2(early / warm_up)) <= 1 / 8 or abs(early - warm_up) <= 0.5
    others = [comparison.scores[name] for name in ("memorised", "validation", "leave_one_out")]
    best, closest = comparison.scores["oracle"], comparison.scores["closest"]
    assert best.test_accuracy >= max(score.test_accuracy for score in [closest, *others])
    assert closest.rms_distance <= min(score.rms_distance for score in [best, *others])


def test_validation_stops_where_held_back_noisy_labels_say(problem, validation, comparison):
    split, noisy = validation, problem.noisy
    spectrum = split.spectrum
    basis, shares = np.asarray(spectrum.eigenvectors), np.asarray(spectrum.eigenvalues)
    shares = shares / shares[0]
    right = []
    for step in TIMES:
        retrieved = (1 - (1 - shares) ** step) / shares
        dual = basis @ (retrieved[:, None] * (basis.T @ noisy[split.fitted])) / spectrum.lambda_max
        outputs = split.cross_kernel @ dual
        right.append(np.mean(outputs.argmax(1) == noisy[split.held_back].argmax(1)))
    assert comparison.scores["validation"].steps == TIMES[int(np.argmax(right))]
    assert sorted([*split.fitted, *split.held_back]) == list(range(N))


def test_the_grid_oracle_is_the_best_of_runs_one_by_one(problem, comparison):
    best = -1.0
    warm_up = comparison.schedule.noise.steps
    for factor in GRID_FACTORS:
        for weight in GRID_WEIGHTS:
            for temperature in GRID_TEMPERATURES:
                label_function = Sharpened(temperature)
                supervision = Supervision(
                    label_function,
                    Constant(weight),
                    Restart(max(1, round(factor * warm_up))),
                    warm_up=warm_up,
                )
                for finish in (Hard(), label_function):
                    run = solve(problem, Rounds(supervision, 25, finish=finish), method=ByRounds())
                    best = max(best, float(run.held_out.accuracy[-1]))
    np.testing.assert_allclose(comparison.scores["grid"].test_accuracy, best)


def test_the_outcome_without_held_out_inputs_is_the_same(problem, comparison):
    outcome = training_outcome(problem.replace(held_out=None))
    np.testing.assert_allclose(outcome.distance, comparison.scores["default"].rms_distance)
    np.testing.assert_allclose(outcome.descent_distance, comparison.scores["closest"].rms_distance)


def test_a_share_outside_0_to_1_is_refused():
    with pytest.raises(ValueError, match=r"share must lie in \[0, 1\]; got 1.2"):
        split_rows(10, 1.2, seed=0)
