"""Data inefficiency: how much more each new label asks of the student."""

import numpy as np

from ntk_air.claims.comparison import Measurement, at_least, claim
from ntk_air.claims.neighbours.premises import require_inverse
from ntk_air.data.draws import generator, shuffled
from ntk_air.problem import Problem

SOURCE = "Ji, Zhu 2020; docs/theory.md, 11-ji"
STOPPED, CONVERGED, DRAWS, REACH = 30.0, np.inf, 12, 3.5
SHARES = (0.2, 0.4, 0.8)


@claim(
    "11-ji",
    "Labels of a stopped teacher are less data-inefficient than the noisy labels it learnt",
    source=SOURCE,
    control=("a teacher trained to convergence, which passes on its labels", {"steps": CONVERGED}),
)
def inefficiency(problem: Problem, *, steps: float = STOPPED) -> Measurement:
    """Difference of d ln‖Δw‖/d ln n, in standard errors over 12 orders of the data, against 3.5.

    ‖Δw_n‖² = y_nᵀΘ_n⁻¹y_n is how far parameters move to fit n labels; its growth is the paper's
    n(E ln‖Δw_{n+1}‖ − E ln‖Δw_n‖), here a slope over a fifth, two and four fifths of the inputs.
    """
    require_inverse(problem)
    noisy = np.asarray(problem.noisy)
    values, basis = (
        np.asarray(problem.spectrum.eigenvalues),
        np.asarray(problem.spectrum.eigenvectors),
    )
    shares = 1 - (1 - np.minimum(values / values[0], 1)) ** steps if steps < np.inf else 1.0
    taught = basis @ ((shares * np.ones(len(values)))[:, None] * (basis.T @ noisy))
    rng = generator(problem.seed, "orders of the data")
    differences = []
    for _ in range(DRAWS):
        order = shuffled(np.arange(problem.n_train), rng)
        differences.append(growth(problem, noisy, order) - growth(problem, taught, order))
    error = float(np.std(differences, ddof=1)) / DRAWS**0.5
    # Where labels are equal there is no spread to measure a difference of rounding by.
    return at_least(REACH, float(np.mean(differences)) / max(error, 1e-9))


def growth(problem: Problem, labels: np.ndarray, order: np.ndarray) -> float:
    """The slope of ln‖Δw_n‖ in ln n."""
    theta = np.asarray(problem.theta)
    sizes = [max(2, int(share * len(order))) for share in SHARES]
    moved = []
    for size in sizes:
        rows = order[:size]
        solved = np.linalg.solve(theta[np.ix_(rows, rows)], labels[rows])
        moved.append(0.5 * np.log(np.sum(labels[rows] * solved)))
    return float(np.polyfit(np.log(sizes), moved, 1)[0])
