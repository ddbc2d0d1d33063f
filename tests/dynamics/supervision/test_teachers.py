"""A teacher of another kernel, trained on other inputs."""

import numpy as np
import pytest

from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import Constant, Identity, Pretrained, Supervision
from ntk_air.problem import HeldOut, Labels, Problem

RNG = np.random.default_rng(0)
THEIRS, OURS = RNG.normal(size=(5, 3)), RNG.normal(size=(4, 3))
START = RNG.normal(size=(4, 2))
ACROSS = OURS @ THEIRS.T
TEACHER = Problem(
    Labels(RNG.normal(size=(5, 2))),
    THEIRS @ THEIRS.T,
    held_out=HeldOut(ACROSS, np.zeros((4, 2)), initial=START),
)
STUDENT = Problem(Labels(np.zeros((4, 2))), np.diag([4.0, 3.0, 2.0, 1.0]))


@pytest.fixture(scope="module")
def taught():
    return solve(TEACHER, Descent(), [7], Stepwise()).final


def test_a_teacher_elsewhere_says_what_it_predicts_there(taught):
    outputs = Pretrained.elsewhere(ACROSS, taught.dual, initial=START).outputs
    np.testing.assert_allclose(outputs, taught.held_out_predictions, rtol=0, atol=1e-13)


def test_its_student_goes_to_these_outputs_by_its_own_kernel(taught):
    teacher = Pretrained.elsewhere(ACROSS, taught.dual)
    alone = Supervision(Identity(), Constant(0.0), teacher)
    outputs = solve(STUDENT, alone, [3], Stepwise()).final.predictions
    shares = 1 - (1 - np.array([4.0, 3.0, 2.0, 1.0]) / 4) ** 3
    expected = shares[:, None] * (ACROSS @ np.asarray(taught.dual))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dual": np.ones((4, 2))}, r"cross_kernel and dual must .* \(4, 5\) and \(4, 2\)"),
        ({"cross_kernel": np.full((4, 5), np.nan)}, "cross_kernel must be finite"),
        ({"dual": np.ones((5, 2), int)}, "dual must be a floating-point array"),
        ({"initial": np.ones((4, 1))}, r"initial must have shape \(4, 2\); got \(4, 1\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, message):
    given = {"cross_kernel": ACROSS, "dual": np.ones((5, 2))} | arguments
    with pytest.raises(ValueError, match=message):
        Pretrained.elsewhere(given.pop("cross_kernel"), given.pop("dual"), **given)


def test_outputs_of_other_inputs_are_refused():
    one = Supervision(Identity(), Constant(0.0), Pretrained(np.ones((1, 2))))
    with pytest.raises(ValueError, match=r"teacher's outputs must have the labels' shape \(4, 2\)"):
        solve(STUDENT, one, [1], Stepwise())
