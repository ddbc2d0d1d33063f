"""Early stopping is consistent for a Lipschitz target, interpolation of noise is not."""

import numpy as np

from ntk_air.claims.comparison import Measurement, at_most, claim
from ntk_air.claims.neighbours.premises import relu_kernel
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.problem import Problem

SOURCE = "Kuzborskij, Szepesvári 2021; docs/theory.md, 11-kuzborskij"
SIZES, DRAWS, NOISE, REACH = (30, 60, 120, 240), 16, 0.5, 3.5
DIMENSION = 3
TIMES = np.geomspace(1, 1e7, 40)


@claim(
    "11-kuzborskij",
    "Stopped at the best time, risk on a Lipschitz target falls at least as n^{−2/(2+d)}",
    source=SOURCE,
    control=("interpolation, whose risk stays of the order of the noise", {"stopped": False}),
)
def consistency(problem: Problem, *, stopped: bool = True) -> Measurement:
    """Slope of ln risk in ln n plus 3.5 standard errors, 16 draws of four sizes, against −2/5.

    Points on the sphere in three dimensions, target |x₁| − ½ (not smooth, Lipschitz), Gaussian
    noise of deviation 0.5, kernel of a two-layer ReLU network, risk over 300 new points.
    """
    rng = generator(problem.seed, "a Lipschitz target")
    logs, sizes = [], []
    for size in SIZES:
        for _ in range(DRAWS):
            risks = risks_by_time(size, rng)
            logs.append(np.log(np.min(risks) if stopped else risks[-1]))
            sizes.append(np.log(size))
    away = np.array(sizes) - np.mean(sizes)
    slope = float(away @ logs / (away @ away))
    rest = np.array(logs) - np.mean(logs) - slope * away
    error = float(np.sqrt(rest @ rest / (len(logs) - 2) / (away @ away)))
    return at_most(-2 / (2 + DIMENSION), slope + REACH * error, rate_in="n")


def risks_by_time(size: int, rng: np.random.Generator) -> np.ndarray:
    """Mean square distances to the target on new points, by time; the last is interpolation."""
    points = normal_numbers(rng, (size + 300, DIMENSION))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    target = np.abs(points[:, 0]) - 0.5
    noisy = target[:size] + NOISE * normal_numbers(rng, (size,))
    # With a bias in the input, odd functions of high degree are in reach as well.
    points = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    values, basis = np.linalg.eigh(relu_kernel(points[:size], points[:size]))
    onto = relu_kernel(points[size:], points[:size]) @ basis
    left = np.log1p(-np.minimum(values / values[-1], 1 - 1e-15))
    shares = [*(-np.expm1(time * left) for time in TIMES), np.ones(size)]
    labels = basis.T @ noisy
    return np.array(
        [np.mean((onto @ (each / values * labels) - target[size:]) ** 2) for each in shares]
    )
