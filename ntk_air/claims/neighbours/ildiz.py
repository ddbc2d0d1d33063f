"""Surrogate labels: what a student should be told is not the truth."""

import numpy as np
from scipy.optimize import root_scalar

from ntk_air.claims.comparison import Measurement, agreement, at_least, claim
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.problem import Problem

SOURCE = "Ildiz et al. 2024; docs/theory.md, 11-ildiz"
N_FEATURES, N_POINTS, N_DRAWS = 300, 100, 40
POWERS = np.arange(1, N_FEATURES + 1) ** -1.5
"""The features' variances."""
TRUTH = np.ones(N_FEATURES)
REACH = 3.5


@claim(
    "11-ildiz",
    "Labels of b cost Σλ_i[(β_i − (1 − ζ_i)b_i)² + ζ_i²b_i²Ω/(1 − Ω)], and the best b is not β",
    source=SOURCE,
    control=("a student of the labels with the rule reversed", {"turned": True}),
)
def best_labels(problem: Problem, *, turned: bool = False) -> Measurement:
    """Risk by the formula at the best b against 40 interpolating fits, within 3.5 standard errors.

    100 Gaussian points with 300 features of variance λ_i = i^−1.5, no noise, true coefficients 1;
    the student is the least-norm fit of x·b. ζ_i = τ/(λ_i + τ) with Σ(1 − ζ_i) = n and
    Ω = Σ(1 − ζ_i)²/n; the best b_i = β_i(1 − ζ_i)/((1 − ζ_i)² + ζ_i²Ω/(1 − Ω)) amplifies features
    that the student shrinks little, ζ_i < 1 − Ω, and shrinks the others. Holds in the limit of many
    features and points.
    """
    told = surrogate(turned=turned)
    predicted = risk(surrogate(turned=False))
    measured = measured_risks(problem.seed, told)
    error = REACH * float(measured.std(ddof=1)) / N_DRAWS**0.5
    return agreement(predicted, float(measured.mean()), tolerance=error / predicted)


@claim(
    "11-ildiz-better",
    "A student of such labels is better than a student of the truth",
    source=SOURCE,
    control=("the rule reversed", {"turned": True}),
)
def better_than_truth(problem: Problem, *, turned: bool = False) -> Measurement:
    """Gain over the true labels on the same 40 draws, in standard errors, against 3.5."""
    gains = measured_risks(problem.seed, TRUTH) - measured_risks(
        problem.seed, surrogate(turned=turned)
    )
    return at_least(REACH, float(gains.mean() / (gains.std(ddof=1) / N_DRAWS**0.5)))


def shrinkage() -> tuple[np.ndarray, float]:
    """ζ and Ω."""

    def missing(log: float) -> float:
        return float(np.sum(POWERS / (POWERS + np.exp(log)))) - N_POINTS

    tau = np.exp(root_scalar(missing, bracket=(-30, 10), xtol=1e-13).root)
    zeta = tau / (POWERS + tau)
    return zeta, float(np.sum((1 - zeta) ** 2)) / N_POINTS


def surrogate(*, turned: bool) -> np.ndarray:
    """The best b; turned, what it amplifies is shrunk as much and the other way round."""
    zeta, omega = shrinkage()
    factor = (1 - zeta) / ((1 - zeta) ** 2 + zeta**2 * omega / (1 - omega))
    return TRUTH / factor if turned else TRUTH * factor


def risk(told: np.ndarray) -> float:
    """The risk of the least-norm fit of labels x·b."""
    zeta, omega = shrinkage()
    bias = (TRUTH - (1 - zeta) * told) ** 2
    return float(np.sum(POWERS * (bias + zeta**2 * told**2 * omega / (1 - omega))))


def measured_risks(seed: int, told: np.ndarray) -> np.ndarray:
    """Risks of least-norm fits, one for each draw."""
    rng, risks = generator(seed, "surrogate labels"), []
    for _ in range(N_DRAWS):
        points = normal_numbers(rng, (N_POINTS, N_FEATURES)) * np.sqrt(POWERS)
        fitted = points.T @ np.linalg.solve(points @ points.T, points @ told)
        risks.append(float(np.sum(POWERS * (TRUTH - fitted) ** 2)))
    return np.array(risks)
