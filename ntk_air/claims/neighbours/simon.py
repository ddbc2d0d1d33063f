"""Eigenlearning: learnability is a budget."""

import numpy as np

from ntk_air.claims.comparison import Measurement, agreement, array_agreement, claim
from ntk_air.claims.neighbours.premises import EXACT, Population, population, require_inverse
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.dynamics.predictions.interpolant import interpolant
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.problem import HeldOut, Labels, Problem

SOURCE = "Simon et al. 2023; docs/theory.md, 11-simon"
TIMES = (10.0, 100.0, 300.0)


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
