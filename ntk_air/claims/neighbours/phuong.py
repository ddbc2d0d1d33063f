"""Distillation as a projection: what n soft labels leave of a teacher."""

import numpy as np

from ntk_air.claims.comparison import Measurement, agreement, array_agreement, claim
from ntk_air.claims.neighbours.premises import (
    EXACT,
    population,
    random_function,
    require_inverse,
)
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.problem import Problem

SOURCE = "Phuong, Lampert 2019; docs/theory.md, 11-phuong"
SHARES = (0.25, 0.5, 0.75, 1.0)
DIMENSION, N_POINTS = 10, 60


@claim(
    "11-phuong",
    "A student of n soft labels is the teacher's projection: ‖δ‖² = ‖f_T‖² − f_T(X)ᵀΘ⁻¹f_T(X)",
    source=SOURCE,
    control=("the teacher's signs instead of its outputs", {"hard": True}),
)
def projection(problem: Problem, *, hard: bool = False) -> Measurement:
    """Formula against refits on four growing sets of points, norms from coefficients.

    The teacher is any function in the kernel's space, the student has converged. As projections on
    growing spaces, δ never grows with n.
    """
    require_inverse(problem)
    world, teacher = population(problem), random_function(problem)
    outputs = world.theta @ teacher
    told = np.sign(outputs) if hard else outputs
    predicted, measured = [], []
    for share in SHARES:
        rows = world.rows[: max(1, int(share * len(world.rows)))]
        part, away = world.theta[np.ix_(rows, rows)], teacher.copy()
        values, basis = np.linalg.eigh(part)
        known = np.sum((basis.T @ told[rows]) ** 2 / values[:, None])
        predicted.append([np.sum(teacher * outputs) - known])
        away[rows] -= np.linalg.solve(part, told[rows])
        measured.append([np.sum(away * (world.theta @ away))])
    return array_agreement(np.array(predicted), np.array(measured), tolerance=EXACT)


@claim(
    "11-phuong-linear",
    "Of a linear teacher in d dimensions nothing is left from n = d soft labels on",
    source=SOURCE,
    control=("hard labels", {"hard": True}),
)
def linear_teacher(problem: Problem, *, hard: bool = False) -> Measurement:
    """Distance of the weights at n = d and beyond, a share of the teacher's, against 0."""
    rng = generator(problem.seed, "linear teacher")
    points, teacher = normal_numbers(rng, (N_POINTS, DIMENSION)), normal_numbers(rng, (DIMENSION,))
    left = []
    for size in (DIMENSION, N_POINTS):
        told = points[:size] @ teacher
        told = np.sign(told) if hard else told
        student = np.linalg.lstsq(points[:size], told, rcond=None)[0]
        left.append(float(np.linalg.norm(student - teacher) / np.linalg.norm(teacher)))
    return agreement(0.0, max(left), tolerance=EXACT)
