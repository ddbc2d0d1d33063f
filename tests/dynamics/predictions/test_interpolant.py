"""The converged student against its definition."""

import numpy as np
import pytest

from ntk_air.dynamics.predictions.interpolant import interpolant


def test_it_passes_through_the_targets_and_solves_the_normal_equations():
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((12, 8))
    kernel = factor @ factor.T
    theta, cross = kernel[:6, :6], kernel[6:, :6]
    targets = rng.standard_normal((6, 3))
    np.testing.assert_allclose(interpolant(theta, theta, targets), targets, rtol=1e-9)
    expected = cross @ np.linalg.inv(theta) @ targets
    np.testing.assert_allclose(interpolant(theta, cross, targets), expected, rtol=1e-7)


def test_a_singular_kernel_is_refused():
    with pytest.raises(ValueError, match="theta must be positive definite"):
        interpolant(np.ones((3, 3)), np.ones((1, 3)), np.ones((3, 1)))
