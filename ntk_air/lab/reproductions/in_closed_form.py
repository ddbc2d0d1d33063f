"""Numbers that need no data: tables and exponents that are there in full."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ntk_air.claims.neighbours import bietti, borup
from ntk_air.lab.reproductions.published import Reproduction, Row


def noisy_sine(data_dir: Path | None) -> Iterator[Row]:
    """Self-distillation by ridge rounds on eleven points of a noisy sine."""
    del data_dir
    for weight, published in zip((0.0, borup.WEIGHT), borup.PUBLISHED, strict=True):
        rounds = (*range(6), "∞")
        for after, theirs, ours in zip(rounds, published, borup.errors(weight), strict=True):
            yield Row(
                f"mean squared error, α = {weight:g}, after {after} rounds",
                theirs,
                (round(ours, 5),),
                0.0,
                "to the last digit; the column α = 0.35 is labelled 0.25 in their repository",
            )


def exponents(data_dir: Path | None) -> Iterator[Row]:
    """How fast the eigenvalues of ReLU kernels on the sphere in three dimensions fall."""
    del data_dir
    kernels = (("NTK", bietti.relu_ntk, -3.0), ("NNGP", bietti.relu_nngp, -5.0))
    for name, kernel, published in kernels:
        for depth in bietti.DEPTHS:
            values = np.abs(bietti.eigenvalues(kernel, depth))
            slopes = np.diff(np.log(values)) / np.log(2)
            yield Row(
                f"exponent of the {name}'s eigenvalues, d = 3, hidden layers: {depth}",
                published,
                (float(slopes[-1]),),
                float(2 * abs(slopes[-1] - slopes[-2])),
                "a limit: twice the last change of the slope between degrees 32, 64 and 128",
            )


def best_ridge(data_dir: Path | None) -> Iterator[Row]:
    """Where self-distillation has nothing to gain on isotropic inputs: l = γσ²/r²."""
    del data_dir
    n, n_features, signal, noise = 1000, 500, 1.0, 1.0
    grid = np.geomspace(0.2, 1.2, 61)
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        inputs = rng.standard_normal((n, n_features))
        truth = rng.standard_normal(n_features) * (signal / n_features) ** 0.5
        labels = inputs @ truth + noise**0.5 * rng.standard_normal(n)
        values, basis = np.linalg.eigh(inputs.T @ inputs / n)
        moment, known = basis.T @ (inputs.T @ labels) / n, basis.T @ truth
        risks = [np.sum((moment / (values + ridge) - known) ** 2) for ridge in grid]
        found.append(float(grid[int(np.argmin(risks))]))
    error = float(np.std(found, ddof=1) / len(found) ** 0.5)
    yield Row(
        "penalty l at which ξ* = 0, γ = 0.5, r² = σ² = 1",
        0.5,
        tuple(found),
        3 * error + float(grid[1] / grid[0] - 1) * 0.5,
        "3 standard errors over draws of 1,000 inputs of 500 features, and a step of the grid",
    )


BORUP = Reproduction(
    "self-distillation by ridge rounds: a noisy sine",
    "Borup, Andersen 2021, Even your teacher needs guidance, and its repository",
    noisy_sine,
)
BIETTI = Reproduction(
    "decay of the eigenvalues of ReLU kernels",
    "Bietti, Bach 2021, Deep equals shallow for ReLU networks in kernel regimes",
    exponents,
)
DANG = Reproduction(
    "where optimal self-distillation changes its sign",
    "Dang, Patil, Rinaldo 2026, arXiv 2602.17565",
    best_ridge,
)
