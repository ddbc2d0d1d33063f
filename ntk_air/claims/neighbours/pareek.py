"""Repeated self-distillation: rounds with free weights are a polynomial of the ridge filter."""

import numpy as np

from ntk_air.claims.comparison import Measurement, agreement, claim
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.problem import Problem

SOURCE = "Pareek, Du, Oh 2024; docs/theory.md, 11-pareek"
VALUES = 2.0 ** np.arange(0, -6, -1)
EACH, NOISE, RIDGE = 4, 0.5, 0.3
ROUNDING = 1e-8
"""The weights solve a system that is close to Vandermonde's: its condition number is about 10⁶."""


@claim(
    "11-pareek",
    "As many rounds as there are distinct eigenvalues reach the Wiener filter: no filter is better",
    source=SOURCE,
    control=("two rounds fewer", {"fewer": 2}),
)
def wiener(problem: Problem, *, fewer: int = 0) -> Measurement:
    """Risk of the Wiener filter against that of rounds run one after another, each by solving.

    r rounds on (1 − ξ_i)ỹ + ξ_i·teacher have the filter m(1 + Σ_i x_i(mⁱ − 1)), m = λ/(λ + l); the
    expected risk on the training inputs is quadratic in x. 24 points, six eigenvalues four times
    each: within a group of equal ones no filter of Θ tells signal from noise.
    """
    theta, target = grouped(problem.seed)
    n, groups = len(theta), len(VALUES)
    shares = VALUES / (VALUES + RIDGE)
    basis = np.linalg.eigh(theta)[1][:, ::-1]
    energies = np.sum((basis.T @ target).reshape(groups, EACH) ** 2, axis=1)
    noise = EACH * NOISE**2
    predicted = float(np.sum(energies * noise / (energies + noise)))
    weights = best_weights(shares, energies, noise, rounds=groups - fewer)
    smoother, identity = np.linalg.solve(theta + RIDGE * np.eye(n), theta), np.eye(n)
    student = smoother
    for weight in weights:
        student = smoother @ ((1 - weight) * identity + weight * student)
    away = (student - identity) @ target
    measured = float(away @ away) + NOISE**2 * float(np.sum(student**2))
    return agreement(predicted, measured, tolerance=ROUNDING)


def best_weights(
    shares: np.ndarray, energies: np.ndarray, noise: float, *, rounds: int
) -> np.ndarray:
    """ξ_1 … ξ_r of least risk, from the polynomial's coefficients x.

    Σ_g e_g(1 − g)² + σ_g²g² is (e_g + σ_g²)(g − w_g)² plus what no filter takes away, w Wiener's.
    """
    powers = shares[:, None] ** np.arange(1, rounds + 1) - 1
    wiener_filter = energies / (energies + noise)
    scale = np.sqrt(energies + noise)
    wanted = scale * (wiener_filter - shares)
    x = np.linalg.lstsq(scale[:, None] * shares[:, None] * powers, wanted, rcond=None)[0]
    # f_{i+1} = A((1 − ξ_i)ỹ + ξ_i f_i): the product of the last i weights is Σ_{j ≥ i} x_j.
    tails = np.cumsum(x[::-1])[::-1]
    return (tails / np.concatenate([[1.0], tails[:-1]]))[::-1]


def grouped(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A kernel of six eigenvalues, four times each, and a target with less in the small ones."""
    rng = generator(seed, "grouped eigenvalues")
    size = EACH * len(VALUES)
    basis = np.linalg.qr(normal_numbers(rng, (size, size)))[0]
    values = np.repeat(VALUES, EACH)
    return basis * values @ basis.T, basis @ (np.sqrt(values) * normal_numbers(rng, (size,)))
