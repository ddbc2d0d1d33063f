"""Curves of a kernel on one draw of noise, at shares that kernels of all sizes have."""

import numpy as np

import ntk_air as na
from ntk_air.lab.report.pretrained_features import SHARES, curves
from ntk_air.problem.labels import dataset_labels

LABELS = np.arange(20) % 2
NOISE = na.SymmetricNoise(0.3, exact=True)


def problem(theta):
    data = na.Dataset(np.eye(20), LABELS).with_label_noise(NOISE, seed=0)
    return na.Problem(dataset_labels(data), theta, na.decompose(theta), dataset=data)


def test_a_kernel_of_the_clean_labels_retrieves_them_before_any_noise():
    clean = 2.0 * LABELS - 1
    made = curves(problem(np.eye(20) + 1e4 * np.outer(clean, clean) / 20))
    np.testing.assert_allclose(made["energy_clean_curve"][SHARES >= 0.05], 1, rtol=1e-12)
    np.testing.assert_allclose(made["energy_clean_top_tenth"], 1, rtol=1e-12)
    np.testing.assert_allclose(made["energy_clean_curve"][SHARES < 0.05], 20 * SHARES[:5])
    assert (made["air_curve"][1:] > 0.999).all()


def test_an_isotropic_kernel_retrieves_both_alike():
    made = curves(problem(np.eye(20)))
    np.testing.assert_allclose(made["air_curve"], SHARES, atol=1e-12)


def test_the_area_under_the_curve_is_the_air_auc():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(20, 20)) + 0.3 * np.outer(2.0 * LABELS - 1, rng.normal(size=20))
    with_noise = problem(factor @ factor.T)
    area = np.trapezoid(curves(with_noise)["air_curve"], SHARES)
    assert abs(area - (na.air_summary(with_noise).auc or 0)) < 2e-3
