"""The certificate of decisions: sound against plain steps, and refused where it would not be."""

import numpy as np
import pytest

import ntk_air as na
from ntk_air.dynamics.noise_aware.certificate import certify_decisions, decide
from ntk_air.dynamics.noise_aware.transition import symmetric_transition
from tests.helpers.problems import random_orthogonal
from tests.helpers.type_checks import without_type_checks

N, C, TEMPERATURE = 30, 3, 0.5
PAIR = np.array([[0.6, 0.38, 0.02], [0.02, 0.6, 0.38], [0.38, 0.02, 0.6]])


def setup(seed=0):
    """A kernel, its spectrum, given labels, and outputs not far from decisions that fit them."""
    rng = np.random.default_rng(seed)
    vectors = np.asarray(random_orthogonal(N, seed=seed))
    theta = vectors @ np.diag(np.geomspace(2, 0.01, N)) @ vectors.T
    theta = (theta + theta.T) / 2
    true = rng.integers(0, C, N)
    given = np.where(rng.random(N) < 0.3, (true + 1) % C, true)
    outputs = np.eye(C)[true] + 0.03 * rng.normal(size=(N, C))
    return theta, na.decompose(theta), true, given, outputs


def certified(outputs, given, spectrum, transition=PAIR):
    return certify_decisions(
        spectrum, outputs, given, transition=transition, temperature=TEMPERATURE
    )


def test_a_certified_run_stays_within_its_bounds_and_the_bounds_are_needed():
    theta, spectrum, true, given, outputs = setup()
    certificate = certified(outputs, given, spectrum)
    assert certificate.issued
    assert (certificate.decisions == true).all()
    target, started = np.eye(C)[true], np.abs(outputs - np.eye(C)[true])
    exceeds_start = False
    for _ in range(400):
        outputs = outputs - theta @ (outputs - target) / spectrum.lambda_max
        error = np.abs(outputs - target)
        assert (error <= certificate.bounds).all()
        exceeds_start |= bool((error > started * 1.2).any())
        now = decide(outputs, given, PAIR, temperature=TEMPERATURE)
        assert (now == true).all()
    assert exceeds_start  # the errors at the start, mode signs ignored, would be no bound


def test_no_certificate_where_outputs_within_the_bounds_decide_otherwise():
    _, spectrum, _, given, outputs = setup()
    uncertain = outputs.copy()
    uncertain[0], given[0] = [0.51, 0.4, 0.09], 1
    certificate = certified(uncertain, given, spectrum)
    assert not certificate.issued
    assert not certificate.safe[0]


def test_a_matrix_that_all_but_forbids_a_given_label_weighs_in():
    """Bounds that are safe under a mild matrix are not under one that punishes the decision."""
    _, spectrum, _, given, outputs = setup()
    outputs = np.eye(C)[given] * 0.9 + 0.05
    mild = certified(outputs, given, spectrum, symmetric_transition(0.3, C))
    forbidding = np.where(np.eye(C, dtype=bool), 1e-9, (1 - 1e-9) / 2)
    harsh = certified(outputs, given, spectrum, forbidding)
    assert (mild.decisions == given).all()
    assert (harsh.decisions != given).all()
    assert harsh.safe.sum() < mild.safe.sum() or not harsh.issued


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outputs": np.full((N, C), np.nan)}, "outputs must be finite"),
        ({"outputs": np.zeros((N - 1, C))}, "with a row for each output"),
        ({"transition": np.eye(C)}, "transition must have entries above 0"),
        ({"temperature": 0.0}, "temperature must be"),
    ],
)
def test_what_proves_nothing_is_refused(change, says):
    _, spectrum, _, given, outputs = setup()
    arguments = {"outputs": outputs, "transition": PAIR, "temperature": 1.0} | change
    with without_type_checks(), pytest.raises(ValueError, match=says):
        certify_decisions(spectrum, given=given, **arguments)
