"""Weak-to-strong generalisation: how much better a linear student can be than its teacher."""

import numpy as np

from ntk_air._base.typing import Targets
from ntk_air.claims.comparison import DoesNotApply, Measurement, agreement, at_least, claim
from ntk_air.claims.neighbours.premises import EXACT, clean_labels
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.supervision import Hard
from ntk_air.problem import Labels, Problem

SOURCE = "Medvedev et al. 2025; docs/theory.md, 11-medvedev"
TIMES = tuple(np.unique(np.round(np.geomspace(1, 1e8, 200))))
N_SIZES, SMALLEST = 12, 4


@claim(
    "11-medvedev",
    "No stopped student of a least-squares teacher beats ¼(√(1 + 3L) − √(1 − L))², L the teacher's",
    source=SOURCE,
    control=("a student of the teacher's hard labels", {"hard": True}),
)
def linear_limit(problem: Problem, *, hard: bool = False) -> Measurement:
    """Limit from the teacher's loss against students at all stopping times, teachers of 12 sizes.

    Losses are ‖f − f*‖²/‖f*‖² over the training inputs, f* the clean labels. The teacher is the
    least-squares fit of f* by random draws from the kernel's Gaussian process; the student any
    self-adjoint filter 0 ≤ G ≤ I of it, here descent. A label function is no such filter.
    """
    target, least = clean_labels(problem), np.inf
    for taught in teachers(problem, target):
        limit = least_loss(loss(taught, target))
        if hard:
            labels = np.asarray(Hard()(taught))
            if not np.allclose(labels, target):
                continue
            taught = labels
        least = min(least, student_loss(problem, taught, target) / limit)
    if not np.isfinite(least):
        raise DoesNotApply("no teacher that errs has all hard labels right")
    return at_least(1 - EXACT, least)


@claim(
    "11-medvedev-tight",
    "The limit is attained, by the projection on one function",
    source=SOURCE,
    control=("¾L², which the limit exceeds", {"quadratic": True}),
)
def limit_attained(problem: Problem, *, quadratic: bool = False) -> Measurement:
    """Limit from the teacher's loss against the loss of that projection."""
    target = clean_labels(problem)
    taught = next(iter(teachers(problem, target)))
    teacher_loss = loss(taught, target)
    # The nearest point to f* of the ball whose diameter joins 0 and f_T.
    middle = taught / 2
    way = target - middle
    nearest = middle + np.linalg.norm(middle) * way / np.linalg.norm(way)
    onto = (nearest / np.linalg.norm(nearest)).ravel()
    student = (onto * (onto @ taught.ravel())).reshape(taught.shape)
    predicted = 0.75 * teacher_loss**2 if quadratic else least_loss(teacher_loss)
    return agreement(predicted, loss(student, target), tolerance=EXACT)


def least_loss(teacher_loss: float) -> float:
    """¼(√(1 + 3L) − √(1 − L))²."""
    return float((np.sqrt(1 + 3 * teacher_loss) - np.sqrt(1 - teacher_loss)) ** 2) / 4


def teachers(problem: Problem, target: Targets) -> list[np.ndarray]:
    """Least-squares fits by 4 … n − 1 draws from the Gaussian process of the kernel."""
    values = np.sqrt(np.maximum(np.asarray(problem.spectrum.eigenvalues), 0))
    sizes = np.unique(np.round(np.geomspace(SMALLEST, problem.n_train - 1, N_SIZES)).astype(int))
    rng = generator(problem.seed, "features of a weak teacher")
    features = problem.spectrum.eigenvectors @ (
        values[:, None] * normal_numbers(rng, (len(values), int(sizes[-1])))
    )
    bases = [np.linalg.qr(np.asarray(features)[:, :size])[0] for size in sizes]
    return [basis @ (basis.T @ target) for basis in bases]


def student_loss(problem: Problem, taught: Targets, target: Targets) -> float:
    """The least loss over all stopping times of a student of the teacher's outputs."""
    run = solve(
        problem.replace(labels=Labels(taught, target), held_out=None),
        Descent(),
        TIMES,
        ClosedForm(),
    )
    return float(np.min(run.train.rms_distance)) ** 2 * len(target) / float(np.sum(target**2))


def loss(outputs: Targets, target: Targets) -> float:
    """‖f − f*‖²/‖f*‖²."""
    return float(np.sum((outputs - target) ** 2) / np.sum(target**2))
