"""Grokking in ridge regression: a plateau of the test error that weight decay ends."""

import numpy as np

from ntk_air.claims.comparison import Measurement, array_agreement, claim
from ntk_air.claims.neighbours.premises import (
    EXACT,
    Population,
    population,
    random_function,
    require_inverse,
)
from ntk_air.problem import Problem

SOURCE = "Xu, Vardi, Safran 2026; docs/theory.md, 11-xu"
DECAY = 1e-3
"""Of λ₁."""
TIMES = (10, 1000, 3000)
SLOWEST = 40.0
"""Time constants of the slowest mode until training is over: e⁻⁴⁰ of it is left."""


@claim(
    "11-xu",
    "What training does not see of f_0 decays by 1 − ηw a step: grokking takes about 1/(ηw) steps",
    source=SOURCE,
    control=("the closed form without weight decay", {"decays": False}),
)
def decay(problem: Problem, *, decays: bool = True) -> Measurement:
    """Closed form on all points against 3,000 steps on the parameters.

    The linearised network f = φ(x)ᵀθ, Θ = φφᵀ, descends on ½‖f(X)‖² + ½w‖θ‖² from a random θ_0,
    the paper's zero teacher: half of the inputs to train on. f_0 − Θ(·, X)Θ⁻¹f_0(X) is not seen
    in training and only decays; the rest goes at the pace of its modes as well.
    """
    require_inverse(problem)
    world, start = population(problem), random_function(problem)
    rate, weight = rate_and_decay(world)
    initial = world.theta @ start
    seen, unseen = parts(world, initial)
    values, basis = np.linalg.eigh(world.train)
    predicted = []
    for time in TIMES:
        slow = (1 - rate * weight * decays) ** time
        fast = (1 - rate * (values + weight * decays))[:, None] ** time
        left = world.cross @ (basis @ (fast * (basis.T @ seen)))
        predicted.append(slow * unseen + left)
    measured = [outputs(world, start, time, weight=weight) for time in TIMES]
    return array_agreement(np.array(predicted), np.array(measured), tolerance=EXACT)


@claim(
    "11-xu-plateau",
    "Without decay f stays at f_0 − Θ(·, X)Θ⁻¹f_0(X) for ever, with no training error left",
    source=SOURCE,
    control=("training from θ_0 = 0, where there is no plateau", {"from_zero": True}),
)
def plateau(problem: Problem, *, from_zero: bool = False) -> Measurement:
    """Formula on all points against steps until the slowest mode is gone."""
    require_inverse(problem)
    world, start = population(problem), random_function(problem)
    _, unseen = parts(world, world.theta @ start)
    rate, _ = rate_and_decay(world)
    steps = int(SLOWEST / (rate * np.linalg.eigvalsh(world.train)[0]))
    measured = outputs(world, start * (not from_zero), steps, weight=0.0)
    return array_agreement(unseen, measured, tolerance=EXACT)


def parts(world: Population, initial: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Θ⁻¹f_0(X), the coefficients of what training sees of f_0, and the rest on all points."""
    seen = np.linalg.solve(world.train, initial[world.rows])
    return seen, initial - world.cross @ seen


def rate_and_decay(world: Population) -> tuple[float, float]:
    """η, at which all modes are stable, and the weight decay w."""
    largest = float(np.linalg.eigvalsh(world.train)[-1])
    return 1 / (largest * (1 + DECAY)), DECAY * largest


def outputs(world: Population, start: np.ndarray, steps: int, *, weight: float) -> np.ndarray:
    """f_t on all points by steps on the parameters, as a power of one step's matrix."""
    features = np.linalg.cholesky(world.theta)
    seen = features[world.rows]
    rate, _ = rate_and_decay(world)
    step = (1 - rate * weight) * np.eye(len(features)) - rate * seen.T @ seen
    return features @ np.linalg.matrix_power(step, steps) @ features.T @ start
