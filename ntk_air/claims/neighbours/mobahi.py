"""Rounds of constrained self-distillation: sparser and sparser, until they collapse."""

import numpy as np
from scipy.optimize import root_scalar

from ntk_air.claims.comparison import Measurement, at_least, claim
from ntk_air.problem import Problem

SOURCE = "Mobahi et al. 2020; docs/theory.md, 11-mobahi"
LEFT = 0.05
"""ε, of the labels' mean square: what each round may miss of the one before."""


@claim(
    "11-mobahi",
    "Ratios between what a large and a small mode keep never fall from round to round",
    source=SOURCE,
    control=("one round, stopped later and later", {"stopped": True}),
)
def sparsity(problem: Problem, *, stopped: bool = False) -> Measurement:
    """Least growth of the ratio between the first and each other mode, against 1.

    A round minimises ‖f‖_H with mean square distance ε to the outputs before: A_t = Θ(Θ + c_t)⁻¹,
    c_t by root finding. Early stopping goes the other way: modes catch up as t grows.
    """
    values, labels = well_conditioned(problem)
    if stopped:
        kept = [1 - (1 - values / values[0]) ** time for time in (1.0, 2.0, 4.0, 8.0)]
    else:
        kept = list(np.cumprod(rounds(values, labels), axis=0))
    ratios = np.array([each[0] / each for each in kept])
    return at_least(1 - 1e-12, float(np.min(ratios[1:] / ratios[:-1])))


@claim(
    "11-mobahi-collapse",
    "They collapse to 0 after (‖y‖/√(nε) − 1)/κ rounds or more, κ = λ₁/λ_n, at most ‖y‖²/(nε) + 1",
    source=SOURCE,
    control=("the first round's penalty for all: they never collapse", {"fixed": True}),
)
def collapse(problem: Problem, *, fixed: bool = False) -> Measurement:
    """Rounds until the outputs are 0 against both bounds; the lower is the paper's.

    A round gives 0 exactly where ‖y_t‖² ≤ nε. The upper bound: outputs and what a round takes
    away lie at an acute angle, so ‖y_t‖² falls by at least nε. Checked on Θ + λ₁, as the lower
    bound says little where κ is large.
    """
    values, labels = well_conditioned(problem)
    ratio = LEFT**-0.5
    least, most = (ratio - 1) / (values[0] / values[-1]), ratio**2 + 1
    kept = rounds(values, labels)
    found = float(len(kept) + 1)
    if fixed:
        late = kept[0] ** (10 * most)
        found = np.inf if np.any(late[:, None] * labels) else 10 * most
    outside = max(least - found, found - most, 0.0)
    return Measurement(float(least), found, float(outside), 0.0, "≥")


def well_conditioned(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of Θ + λ₁, and the noisy labels in the eigenbasis."""
    values = np.asarray(problem.spectrum.eigenvalues)
    return values + values[0], np.asarray(problem.spectrum.eigenvectors).T @ problem.noisy


def rounds(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What each round keeps of each mode, (n_round, n_mode), until nothing need be kept."""
    allowed, outputs = LEFT * np.sum(labels**2), labels
    kept: list[np.ndarray] = []
    while np.sum(outputs**2) > allowed:

        def missed(log: float, before: np.ndarray = outputs) -> float:
            shrunk = np.exp(log) / (values + np.exp(log))
            return float(np.sum((shrunk[:, None] * before) ** 2)) - allowed

        penalty = np.exp(root_scalar(missed, bracket=(-30, 60), xtol=1e-13).root)
        kept.append(values / (values + penalty))
        outputs = kept[-1][:, None] * outputs
    return np.array(kept)
