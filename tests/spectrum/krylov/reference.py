"""Label-weighted measures from a dense decomposition in float64, and times to ask at."""

import operator
from fractions import Fraction

import numpy as np

TIMES = np.array([0, 1, 2, 3, 5, 10, 30, 100, 1e3, 1e4, 1e6, 1e9, 1e15, np.inf])
FLOW_TIMES = np.append(TIMES, [1e-3, 0.7, 33.3])


def spectrum_of(matrix):
    """Eigenvalues, cleared of negative rounding, and eigenvectors."""
    values, vectors = np.linalg.eigh(np.asarray(matrix, np.float64))
    return np.maximum(values, 0), vectors


def energy_shares(vectors, labels):
    squares = np.sum((vectors.T @ labels) ** 2, axis=1)
    return squares / squares.sum()


def left_at(values, steps, rate, dynamics):
    """(1 − ηλ)ᵏ or e^{−kηλ}, (n_time, n_mode)."""
    scaled = np.minimum(rate * values, 1) if dynamics == "descent" else rate * values
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = steps[:, None] * (np.log1p(-scaled) if dynamics == "descent" else -scaled)
    return np.exp(np.where(np.isnan(exponent), 0, exponent))


def first_decays(matrix, labels, *, rate):
    """The decay of descent at steps 1 and 2, rounded once: one product bounds it to a last bit."""
    u = [Fraction(float(entry)) for entry in labels.ravel()]
    rows = [[Fraction(float(entry)) for entry in row] for row in np.asarray(matrix)]
    step = Fraction(float(rate))
    energy = sum(entry * entry for entry in u)
    after = [x - step * sum(map(operator.mul, row, u)) for x, row in zip(u, rows, strict=True)]
    first = sum(map(operator.mul, u, after)) / energy
    return float(first), float(sum(entry * entry for entry in after) / energy)


def decay_of(values, shares, steps, *, rate, dynamics):
    # A decay begins at 1; the shares' sum may round to either side of it.
    return np.where(steps == 0, 1, np.minimum(left_at(values, steps, rate, dynamics) @ shares, 1))
