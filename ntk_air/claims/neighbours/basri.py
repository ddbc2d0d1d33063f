"""Frequencies on the circle: how long each takes to learn, and what density changes."""

import numpy as np

from ntk_air.claims.comparison import Measurement, array_agreement, claim
from ntk_air.problem import Problem

UNIFORM = "Basri et al. 2019; docs/theory.md, 11-basri"
DENSITY = "Basri et al. 2020; docs/theory.md, 11-basri"
N_POINTS, STEPS, ALIASES = 400, 200, 1000
FREQUENCIES = (2, 3, 5, 8, 13, 20)
N_DENSE, N_SPARSE = 320, 80
HALF_FREQUENCIES = (6, 8, 10, 12, 14, 16)
LEFT, REACH = 0.05, 3.5


@claim(
    "11-basri",
    "Frequency k takes time ∝ 1/((k − 1)⁻² + (k + 1)⁻²) if even, ∝ k²/2 if odd: as k²",
    source=UNIFORM,
    control=("no biases: odd k ≥ 3 are never learnt", {"biases": False}),
)
def frequencies(problem: Problem, *, biases: bool = True) -> Measurement:
    """Fourier coefficients of the kernel against 200 plain steps on cos kθ, as shares retrieved.

    First layer of a two-layer ReLU network with biases: (1 + cos δ)(1 − |δ|/π)/2 between points at
    an angle δ, 400 equispaced points. Coefficients are ((k − 1)⁻² + (k + 1)⁻²)/(2π²) for even
    k, 1/(π²k²) for odd k, summed over the frequencies that n points cannot tell apart.
    """
    del problem
    angles = 2 * np.pi * (np.arange(N_POINTS) + 0.5) / N_POINTS
    theta = kernel(angles, biases=biases)
    rate = 1 / float(np.linalg.eigvalsh(theta)[-1])
    predicted, measured = [], []
    for frequency in FREQUENCIES:
        target = np.cos(frequency * angles)
        outputs = np.zeros_like(target)
        for _ in range(STEPS):
            outputs = outputs - rate * theta @ (outputs - target)
        share = 1 - rate * N_POINTS * coefficient(frequency)
        predicted.append([share**STEPS])
        measured.append([np.linalg.norm(outputs - target) / np.linalg.norm(target)])
    # What is cut off of the sum over aliases, a relative 1/(n²·1000) of each step's share.
    cut = STEPS * rate * N_POINTS * 4 / (np.pi * N_POINTS) ** 2 / ALIASES
    return array_agreement(np.array(predicted), np.array(measured), tolerance=cut)


@claim(
    "11-basri-density",
    "Where points are p times as dense a frequency is learnt p times as fast",
    source=DENSITY,
    control=(
        "no biases: antipodes share their density",
        {"biases": False},
    ),
)
def density(problem: Problem, *, biases: bool = True) -> Measurement:
    """Ratio of the times to 5 % of cos kθ on two half circles against their densities, 4 : 1.

    Six even frequencies, away from the ends; the mean logarithm of the ratio is to lie within 3.5
    standard errors over frequencies.
    """
    del problem
    dense = np.pi * (np.arange(N_DENSE) + 0.5) / N_DENSE
    sparse = np.pi * (1 + (np.arange(N_SPARSE) + 0.5) / N_SPARSE)
    angles = np.concatenate([dense, sparse])
    values, basis = np.linalg.eigh(kernel(angles, biases=biases))
    rates = np.clip(values / values[-1], 0, 1 - 1e-15)
    ratios = []
    for frequency in HALF_FREQUENCIES:
        target = np.cos(frequency * angles)
        times = [time_to(target, rates, basis, half) for half in halves(angles)]
        ratios.append(times[1] / times[0])
    logs = np.log(ratios)
    spread = float(logs.std(ddof=1)) / len(logs) ** 0.5
    error = abs(float(logs.mean()) - np.log(N_DENSE / N_SPARSE))
    return Measurement(
        N_DENSE / N_SPARSE, float(np.exp(logs.mean())), float(error), REACH * spread, "→"
    )


def kernel(angles: np.ndarray, *, biases: bool) -> np.ndarray:
    """(cos δ + 1)(π − δ)/(2π) between points of the circle; without biases cos δ alone."""
    apart = np.abs(angles[:, None] - angles)
    apart = np.minimum(apart, 2 * np.pi - apart)
    return (np.cos(apart) + biases) * (np.pi - apart) / (2 * np.pi)


def coefficient(frequency: int) -> float:
    """The eigenvalue of cos kθ over n equispaced points, divided by n."""
    k = np.abs(frequency + N_POINTS * np.arange(-ALIASES, ALIASES + 1)).astype(float)
    even = ((k - 1.0) ** -2 + (k + 1.0) ** -2) / (2 * np.pi**2)
    odd = 1 / (np.pi * np.maximum(k, 1)) ** 2
    return float(np.sum(np.where(k % 2 == 0, even, odd)))


def halves(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The dense half circle and the sparse one, without a tenth at both ends."""
    margin = 0.1 * np.pi
    dense = (angles > margin) & (angles < np.pi - margin)
    sparse = (angles > np.pi + margin) & (angles < 2 * np.pi - margin)
    return dense, sparse


def time_to(target: np.ndarray, rates: np.ndarray, basis: np.ndarray, rows: np.ndarray) -> float:
    """The steps until 5 % of the target is left at some rows."""
    parts = basis.T @ target
    whole = np.linalg.norm(target[rows])

    def left(time: float) -> float:
        return float(np.linalg.norm(basis[rows] @ ((1 - rates) ** time * parts)) / whole)

    low, high = 0.0, 1.0
    while left(high) > LEFT and high < 1e12:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) > LEFT else (low, middle)
    return high
