"""How far parameters travel: from clean labels to memorised noise."""

import numpy as np
from scipy.optimize import root_scalar

from ntk_air.claims.comparison import Measurement, array_agreement, at_least, claim
from ntk_air.claims.neighbours.premises import EXACT, require_inverse
from ntk_air.problem import Problem

SOURCE = "Li, Soltanolkotabi, Oymak 2019; docs/theory.md, 11-li"
TIMES = (10, 100, 1000)


@claim(
    "11-li",
    "Descent moves the parameters by ‖θ_t − θ_0‖² = Σ_j g_t(λ_j)²/λ_j (v_jᵀỹ)²",
    source=SOURCE,
    control=("g_t in place of g_t²", {"power": 1}),
)
def distance(problem: Problem, *, power: int = 2) -> Measurement:
    """Formula against 1,000 plain steps on the parameters of the linearised network."""
    require_inverse(problem)
    features, noisy = np.linalg.cholesky(np.asarray(problem.theta)), np.asarray(problem.noisy)
    rate, parameters = problem.learning_rate, np.zeros_like(noisy)
    measured, predicted = [], []
    for step in range(1, TIMES[-1] + 1):
        parameters = parameters - rate * features.T @ (features @ parameters - noisy)
        if step in TIMES:
            measured.append([np.sum(parameters**2)])
    values, energies = modes(problem)
    for time in TIMES:
        shares = 1 - (1 - np.minimum(rate * values, 1)) ** time
        predicted.append([np.sum(shares**power / values * energies)])
    return array_agreement(np.array(predicted), np.array(measured), tolerance=EXACT)


@claim(
    "11-li-least",
    "No parameters within a given training error are nearer than ridge regression's",
    source=SOURCE,
    control=("the roles exchanged", {"exchanged": True}),
)
def least_distance(problem: Problem, *, exchanged: bool = False) -> Measurement:
    """Least ratio of descent's distance to that of the ridge fit of equal error, against 1."""
    require_inverse(problem)
    values, energies = modes(problem)
    ratios = []
    for time in TIMES:
        left = (1 - np.minimum(problem.learning_rate * values, 1)) ** time
        error = float(np.sum(left**2 * energies))

        def excess(log: float, wanted: float = error) -> float:
            shrunk = np.exp(log) / (values + np.exp(log))
            return float(np.sum(shrunk**2 * energies)) - wanted

        ridge = np.exp(root_scalar(excess, bracket=(-60, 60), xtol=1e-13).root)
        nearest = np.sum(values / (values + ridge) ** 2 * energies)
        ratios.append(float(np.sum((1 - left) ** 2 / values * energies) / nearest))
    return at_least(1 - EXACT, 1 / max(ratios) if exchanged else min(ratios))


def modes(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, and the energies of the noisy labels along them."""
    coefficients = np.asarray(problem.spectrum.eigenvectors).T @ problem.noisy
    return np.asarray(problem.spectrum.eigenvalues), np.sum(coefficients**2, axis=1)
