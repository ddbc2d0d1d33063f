"""Plain NumPy stepping in float64, and small kernels: what closed forms are compared with."""

from collections.abc import Callable

import numpy as np

from ntk_air.spectrum.decomposition import decompose
from ntk_air.spectrum.result import Spectrum

SPECTRA = {
    "power_law": lambda n: (1.0 + np.arange(n)) ** -1.5,
    "step": lambda n: np.where(np.arange(n) < n // 4, 1.0, 1e-3),
    "repeated": lambda n: np.repeat([2.0, 0.5, 0.05], [2, n // 2, n - n // 2 - 2]),
    "rank_deficient": lambda n: np.where(np.arange(n) < n // 2, 1.0 / (1 + np.arange(n)), 0.0),
}


def kernel_with(eigenvalues: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """A symmetric matrix of the given eigenvalues in a random orthonormal basis."""
    n = len(eigenvalues)
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))
    matrix = (basis * eigenvalues) @ basis.T
    return (matrix + matrix.T) / 2


def spectrum_of(kernel: np.ndarray, **options) -> Spectrum:
    return decompose(kernel, **options)


def one_hot(classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Centred one-hot rows."""
    return np.eye(n_classes)[np.asarray(classes)] - 1 / n_classes


def step_by_step(
    kernel: np.ndarray,
    target: Callable[[int, np.ndarray], np.ndarray],
    *,
    learning_rate: float,
    steps: list[int],
    initial: np.ndarray,
    momentum: float = 0.0,
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """f ← f − ηΘ(f − target_t) in dual form: {step: (f_t, c_t)} at the given steps."""
    dual = velocity = np.zeros_like(initial)
    predictions, seen = initial, {}
    for step in range(max(steps) + 1):
        if step in steps:
            seen[step] = (predictions, dual)
        velocity = momentum * velocity - learning_rate * (predictions - target(step, predictions))
        dual = dual + velocity
        predictions = initial + kernel @ dual
    return seen
