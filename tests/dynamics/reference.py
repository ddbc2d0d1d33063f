"""Plain NumPy stepping in float64, and small kernels: what closed forms are compared with."""

from collections.abc import Callable, Iterable

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


def noisy_problem(n: int, n_out: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Clean and noisy labels, a third of the rows flipped: ±1 for n_out = 1, else one-hot."""
    rng = np.random.default_rng(seed)
    flips = rng.random(n) < 1 / 3
    if n_out == 1:
        clean = rng.choice([-1.0, 1.0], size=(n, 1))
        return clean, np.where(flips[:, None], -clean, clean)
    classes = rng.integers(0, n_out, n)
    noisy = np.where(flips, (classes + 1) % n_out, classes)
    return one_hot(classes, n_out), one_hot(noisy, n_out)


def step_by_step(
    kernel: np.ndarray,
    target: Callable[[int, np.ndarray], np.ndarray],
    *,
    learning_rate: float,
    steps: Iterable[int],
    initial: np.ndarray,
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """f ← f − ηΘ(f − target(t, f)) in dual form: {step: (f_t, c_t)} at the given steps."""
    dual, predictions, seen = np.zeros_like(initial), initial, {}
    for step in range(max(steps) + 1):
        if step in steps:
            seen[step] = (predictions, dual)
        dual = dual - learning_rate * (predictions - target(step, predictions))
        predictions = initial + kernel @ dual
    return seen
