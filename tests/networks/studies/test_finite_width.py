"""Networks of finite width against their kernel: fitted laws, and where networks are kernels."""

from typing import Any

import jax
import numpy as np
import pytest
from scipy.stats import linregress

from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.supervision import plain_descent
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.networks.models.dense import DenseNetwork
from ntk_air.networks.studies.finite_width import (
    compare_with_kernel,
    fit_power_law,
    network_problem,
)
from ntk_air.problem import Labels, Problem


def test_a_fit_is_least_squares_of_the_logarithms_with_students_interval():
    rng = np.random.default_rng(0)
    widths = np.repeat([64.0, 256.0, 1024.0, 4096.0], 5)
    values = 3.0 * widths**-0.5 * np.exp(0.1 * rng.normal(size=20))
    law = fit_power_law(widths, values)
    reference: Any = linregress(np.log(widths), np.log(values))
    assert law.slope == pytest.approx(reference.slope, rel=1e-10)
    assert law.standard_error == pytest.approx(reference.stderr, rel=1e-10)
    # Student's 97.5 % quantile at 18 degrees of freedom, from a table.
    assert law.high - law.slope == pytest.approx(2.1009 * reference.stderr, rel=1e-4)
    assert law.low < -0.5 < law.high
    np.testing.assert_allclose(law.at(widths[:1]), np.exp(reference.intercept) * 64**law.slope)


def test_intervals_hold_the_true_slope_as_often_as_they_say():
    rng = np.random.default_rng(1)
    widths = np.repeat([64.0, 256.0, 1024.0], 4)
    laws = [fit_power_law(widths, widths**-0.5 * np.exp(rng.normal(size=12))) for _ in range(1000)]
    covered = np.mean([law.low <= -0.5 <= law.high for law in laws])
    # Four standard errors of a share of 0.95 among 1,000.
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 1000)


def compare(width, *, rate_factor=1.0, parametrisation="ntk", activation="erf"):
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(10, 5))
    noisy = np.sign(rng.normal(size=(10, 1)))
    theta = np.asarray(DenseNTK(depth=2, activation=activation)(inputs))
    network = DenseNetwork((width,), activation=activation, parametrisation=parametrisation)
    kernel = Problem(Labels(noisy), theta)
    return compare_with_kernel(
        network_problem(network, jax.random.key(width), inputs, kernel.labels),
        kernel.with_largest_eigenvalue(np.linalg.eigvalsh(theta)[-1]),
        plain_descent(),
        [0, 2, 40],
        descent=Descent(),
        rate_factor=rate_factor,
    )


def test_a_wider_network_is_nearer_to_its_kernel():
    narrow, wide = compare(32), compare(32 * 256)
    for name in ("kernel_distance", "kernel_drift"):
        assert getattr(wide, name) < getattr(narrow, name) / 4, name
    assert narrow.function_gap[0] < 1e-14
    assert (np.diff(wide.function_gap) >= 0).all()
    assert wide.function_gap[-1] < narrow.function_gap[-1] / 4
    # The control: a gap that no width closes.
    assert compare(32 * 256, rate_factor=0.5).function_gap[-1] > 4 * wide.function_gap[-1]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="network must be in NTK parametrisation"):
        compare(8, parametrisation="standard")
    with pytest.raises(ValueError, match=r"same steps; .*diverged"):
        compare(8, rate_factor=1e200)
    with pytest.raises(ValueError, match="at least 3 runs of 2 widths"):
        fit_power_law(np.array([8.0, 8.0, 8.0]), np.ones(3))
    with pytest.raises(ValueError, match="values must be above 0; the least is 0"):
        fit_power_law(np.array([8.0, 16.0, 8.0]), np.zeros(3))
