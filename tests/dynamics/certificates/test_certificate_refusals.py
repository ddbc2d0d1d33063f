"""What no certificate is issued for, and what none is asked with."""

import numpy as np
import pytest

from ntk_air.dynamics.certificates.certificate import RunState, certify_pattern
from ntk_air.dynamics.certificates.tail_bounds import tail_basis
from tests.dynamics.certificates.test_certificate import (
    N,
    certificate_at,
    clustered_kernel,
    clustered_labels,
)
from tests.dynamics.reference import kernel_with, spectrum_of


def test_an_indefinite_kernel_is_refused():
    eigenvalues = np.linspace(1.0, -0.1, N)
    basis = tail_basis(spectrum_of(kernel_with(eigenvalues)))
    labels = np.where(np.arange(N) % 2, 1.0, -1.0)[:, None]
    refused = certify_pattern(basis, RunState(labels, labels), weights=0.0, learning_rate=0.5)
    assert not refused.issued
    assert "not positive semi-definite: λ_n = -0.1" in refused.reason


def test_no_bounds_are_given_without_a_certificate_or_before_it():
    refused = certificate_at(100, fraction=1.5)
    assert np.isinf(refused.bounds).all()
    with pytest.raises(ValueError, match=r"no bounds without a certificate: ηλ₁ = 1\.5"):
        refused.margin_bound(200)
    with pytest.raises(ValueError, match="step must be at least 100; got 99"):
        certificate_at(100).margin_bound(99)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"outputs": np.ones((41, 1)), "noisy": np.ones((41, 1))}, r"shape \(40, 1\); got \(41"),
        ({"outputs": np.full((N, 1), np.nan)}, "outputs must be finite"),
        ({"weights": 1.5}, r"weights must be one or a vector of values in \[0, 1\]"),
        ({"weights": []}, "weights must be one or a vector"),
        ({"weights": np.array([[0.5]])}, "weights must be one or a vector"),
        ({"weights": np.array([np.nan])}, "weights must be one or a vector"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0"),
        ({"step_rounding": -1.0}, "step_rounding must be a finite number, at least 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(changed, message):
    basis = tail_basis(spectrum_of(clustered_kernel()))
    clean, noisy = clustered_labels(1, flips_per_cluster=[1] * 4)
    arguments = {"outputs": clean, "noisy": noisy, "weights": 0.1, "learning_rate": 0.01} | changed
    with pytest.raises(ValueError, match=message):
        state = RunState(arguments.pop("outputs"), arguments.pop("noisy"))
        certify_pattern(basis, state, **arguments)


def test_a_truncated_spectrum_is_refused():
    with pytest.raises(ValueError, match="must hold all modes for a certificate; got 5 of 40"):
        tail_basis(spectrum_of(clustered_kernel(), top_k=5))
