"""What theory.md section 5 says of the filters of distillation, apart from their trajectories."""

import numpy as np
import pytest

from ntk_air.dynamics.filters.distillation import (
    DistillationRounds,
    LastEpochTeacher,
    RestartedStudent,
    StoppedTeacher,
)
from ntk_air.dynamics.filters.scheduled import HardPatternTail, IdentityDistillation
from ntk_air.dynamics.filters.spectral import GradientDescent, GradientFlow

EIGENVALUES = np.array([1.0, 0.6, 0.1, 1e-2, 1e-5, 0.0])
DESCENT = GradientDescent(1.0)


def test_converged_student_is_its_stopped_teacher_and_a_converged_teacher_passes_on_nothing():
    """(5a), (5b)."""
    teacher = DESCENT.response(EIGENVALUES, 30.0)
    student = StoppedTeacher(DESCENT, teacher_steps=30).response(EIGENVALUES, 1e15)
    np.testing.assert_allclose(student.residual, teacher.residual, rtol=1e-12)
    # The same dual coefficients, so the same function on every input, where λ > 0.
    np.testing.assert_allclose(student.dual[:-1], teacher.dual[:-1], rtol=1e-12)
    plain = DESCENT.response(EIGENVALUES[:-1], 17.0)
    taught = StoppedTeacher(DESCENT, teacher_steps=1e15).response(EIGENVALUES[:-1], 17.0)
    np.testing.assert_allclose(taught.residual, plain.residual, rtol=1e-12)
    np.testing.assert_allclose(taught.dual, plain.dual, rtol=1e-12)


@pytest.mark.parametrize("base", [DESCENT, GradientFlow(1.0)])
def test_rounds_raise_the_filter_to_their_number(base):
    """(5c): g_Tᴿ; the ratio of a large to a small mode never falls (Mobahi et al. 2020)."""
    rule = DistillationRounds(base, round_steps=25)
    one = base.retrieved(EIGENVALUES, 25.0)
    ratios = []
    for rounds in (1, 2, 5):
        got = rule.retrieved(EIGENVALUES, 25.0 * rounds)
        np.testing.assert_allclose(got, one**rounds, rtol=1e-12)
        ratios.append(got[0] / got[3])
    assert ratios == sorted(ratios)
    inside = rule.retrieved(EIGENVALUES, 60.0)
    np.testing.assert_allclose(inside, one**2 * base.retrieved(EIGENVALUES, 10.0), rtol=1e-12)


def test_last_epochs_teacher_slows_memorising_but_does_not_stop_it():
    """(5e): residual (1 − αM)ᵉ at the end of epochs, and 0 in the end."""
    rule = LastEpochTeacher(1.0, epoch_steps=8, weight=0.25)
    epoch = 1 - (1 - EIGENVALUES) ** 8
    residual = rule.response(EIGENVALUES, 24.0).residual
    np.testing.assert_allclose(residual, (1 - 0.25 * epoch) ** 3, rtol=1e-12)
    np.testing.assert_allclose(rule.retrieved(EIGENVALUES, 1e15)[:-1], 1.0, rtol=1e-9)


def test_restarts_leave_a_permanent_regulariser():
    """(5e): the limit αM/(1 − (1 − α)M), reached and fixed."""
    rule = RestartedStudent(1.0, epoch_steps=8, weight=0.25)
    epoch = 1 - (1 - EIGENVALUES) ** 8
    expected = 0.25 * epoch / (1 - 0.75 * epoch)
    np.testing.assert_allclose(rule.limit(EIGENVALUES), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(rule.retrieved(EIGENVALUES, 8e4), expected, rtol=1e-12, atol=1e-15)
    assert (expected[2:5] < 0.9).all()


def test_weight_one_is_plain_descent_for_every_identity_rule():
    plain = DESCENT.response(EIGENVALUES, 16.0)
    for rule in (
        LastEpochTeacher(1.0, epoch_steps=5, weight=1.0),
        LastEpochTeacher(1.0, epoch_steps=16, weight=1.0),
        RestartedStudent(1.0, epoch_steps=16, weight=1.0),
    ):
        response = rule.response(EIGENVALUES, 16.0)
        np.testing.assert_allclose(response.residual, plain.residual, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(response.dual, plain.dual, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StoppedTeacher(DESCENT, teacher_steps=-1), "teacher_steps must be a finite"),
        (lambda: DistillationRounds(DESCENT, round_steps=0), "round_steps must be a whole"),
        (lambda: LastEpochTeacher(1.0, 0, 0.5), "epoch_steps must be a whole"),
        (lambda: LastEpochTeacher(1.0, 5, 1.5), r"weight must lie in \[0, 1\]"),
        (lambda: RestartedStudent(1.0, 0, 0.5), "epoch_steps must be a whole"),
        (lambda: RestartedStudent(1.0, 5, -0.5), r"weight must lie in \[0, 1\]"),
        (lambda: IdentityDistillation(1.0, [0.5, 1.5]), r"weights must be a vector of values"),
        (lambda: IdentityDistillation(1.0, 0.5), r"weights must be a vector .* got shape \(\)"),
        (
            lambda: IdentityDistillation(1.0, [0.5], average_decay=2.0),
            r"average_decay must lie in \[0, 1\]",
        ),
        (lambda: HardPatternTail(1.0, [-0.1]), r"weights must be a vector .* from -0\.1 to -0\.1"),
    ],
)
def test_bad_arguments_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "rule",
    [
        LastEpochTeacher(1.0, epoch_steps=8, weight=0.25),
        RestartedStudent(1.0, epoch_steps=8, weight=0.25),
        DistillationRounds(DESCENT, round_steps=8),
        StoppedTeacher(DESCENT, teacher_steps=8),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_what_is_retrieved_and_what_is_left_make_one(rule):
    steps = np.array([0.0, 1, 7, 8, 9, 16, 29])
    response = rule.response(EIGENVALUES, steps[:, None])
    np.testing.assert_allclose(response.residual + EIGENVALUES * response.dual, 1, rtol=1e-13)
