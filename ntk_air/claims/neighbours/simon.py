"""Eigenlearning: learnability is a budget."""

import numpy as np

from ntk_air.claims.comparison import Measurement, agreement, array_agreement, claim
from ntk_air.claims.neighbours.premises import (
    EXACT,
    Population,
    clean_labels,
    population,
    require_inverse,
)
from ntk_air.data.draws import generator, normal_numbers, shuffled
from ntk_air.dynamics.predictions.interpolant import interpolant
from ntk_air.dynamics.predictions.learning_curve import predicted_risk
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.problem import HeldOut, Labels, Problem

SOURCE = "Simon et al. 2023; docs/theory.md, 11-simon"
CURVE = "Canatar, Bordelon, Pehlevan 2021; Simon et al. 2023; docs/theory.md, 11-simon"
TIMES = (10.0, 100.0, 300.0)
SHARES, N_DRAWS, REACH = (0.25, 0.5), 20, 5.0
RIDGE = 0.01
"""Of the mean eigenvalue's share: Θ's trace over the number of points."""


@claim(
    "11-simon",
    "Learnabilities over any orthonormal basis sum to Σ_j g_t(λ_j), the effective dimension",
    source=SOURCE,
    control=("labels replaced by their signs", {"hard": True}),
)
def budget(problem: Problem, *, hard: bool = False) -> Measurement:
    """Filter of the spectrum against plain steps on every function of a random basis.

    The learnability of φ is ⟨φ, f_t⟩ over all points where f_t was trained on φ at some of them.
    Exact for any kernel and any points: what is spent on noise is not there for the signal.
    """
    world = population(problem)
    basis, run = trained_on_basis(problem, world, hard=hard)
    eigenvalues = np.linalg.eigvalsh(world.train)
    rates = np.maximum(eigenvalues, 0) / eigenvalues[-1]
    predicted = [[np.sum(1 - (1 - rates) ** time)] for time in TIMES]
    return array_agreement(
        np.array(predicted),
        np.array([[np.sum(basis * outputs)] for outputs in run]),
        tolerance=EXACT,
    )


@claim(
    "11-simon-sum",
    "Without ridge and stopping they sum to n, the number of training points",
    source=SOURCE,
    control=("training stopped after 300 steps", {"stopped": True}),
)
def sum_at_convergence(problem: Problem, *, stopped: bool = False) -> Measurement:
    """n against the interpolants of a random basis, by solving with Θ."""
    require_inverse(problem)
    world = population(problem)
    if stopped:
        basis, outputs = trained_on_basis(problem, world)
        learned = outputs[-1]
    else:
        basis = random_basis(problem)
        learned = interpolant(world.train, world.cross, basis[world.rows])
    return agreement(
        float(len(world.rows)), float(np.sum(basis * np.asarray(learned))), tolerance=EXACT
    )


@claim(
    "11-simon-curve",
    "Spectrum and label energies tell the test error of n points before any training",
    source=CURVE,
    control=("the labels' energies shuffled among the modes", {"mixed": True}),
)
def learning_curve(problem: Problem, *, mixed: bool = False) -> Measurement:
    """Farther of two predictions from the mean of 20 ridge fits, in standard errors, against 5.

    κ solves Σ_i λ_i/(λ_i + κ) + δ/κ = n over the eigenvalues of Θ/M, L_i = λ_i/(λ_i + κ), and the
    error is E_0 Σ(1 − L_i)²v_i², E_0 = n/(n − ΣL_i²), v_i² the clean labels' energies. An average
    law for many points of Gaussian features, and so measured on n = M/4 and M/2 points of such
    features of this spectrum; of real data it is an approximation, some per cent off.
    """
    theta, target = np.asarray(problem.theta), clean_labels(problem)
    values, basis = np.linalg.eigh(theta)
    values = np.maximum(values, 0) / len(theta)
    energies = np.sum((basis.T @ target) ** 2, axis=1) / len(theta)
    rng = generator(problem.seed, "learning curve")
    order = shuffled(np.arange(len(values)), rng) if mixed else np.arange(len(values))
    ridge = RIDGE * float(np.sum(values))
    found = []
    for share in SHARES:
        size = int(share * len(theta))
        predicted = predicted_risk(values, energies[order], size, ridge=ridge)
        draws = [
            gaussian_error(values, energies, rng, size=size, ridge=ridge) for _ in range(N_DRAWS)
        ]
        error = float(np.std(draws, ddof=1)) / N_DRAWS**0.5
        found.append((abs(float(np.mean(draws)) - predicted) / error, predicted, np.mean(draws)))
    distance, predicted, measured = max(found)
    return Measurement(float(predicted), float(measured), float(distance), REACH)


def gaussian_error(
    values: np.ndarray, energies: np.ndarray, rng: np.random.Generator, *, size: int, ridge: float
) -> float:
    """The error of a ridge fit on points of Gaussian features, over all such points."""
    points = normal_numbers(rng, (size, len(values)))
    target = points @ np.sqrt(energies)
    scaled = points * values
    dual = np.linalg.solve(scaled @ points.T + ridge * np.eye(size), target)
    return float(np.sum((np.sqrt(energies) - scaled.T @ dual) ** 2))


def random_basis(problem: Problem) -> np.ndarray:
    """An orthonormal basis of functions on all points, one a column."""
    rng = generator(problem.seed, "orthonormal basis")
    return np.linalg.qr(normal_numbers(rng, (problem.n_train, problem.n_train)))[0]


def trained_on_basis(
    problem: Problem, world: Population, *, hard: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """A random basis, and what plain steps at some points make of it everywhere, time by time."""
    basis = random_basis(problem)
    labels = basis[world.rows]
    if hard:
        labels = np.sign(labels) * np.mean(np.abs(labels))
    part = Problem(Labels(labels), world.train, held_out=HeldOut(world.cross, basis))
    largest = float(np.linalg.eigvalsh(world.train)[-1])
    run = solve(part.with_largest_eigenvalue(largest), Descent(), TIMES, Stepwise(), store_at=TIMES)
    return basis, np.asarray(run.kept().held_out)
