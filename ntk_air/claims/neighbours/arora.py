"""The complexity ỹᵀΘ⁻¹ỹ of labels: what noise adds to it, and which functions keep it small."""

import numpy as np

from ntk_air.claims.comparison import DoesNotApply, Measurement, agreement, at_most, claim
from ntk_air.claims.neighbours.premises import clean_labels, require_inverse
from ntk_air.data.draws import generator, normal_numbers
from ntk_air.problem import Problem

SOURCE = "Arora et al. 2019; docs/theory.md, 11-arora"
DRAWS, FLIPS, REACH = 400, 0.2, 4.0
SIZES, DEGREES = (100, 200, 400), (1, 2, 4)


@claim(
    "11-arora-flips",
    "Flips at rate ρ make it s²yᵀΘ⁻¹y + (1 − s²)tr Θ⁻¹ on average, s = 1 − 2ρ",
    source=SOURCE,
    control=("s = 1 − ρ, the share of labels kept", {"kept": True}),
)
def flips(problem: Problem, *, kept: bool = False) -> Measurement:
    """Formula in the eigenbasis against the mean of 400 draws, within 4 standard errors.

    Two classes ±1, each label flipped by itself with ρ = 0.2, any kernel that has an inverse.
    """
    labels = two_classes(problem)
    scale = 1 - FLIPS if kept else 1 - 2 * FLIPS
    eigenvalues, basis = np.asarray(problem.spectrum.eigenvalues), problem.spectrum.eigenvectors
    clean = float(np.sum((np.asarray(basis).T @ labels) ** 2 / eigenvalues))
    predicted = scale**2 * clean + (1 - scale**2) * float(np.sum(1 / eigenvalues))
    rng = generator(problem.seed, "flips")
    signs = np.where(rng.random((DRAWS, len(labels))) < FLIPS, -1.0, 1.0)
    drawn = complexities(problem, labels * signs)
    error = REACH * float(drawn.std(ddof=1)) / DRAWS**0.5
    return agreement(predicted, float(drawn.mean()), tolerance=error / predicted)


@claim(
    "11-arora-random",
    "Of random labels it varies by 2(‖Θ⁻¹‖_F² − Σ_i(Θ⁻¹)_ii²)",
    source=SOURCE,
    control=("Gaussian labels, whose squares vary, too", {"gaussian": True}),
)
def random_labels(problem: Problem, *, gaussian: bool = False) -> Measurement:
    """Formula against the variance of 400 draws, within 4 standard errors."""
    require_inverse(problem)
    inverse = np.linalg.inv(np.asarray(problem.theta))
    predicted = 2 * float(np.sum(inverse**2) - np.sum(np.diag(inverse) ** 2))
    rng = generator(problem.seed, "random labels")
    labels = np.where(rng.random((DRAWS, len(inverse))) < 0.5, -1.0, 1.0)
    if gaussian:
        labels = normal_numbers(rng, labels.shape)
    drawn = complexities(problem, labels)
    squares = (drawn - drawn.mean()) ** 2
    error = REACH * float(squares.std(ddof=1)) / DRAWS**0.5
    return agreement(
        predicted, float(squares.mean()) * DRAWS / (DRAWS - 1), tolerance=error / predicted
    )


@claim(
    "11-arora-polynomials",
    "Labels (βᵀx)^p, p = 1 or even, have √(yᵀH⁻¹y) ≤ 1/√a_p ≤ 3p, however many points there are",
    source=SOURCE,
    control=("p = 3, which a first layer without biases does not hold", {"degrees": (3,)}),
)
def polynomials(problem: Problem, *, degrees: tuple[int, ...] = DEGREES) -> Measurement:
    """Largest share of the bound over p = 1, 2, 4 and 100 to 400 points of the sphere, against 1.

    H = u(π − arccos u)/(2π) is the kernel of the first layer of a two-layer ReLU network on the
    sphere, a_p its p-th Taylor coefficient: ‖(βᵀx)^p‖_H² ≤ 1/a_p for ‖β‖ = 1. For odd p ≥ 3, a_p is
    0 and the bound 3p of the paper stands for nothing: the complexity grows with n.
    """
    rng = generator(problem.seed, "points of the sphere")
    points = normal_numbers(rng, (SIZES[-1], 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    along = points[:, 0]
    shares = []
    for size in SIZES:
        cosines = np.clip(points[:size] @ points[:size].T, -1, 1)
        kernel = cosines * (np.pi - np.arccos(cosines)) / (2 * np.pi)
        for degree in degrees:
            labels = along[:size] ** degree
            complexity = float(np.sqrt(labels @ np.linalg.solve(kernel, labels)))
            shares.append(complexity / np.minimum(1 / np.sqrt(taylor(degree) or 1.0), 3 * degree))
    return at_most(1.0, float(max(shares)))


def taylor(degree: int) -> float:
    """The coefficient a_p of u^p in u(π − arccos u)/(2π) = u/4 + u·arcsin(u)/(2π)."""
    known = {1: 1 / 4, 2: 1 / (2 * np.pi), 4: 1 / (12 * np.pi)}
    return float(known.get(degree, 0.0))


def two_classes(problem: Problem) -> np.ndarray:
    """The clean labels as ±1, where there are two classes; else class 1 against all others."""
    require_inverse(problem)
    clean = clean_labels(problem)
    signs = np.sign(clean[:, 0])
    if not np.all(signs):
        raise DoesNotApply("a label is 0: neither of two classes")
    return signs


def complexities(problem: Problem, labels: np.ndarray) -> np.ndarray:
    """ỹᵀΘ⁻¹ỹ of each row of labels, by solving with Θ."""
    solved = np.linalg.solve(np.asarray(problem.theta), labels.T)
    return np.sum(labels.T * solved, axis=0)
