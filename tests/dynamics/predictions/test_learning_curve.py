"""Predicted learning curves against cases known exactly."""

import numpy as np
import pytest

from ntk_air.dynamics.predictions.learning_curve import predicted_risk

VALUES = np.array([4.0, 2.0, 1.0, 0.5, 0.25]) / 5
ENERGIES = np.array([0.5, 0.2, 0.1, 0.1, 0.1])


def test_of_a_kernel_that_tells_nothing_points_not_seen_are_lost():
    for n in (1, 3, 9):
        risk = predicted_risk(np.ones(10) / 10, np.ones(10) / 10, n)
        assert risk == pytest.approx(1 - n / 10, rel=1e-10)


def test_a_large_ridge_learns_nothing():
    assert predicted_risk(VALUES, ENERGIES, 3, ridge=1e9) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_it_solves_its_own_equations(ridge):
    """By another way to κ: iteration of κ = (κΣL + δ)/n."""
    n, kappa = 3, 1.0
    for _ in range(20_000):
        kappa = (kappa * np.sum(VALUES / (VALUES + kappa)) + ridge) / n
    learnt = VALUES / (VALUES + kappa)
    expected = np.sum((1 - learnt) ** 2 * ENERGIES) / (1 - np.sum(learnt**2) / n)
    assert predicted_risk(VALUES, ENERGIES, n, ridge=ridge) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_points": 5}, "n_points must be a whole number, from 1 to 4; got 5"),
        ({"ridge": -1.0}, "ridge must be a finite number, at least 0"),
        ({"eigenvalues": -VALUES}, "eigenvalues must be a list of numbers, none negative"),
        ({"energies": ENERGIES[:2]}, r"energies must have eigenvalues' shape \(5,\); got \(2,\)"),
        ({"energies": ENERGIES * np.nan}, "energies must be finite"),
    ],
)
def test_bad_input_is_refused(given, message):
    arguments = {"eigenvalues": VALUES, "energies": ENERGIES, "n_points": 3} | given
    n_points = arguments.pop("n_points")
    with pytest.raises(ValueError, match=message):
        predicted_risk(
            arguments.pop("eigenvalues"), arguments.pop("energies"), n_points, **arguments
        )
