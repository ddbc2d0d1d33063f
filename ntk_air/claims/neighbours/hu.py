"""Ridge regression on noisy labels: how far it stays from the clean ones."""

import numpy as np

from ntk_air.claims.comparison import DoesNotApply, Measurement, agreement, claim
from ntk_air.claims.neighbours.premises import EXACT, clean_labels, require_inverse
from ntk_air.data.draws import generator
from ntk_air.problem import Problem

SOURCE = "Hu, Li, Yu 2020; docs/theory.md, 11-hu"
PENALTIES = np.geomspace(1e-3, 1e1, 9)
"""l², of λ₁."""
DRAWS, FLIPS, REACH = 400, 0.2, 4.0


@claim(
    "11-hu",
    "‖f(X) − y‖ ≤ ½l√(yᵀΘ⁻¹y) + √(ξᵀΘξ)/(2l) at ridge l², and no less for some labels",
    source=SOURCE,
    control=("ridge l in place of l²", {"power": 1}),
)
def bound(problem: Problem, *, power: int = 2) -> Measurement:
    """Largest ratio over penalties, for the labels at hand and for the worst, against 1.

    Penalising the distance to the initial parameters, or one auxiliary variable per example, ends
    at f = Θ(Θ + l²)⁻¹ỹ. Holds for any noise ξ; labels and noise along one mode with λ = l² and
    opposite signs attain it.
    """
    require_inverse(problem)
    theta, clean = np.asarray(problem.theta), clean_labels(problem)
    noise = np.asarray(problem.noisy) - clean
    mode = int(np.argmin(np.abs(np.asarray(problem.spectrum.eigenvalues) - theta.trace() / 100)))
    worst = np.asarray(problem.spectrum.eigenvectors)[:, [mode]]
    at_worst = float(problem.spectrum.eigenvalues[mode])
    cases = [(clean, noise, ridge * problem.largest_eigenvalue) for ridge in PENALTIES]
    cases.append((worst, -0.7 * worst, at_worst))
    ratios = []
    for labels, wrong, square in cases:
        size = square**0.5
        damped = theta + size**power * np.eye(len(theta))
        outputs = theta @ np.linalg.solve(damped, labels + wrong)
        signal = np.sum(labels * np.linalg.solve(theta, labels)) ** 0.5
        limit = size / 2 * signal + np.sum(wrong * (theta @ wrong)) ** 0.5 / (2 * size)
        ratios.append(float(np.linalg.norm(outputs - labels) / limit))
    return agreement(1.0, max(ratios), tolerance=EXACT)


@claim(
    "11-hu-noise",
    "Of independent noise the second term has E ξᵀΘξ = σ² tr Θ",
    source=SOURCE,
    control=("noise alike within halves of the data", {"alike": True}),
)
def independent_noise(problem: Problem, *, alike: bool = False) -> Measurement:
    """Trace against the mean of 400 draws of flips less their mean, within 4 standard errors."""
    theta, n = np.asarray(problem.theta), problem.n_train
    if n < 2:
        raise DoesNotApply("one input has no two halves")
    scale = 1 - 2 * FLIPS
    rng = generator(problem.seed, "independent noise")
    noise = np.where(rng.random((n, DRAWS)) < FLIPS, -1.0, 1.0) - scale
    if alike:
        noise = noise[np.arange(n) * 2 // n]
    values = np.sum(noise * (theta @ noise), axis=0)
    predicted = (1 - scale**2) * float(theta.trace())
    error = REACH * float(values.std(ddof=1)) / DRAWS**0.5
    return agreement(predicted, float(values.mean()), tolerance=error / predicted)
