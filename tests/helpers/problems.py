"""One table of test kernels with given eigenvalues, in random orthogonal bases from a seed."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Problem:
    """A symmetric positive semi-definite matrix whose spectrum is known.

    Attributes:
        eigenvalues: as set, descending, (n,).
        basis: eigenvectors as set, columns in the same order, (n, n).
        matrix: basis · diag(eigenvalues) · basisᵀ, exactly symmetric.
        condition: λ₁ over the smallest eigenvalue that is not 0.
    """

    eigenvalues: np.ndarray
    basis: np.ndarray
    matrix: np.ndarray
    condition: float

    @property
    def groups(self) -> list[np.ndarray]:
        """Indices of equal eigenvalues: eigenvectors are known up to a rotation in each."""
        starts = np.flatnonzero(np.diff(self.eigenvalues)) + 1
        return np.split(np.arange(len(self.eigenvalues)), starts)


def random_orthogonal(n: int, seed: int) -> np.ndarray:
    """An n × n orthogonal matrix, uniform over the group."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    return q * np.sign(np.diagonal(r))


def with_eigenvalues(eigenvalues: np.ndarray, seed: int = 0) -> Problem:
    """A problem of the given eigenvalues, descending."""
    basis = random_orthogonal(len(eigenvalues), seed)
    matrix = (basis * eigenvalues) @ basis.T
    positive = eigenvalues[eigenvalues > 0]
    return Problem(
        eigenvalues=eigenvalues,
        basis=basis,
        matrix=(matrix + matrix.T) / 2,
        condition=float(positive[0] / positive[-1]),
    )


# 60 modes each; λ₁ over the least non-zero one: 3,600, 1,000, 243, 10.
SPECTRA = {
    "power_law": 3.0 * np.arange(1.0, 61.0) ** -2.0,
    "step": np.repeat([5.0, 0.005], [8, 52]),
    "repeated": np.repeat(3.0 ** -np.arange(6.0), 10),
    "rank_deficient": np.append(np.linspace(2.0, 0.2, 25), np.zeros(35)),
}


def spectral_problem(name: str, seed: int = 0) -> Problem:
    """The problem of that name in ``SPECTRA``."""
    return with_eigenvalues(SPECTRA[name], seed)
