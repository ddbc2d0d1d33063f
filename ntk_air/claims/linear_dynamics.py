"""Section 1: gradient descent and gradient flow on the square loss."""

import numpy as np

from ntk_air.claims.comparison import DoesNotApply, Measurement, agreement, array_agreement, claim
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.rules import Descent, Flow
from ntk_air.dynamics.run.trajectory import StoredPredictions
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.problem import Problem

SOURCE = "Jacot et al. 2018; Lee et al. 2019"
TIMES = (1.0, 10.0, 100.0, 1000.0)
EXACT = 1e-9


@claim(
    "1a",
    "The residual of gradient descent is (I − ηΘ)ᵗ r_0, mode by mode",
    source=SOURCE,
    control=("closed form with a learning rate 1 % too large", {"rate_factor": 1.01}),
)
def closed_form(problem: Problem, *, rate_factor: float = 1.0) -> Measurement:
    """Closed form in the eigenbasis against 1,000 plain steps."""
    predicted, measured = closed_form_and_steps(problem, rate_factor)
    return array_agreement(predicted.train, measured.train, tolerance=EXACT)


@claim(
    "1b",
    "Held-out outputs follow the filter g_t(λ)/λ through the dual variables",
    source=SOURCE,
    control=("closed form with a learning rate 1 % too large", {"rate_factor": 1.01}),
)
def held_out_closed_form(problem: Problem, *, rate_factor: float = 1.0) -> Measurement:
    """Closed form in the eigenbasis, through the dual variables, against 1,000 plain steps."""
    predicted, measured = closed_form_and_steps(problem, rate_factor)
    if predicted.held_out is None or measured.held_out is None:
        raise DoesNotApply("the data set has no held-out inputs")
    return array_agreement(predicted.held_out, measured.held_out, tolerance=EXACT)


@claim(
    "1c",
    "Gradient flow is the limit of descent for η → 0 at fixed ηt, to first order",
    source=SOURCE,
    control=("flow at a time 1 % too late", {"time_factor": 1.01}),
)
def flow_limit(problem: Problem, *, time_factor: float = 1.0) -> Measurement:
    """Distance of descent from flow at η/64 over that at η/128, at the same s = ηt."""
    steps = 64.0
    flow = solve(problem, Flow(), [steps * time_factor], ClosedForm()).final.predictions

    def distance(division: int) -> float:
        slow = Descent(problem.learning_rate / division)
        descent = solve(problem, slow, [steps * division], ClosedForm()).final.predictions
        return float(np.linalg.norm(np.asarray(descent) - np.asarray(flow)))

    return agreement(2.0, distance(64) / distance(128), tolerance=0.02)


@claim(
    "1d",
    "For ηλ₁ ≤ 1 the training loss never rises",
    source=SOURCE,
    control=("ηλ₁ = 2.1", {"relative_rate": 2.1}),
)
def monotone_loss(problem: Problem, *, relative_rate: float = 1.0) -> Measurement:
    """Rises counted over 100 plain steps."""
    descent = Descent(relative_rate * problem.learning_rate, allow_divergence=True)
    run = solve(problem, descent, range(101), Stepwise())
    rises = np.diff(np.asarray(run.train.training_loss)) > 0
    return agreement(0.0, float(np.sum(rises)), tolerance=0.0)


@claim(
    "1e",
    "For ηλ₁ > 2 descent diverges by the factor ηλ₁ − 1 a step",
    source=SOURCE,
    control=("ηλ₁ = 1.9", {"relative_rate": 1.9}),
)
def divergence(problem: Problem, *, relative_rate: float = 2.1) -> Measurement:
    """Residual after 501 plain steps over that after 500."""
    descent = Descent(relative_rate * problem.learning_rate, allow_divergence=True)
    run = solve(problem, descent, [500, 501], Stepwise())
    before, after = np.asarray(run.train.residual_norm)
    return agreement(1.1, float(after / before), tolerance=1e-6)


def closed_form_and_steps(
    problem: Problem, rate_factor: float
) -> tuple[StoredPredictions, StoredPredictions]:
    """Descent at η·rate_factor in closed form, and at η step by step."""
    descent = Descent(rate_factor * problem.learning_rate)
    predicted = solve(problem, descent, TIMES, ClosedForm(), store_at=TIMES)
    return predicted.kept(), solve(problem, Descent(), TIMES, Stepwise(), store_at=TIMES).kept()
