"""Convolutional kernels by their definition: loops over positions, plain covariances, no library.

In extended precision where the machine has it, so that the arccosine of a rounded correlation, the
textbook's, is good to about 1e-9 even at parallel patches.
"""

import itertools

import numpy as np

_NEIGHBOURS = tuple(itertools.product((-1, 0, 1), repeat=2))


def relu_dual(q12, q11, q22):
    """E[φ(u)φ(v)] and E[φ'(u)φ'(v)] for φ = max(0, ·) (Cho, Saul 2009)."""
    scale = np.sqrt(q11 * q22)
    cosine = np.clip(np.divide(q12, scale, out=np.zeros_like(q12), where=scale > 0), -1, 1)
    angle = np.arccos(cosine)
    pi = np.arccos(np.longdouble(-1))
    kappa = scale * (np.sqrt(1 - cosine**2) + (pi - angle) * cosine) / (2 * pi)
    return kappa, (pi - angle) / (2 * pi)


def identity_dual(q12, q11, q22):
    """The same for φ(u) = u."""
    return q12, np.ones_like(q12)


def erf_dual(q12, q11, q22):
    """The same for φ = erf (Williams 1997)."""
    pi = np.arccos(np.longdouble(-1))
    product = (1 + 2 * q11) * (1 + 2 * q22)
    kappa = 2 / pi * np.arcsin(2 * q12 / np.sqrt(product))
    return kappa, 4 / pi / np.sqrt(product - 4 * q12**2)


def convolutional_kernels(images, *, blocks, dual, weight_variance, bias_variance):
    """NTK and NNGP between all pairs of images, (n, n) each."""
    variances = np.longdouble(weight_variance), np.longdouble(bias_variance)
    covariance, ntk = _start(images)
    for block, n_convolutions in enumerate(blocks):
        if block > 0:
            covariance, ntk = _pooled(covariance), _pooled(ntk)
        for _ in range(n_convolutions):
            covariance, ntk = _activated(*_layer(covariance, ntk, *variances), dual)
    return _averaged(covariance, ntk, *variances)


def residual_kernels(images, *, blocks, dual, weight_variance, bias_variance):
    """The same of a convolution and residual blocks u + C(φ(C(φ(u)))); φ, mean, dense at the end.

    A branch ends in weights of its own, so that it does not correlate with its stream.
    """
    variances = np.longdouble(weight_variance), np.longdouble(bias_variance)
    covariance, ntk = _layer(*_start(images), *variances)
    for _ in range(blocks):
        branch = covariance, ntk
        for _ in range(2):
            branch = _layer(*_activated(*branch, dual), *variances)
        covariance, ntk = covariance + branch[0], ntk + branch[1]
    return _averaged(*_activated(covariance, ntk, dual), *variances)


def _start(images):
    x = np.asarray(images, np.longdouble)
    covariance = np.einsum("ihwc,jHWc->ijhwHW", x, x) / x.shape[3]
    return covariance, np.zeros_like(covariance)


def _layer(covariance, ntk, weight, bias):
    """What lies behind a convolution: its own weights and bias, and all before them."""
    convolved = weight * _convolved(covariance) + bias
    return convolved, convolved + weight * _convolved(ntk)


def _activated(covariance, ntk, dual):
    variance = _variances(covariance)
    own, other = variance[:, None, :, :, None, None], variance[None, :, None, None]
    activated, slope = dual(covariance, *np.broadcast_arrays(own, other))
    return activated, slope * ntk


def _averaged(covariance, ntk, weight, bias):
    nngp = weight * covariance.mean(axis=(2, 3, 4, 5)) + bias
    return nngp + weight * ntk.mean(axis=(2, 3, 4, 5)), nngp


def _variances(covariance):
    """E[u²] of each image at each position."""
    n, _, height, width, _, _ = covariance.shape
    found = np.empty((n, height, width), covariance.dtype)
    for i, row, column in np.ndindex(found.shape):
        found[i, row, column] = covariance[i, i, row, column, row, column]
    return found


def _convolved(covariance):
    """A ninth of the sum over all shifts that leave both positions inside their images."""
    height, width = covariance.shape[2:4]
    total = np.zeros_like(covariance)
    for row1, column1, row2, column2 in np.ndindex(covariance.shape[2:]):
        for down, right in _NEIGHBOURS:
            first, second = (row1 + down, column1 + right), (row2 + down, column2 + right)
            if all(0 <= r < height and 0 <= c < width for r, c in (first, second)):
                total[:, :, row1, column1, row2, column2] += covariance[:, :, *first, *second]
    return total / 9


def _pooled(covariance):
    """Means over all pairs of positions in two windows of 2 × 2."""
    n1, n2, height, width, _, _ = covariance.shape
    pooled = np.zeros((n1, n2, height // 2, width // 2, height // 2, width // 2), covariance.dtype)
    for row1, column1, row2, column2 in np.ndindex(covariance.shape[2:]):
        window = (row1 // 2, column1 // 2, row2 // 2, column2 // 2)
        pooled[:, :, *window] += covariance[:, :, row1, column1, row2, column2] / 16
    return pooled
