"""Self-distillation with a weight on the given labels: its limit, and a published table."""

import numpy as np

from ntk_air.claims.comparison import Measurement, array_agreement, claim
from ntk_air.claims.neighbours.premises import EXACT
from ntk_air.problem import Problem

SOURCE = "Borup, Andersen 2021; docs/theory.md, 11-borup"
WEIGHT, RIDGE, ROUNDS = 0.35, 0.1, 100
GAMMA, TABLE_RIDGE = 80.0, 0.2
LABELS = (0.384766, 1.233397, 1.332322, 0.692016, -0.297561, -0.241893, -0.796449, -0.961648,
          -0.496725, -0.346907, 0.558951)  # fmt: skip
"""sin 2πx with noise at x = 0, 0.1, …, 1, from Mobahi et al. 2020, to six digits."""
PUBLISHED = (
    (0.16477, 0.15076, 0.14915, 0.15561, 0.16735, 0.18251, 0.49505),
    (0.16477, 0.15424, 0.15089, 0.14983, 0.14954, 0.14948, 0.14959),
)
"""Mean squared errors after rounds 0 to 5 and in the limit, as the authors' repository has them."""
LAST_DIGIT = 1e-5


@claim(
    "11-borup",
    "With weight α on the given labels many ridge rounds end at one ridge fit with l/α",
    source=SOURCE,
    control=("the penalty αl", {"times": True}),
)
def limit(problem: Problem, *, times: bool = False) -> Measurement:
    """One fit in the eigenbasis against 100 rounds by solving."""
    theta, noisy = np.asarray(problem.theta), np.asarray(problem.noisy)
    ridge = RIDGE * problem.largest_eigenvalue
    values, basis = np.asarray(problem.spectrum.eigenvalues), problem.spectrum.eigenvectors
    least = ridge * WEIGHT if times else ridge / WEIGHT
    predicted = basis @ ((values / (values + least))[:, None] * (np.asarray(basis).T @ noisy))
    damped, outputs = theta + ridge * np.eye(len(theta)), noisy
    for _ in range(ROUNDS):
        outputs = theta @ np.linalg.solve(damped, WEIGHT * noisy + (1 - WEIGHT) * outputs)
    return array_agreement(predicted, outputs, tolerance=EXACT)


@claim(
    "11-borup-table",
    "The authors' table of a noisy sine, α = 0 and 0.35, to its last digit",
    source=SOURCE,
    control=("α = 0.25, by which its second column is labelled there", {"weight": 0.25}),
)
def table(problem: Problem, *, weight: float = WEIGHT) -> Measurement:
    """Published numbers against rounds by solving: RBF kernel e^{−80(x − x′)²}, ridge 0.2."""
    del problem
    measured = np.array([errors(0.0), errors(weight)])
    distance = float(np.max(np.abs(np.array(PUBLISHED) - measured)))
    return Measurement(PUBLISHED[1][5], float(measured[1, 5]), distance, LAST_DIGIT)


def errors(weight: float) -> list[float]:
    """Mean squared errors to sin 2πx on 101 points, after rounds 0 to 5 and in the limit."""
    known, asked = np.arange(11) / 10, np.arange(101) / 100
    noisy = np.array(LABELS)
    theta, cross = (np.exp(-GAMMA * (x[:, None] - known) ** 2) for x in (known, asked))
    identity, told, found = np.eye(len(known)), noisy, []
    for _ in range(6):
        dual = np.linalg.solve(theta + TABLE_RIDGE * identity, told)
        found.append(cross @ dual)
        told = weight * noisy + (1 - weight) * (theta @ dual)
    last = weight * np.linalg.solve(weight * theta + TABLE_RIDGE * identity, noisy)
    found.append(cross @ last)
    return [float(np.mean((each - np.sin(2 * np.pi * asked)) ** 2)) for each in found]
