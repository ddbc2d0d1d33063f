"""Activations in plain NumPy, and expectations over Gaussian pairs by integration in the plane."""

import itertools

import numpy as np
from scipy import special, stats

from ntk_air.kernels.infinite.activations.by_name import (
    GELU,
    Cosine,
    Erf,
    PiecewiseLinear,
    Sine,
    absolute_value,
    identity,
    leaky_relu,
    relu,
)


def _step(x, below, above):
    return np.where(x < 0, below, above)


ACTIVATIONS = {
    "relu": (relu(), lambda x: np.maximum(x, 0), lambda x: _step(x, 0.0, 1.0)),
    "leaky_relu": (
        leaky_relu(0.2),
        lambda x: np.maximum(x, 0.2 * x),
        lambda x: _step(x, 0.2, 1.0),
    ),
    "abs": (absolute_value(), np.abs, np.sign),
    "two_slopes": (
        PiecewiseLinear(-0.3, 1.7),
        lambda x: x * _step(x, -0.3, 1.7),
        lambda x: _step(x, -0.3, 1.7),
    ),
    "identity": (identity(), lambda x: x, np.ones_like),
    "erf": (Erf(), special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2))),
    "sine": (Sine(), np.sin, np.cos),
    "cosine": (Cosine(), np.cos, lambda x: -np.sin(x)),
    "gelu": (
        GELU(),
        lambda x: x * stats.norm.cdf(x),
        lambda x: stats.norm.cdf(x) + x * stats.norm.pdf(x),
    ),
}
"""Name → (activation, φ, φ'), the last two independent of the library."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def _panel(low, high):
    return (low + high) / 2 + (high - low) / 2 * _NODES, (high - low) / 2 * _WEIGHTS


def gaussian_expectation(f, q11, q12, q22):
    """E[f(u)f(v)] for variances q11, q22 > 0 and covariance q12, in polar coordinates.

    With z uniform in direction, u = √q11·r·cos a and v = √q22·r·cos(a − θ): the lines u = 0 and
    v = 0, where f may have a kink or a jump, are edges of panels, so each panel is smooth.
    """
    angle = np.arccos(np.clip(q12 / np.sqrt(q11 * q22), -1, 1))
    edges = [-np.pi / 2, np.pi / 2, angle - np.pi / 2, angle + np.pi / 2]
    edges = np.sort([(edge + np.pi) % (2 * np.pi) - np.pi for edge in edges])
    edges = np.append(edges, edges[0] + 2 * np.pi)
    radii, radial_weights = (
        np.concatenate(parts) for parts in zip(_panel(0, 4), _panel(4, 12), strict=True)
    )
    radial_weights = radial_weights * radii * np.exp(-(radii**2) / 2)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        directions, weights = _panel(low, high)
        u = np.sqrt(q11) * radii[:, None] * np.cos(directions)
        v = np.sqrt(q22) * radii[:, None] * np.cos(directions - angle)
        total += radial_weights @ (f(u) * f(v)) @ weights
    return total / (2 * np.pi)
