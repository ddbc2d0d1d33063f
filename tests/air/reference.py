"""Labels, and AIR written out from its definitions in NumPy: what the library is compared with."""

import numpy as np
import scipy.integrate

DYNAMICS = ["descent", "flow"]


def labels(n_draw=None, n_out=3, seed=0, n=60):
    shape = (n, n_out) if n_draw is None else (n_draw, n, n_out)
    return np.random.default_rng(seed).standard_normal(shape)


def on_modes(problem, weights):
    """A single-output label vector with the given amplitudes on the eigenvectors as set."""
    return problem.basis @ np.asarray(weights, float)[:, None]


def filtered_share(matrix, u, t, *, learning_rate, dynamics):
    """‖g_t(Θ)u‖²/‖u‖² with the matrix power, or the matrix exponential, written out."""
    n = len(matrix)
    if dynamics == "descent":
        residual = np.linalg.matrix_power(np.eye(n) - learning_rate * matrix, t)
    else:
        residual = scipy.linalg.expm(-t * learning_rate * matrix)
    return np.sum((u - residual @ u) ** 2) / np.sum(u**2)


def flow_area(speeds, a, b):
    """∫ R_t(y) dR_t(ζ) over ln t by adaptive quadrature."""

    def integrand(log_time):
        left = np.exp(-np.exp(log_time) * speeds)
        slope = np.sum(b * 2 * (1 - left) * speeds * left)
        return np.sum(a * (1 - left) ** 2) * slope * np.exp(log_time)

    value, _ = scipy.integrate.quad(integrand, -25, 25, limit=500, epsabs=1e-12, epsrel=1e-12)
    return value


def descent_area(speeds, a, b):
    """Trapezoids between all steps until the slowest mode is left with e⁻²⁵."""
    last, stride = int(25 / speeds.min()), 4096
    area = 0.0
    for first in range(0, last, stride):
        steps = np.arange(first, min(first + stride, last) + 1)
        retrieved = (1 - (1 - speeds) ** steps[:, None]) ** 2
        area += np.trapezoid(retrieved @ a, retrieved @ b)
    return area


def noisy_labels(n_draw, n=60, seed=0):
    """Centred one-hot labels of three classes, 40 % flipped: (y, E[ỹ | y], ỹ of each draw)."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(3, size=n)
    flipped = rng.random((n_draw, n)) < 0.4
    drawn = np.where(flipped, (classes + rng.integers(1, 3, size=(n_draw, n))) % 3, classes)
    clean = np.eye(3)[classes] - 1 / 3
    return clean, 0.4 * clean, np.eye(3)[drawn] - 1 / 3
