"""Depth does not change how fast the eigenvalues of a ReLU kernel decay."""

from collections.abc import Callable

import numpy as np
from scipy.special import eval_legendre

from ntk_air.claims.comparison import Measurement, claim
from ntk_air.problem import Problem

SOURCE = "Bietti, Bach 2021; docs/theory.md, 11-bietti"
DEGREES = (32, 64, 128)
DEPTHS = (1, 2, 4)
N_NODES = 400
DIMENSION = 3


Kernel = Callable[[np.ndarray, int], np.ndarray]


def relu_ntk(cosine: np.ndarray, depth: int) -> np.ndarray:
    """The NTK with ``depth`` hidden layers on the sphere, no biases, by its recursion."""
    nngp, ntk = cosine, cosine
    for _ in range(depth):
        angle = np.arccos(np.clip(nngp, -1, 1))
        nngp, ntk = first(nngp), first(nngp) + ntk * (np.pi - angle) / np.pi
    return ntk


def relu_nngp(cosine: np.ndarray, depth: int) -> np.ndarray:
    """The NNGP kernel with as many hidden layers."""
    for _ in range(depth):
        cosine = first(cosine)
    return cosine


def step_nngp(cosine: np.ndarray, depth: int) -> np.ndarray:
    """The NNGP kernel of step activations: 1 − θ/π, again and again; its kink grows sharper."""
    for _ in range(depth):
        cosine = 1 - np.arccos(np.clip(cosine, -1, 1)) / np.pi
    return cosine


def first(cosine: np.ndarray) -> np.ndarray:
    """The arc-cosine kernel of degree 1, (sin θ + (π − θ)cos θ)/π."""
    angle = np.arccos(np.clip(cosine, -1, 1))
    return (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi


@claim(
    "11-bietti",
    "On the sphere in d dimensions NTK eigenvalues of degree k fall as k^−d, at any depth",
    source=SOURCE,
    control=("step activations, whose exponent depends on the depth", {"kernel": step_nngp}),
)
def ntk_decay(problem: Problem, *, kernel: Kernel = relu_ntk) -> Measurement:
    """Slopes of 1, 2 and 4 hidden layers by quadrature, d = 3, against −d; the farthest of them."""
    del problem
    return farthest_slope(float(-DIMENSION), kernel)


@claim(
    "11-bietti-nngp",
    "Those of the NNGP kernel fall as k^{−d−2}",
    source=SOURCE,
    control=("step activations, whose exponent depends on the depth", {"kernel": step_nngp}),
)
def nngp_decay(problem: Problem, *, kernel: Kernel = relu_nngp) -> Measurement:
    """Slopes of 1, 2 and 4 hidden layers by quadrature, d = 3, against −d − 2; the farthest."""
    del problem
    return farthest_slope(float(-DIMENSION - 2), kernel)


def farthest_slope(limit: float, kernel: Kernel) -> Measurement:
    """The slope of least agreement with its limit, each within its own uncertainty.

    Slopes between even degrees k and 2k come to their limit as a power of 1/k: what is missing at
    the last one is no more than twice its distance from the one before.
    """
    found = []
    for depth in DEPTHS:
        values = np.abs(eigenvalues(kernel, depth))
        slopes = np.diff(np.log(values)) / np.log(2)
        tolerance = 2 * abs(slopes[-1] - slopes[-2])
        found.append((abs(slopes[-1] - limit) / tolerance, slopes[-1], tolerance))
    _, slope, tolerance = max(found)
    return Measurement(
        limit, float(slope), float(abs(slope - limit)), float(tolerance), sign="→", rate_in="k"
    )


def eigenvalues(kernel: Kernel, depth: int) -> np.ndarray:
    """∫κ(cos θ)P_k(cos θ) sin θ dθ, by Gauss–Legendre in θ: ReLU kernels are smooth in it."""
    nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
    angles = np.pi * (nodes + 1) / 2
    measure = kernel(np.cos(angles), depth) * np.sin(angles) * weights
    return np.array([measure @ eval_legendre(degree, np.cos(angles)) for degree in DEGREES])
