"""Section 1: gradient descent and gradient flow on the square loss."""

import numpy as np

from ntk_air.claims.claim import Claim, DoesNotApply, Measurement, agreement, array_agreement
from ntk_air.claims.runs import exact, held_out_outputs, stepped, train_outputs
from ntk_air.dynamics.filters.spectral import GradientDescent, GradientFlow
from ntk_air.dynamics.supervision import plain_descent
from ntk_air.problem import Problem

SOURCE = "Jacot et al. 2018; Lee et al. 2019"
TIMES = (1.0, 10.0, 100.0, 1000.0)
EXACT = 1e-9


def closed_form(problem: Problem, *, rate_factor: float = 1.0) -> Measurement:
    """Exact outputs against plain steps."""
    predicted = exact(problem, GradientDescent(problem.learning_rate * rate_factor), TIMES)
    measured = stepped(problem, plain_descent(), TIMES)
    return array_agreement(train_outputs(predicted), train_outputs(measured), tolerance=EXACT)


def held_out_closed_form(problem: Problem, *, rate_factor: float = 1.0) -> Measurement:
    """The same on held-out inputs, through the dual variables."""
    if problem.held_out is None:
        raise DoesNotApply("the data set has no held-out inputs")
    predicted = exact(problem, GradientDescent(problem.learning_rate * rate_factor), TIMES)
    measured = stepped(problem, plain_descent(), TIMES)
    return array_agreement(held_out_outputs(predicted), held_out_outputs(measured), tolerance=EXACT)


def flow_limit(problem: Problem, *, time_factor: float = 1.0) -> Measurement:
    """How much nearer descent comes to the flow at fixed s = ηt when η is halved: twice."""
    steps = 64.0

    def distance(division: int) -> float:
        slow = GradientDescent(problem.learning_rate / division)
        descent = train_outputs(exact(problem, slow, [steps * division]))
        flow = exact(problem, GradientFlow(problem.learning_rate), [steps * time_factor])
        return float(np.linalg.norm(descent - train_outputs(flow)))

    return agreement(2.0, distance(64) / distance(128), tolerance=0.02)


def monotone_loss(problem: Problem, *, relative_rate: float = 1.0) -> Measurement:
    """How often the training loss rises over plain steps at ηλ₁ ≤ 1: never."""
    times = [float(step) for step in range(101)]
    rate = relative_rate * problem.learning_rate
    loss = np.asarray(
        stepped(problem, plain_descent(), times, learning_rate=rate).train.training_loss
    )
    return agreement(0.0, float(np.sum(np.diff(loss) > 0)), tolerance=0.0)


def divergence(problem: Problem, *, relative_rate: float = 2.1) -> Measurement:
    """The factor by which the residual grows in a step at ηλ₁ = 2.1: 1.1."""
    rate = relative_rate * problem.learning_rate
    run = stepped(problem, plain_descent(), [500.0, 501.0], learning_rate=rate)
    before, after = np.asarray(run.train.residual_norm)
    return agreement(1.1, float(after / before), tolerance=1e-6)


CLAIMS = (
    Claim(
        name="1a",
        statement="The residual of gradient descent is (I − ηΘ)ᵗ r_0, mode by mode",
        source=SOURCE,
        method="closed form in the eigenbasis against 1,000 plain steps",
        control="closed form with a learning rate 1 % too large",
        measure=closed_form,
        measure_control=lambda problem: closed_form(problem, rate_factor=1.01),
    ),
    Claim(
        name="1b",
        statement="Held-out outputs follow the filter g_t(λ)/λ through the dual variables",
        source=SOURCE,
        method="closed form in the eigenbasis against 1,000 plain steps",
        control="closed form with a learning rate 1 % too large",
        measure=held_out_closed_form,
        measure_control=lambda problem: held_out_closed_form(problem, rate_factor=1.01),
    ),
    Claim(
        name="1c",
        statement="Gradient flow is the limit of descent for η → 0 at fixed ηt, to first order",
        source=SOURCE,
        method="distance of descent from flow at η/64 over that at η/128",
        control="flow at a time 1 % too late",
        measure=flow_limit,
        measure_control=lambda problem: flow_limit(problem, time_factor=1.01),
    ),
    Claim(
        name="1d",
        statement="For ηλ₁ ≤ 1 the training loss never rises",
        source=SOURCE,
        method="rises counted over 100 plain steps",
        control="ηλ₁ = 2.1",
        measure=monotone_loss,
        measure_control=lambda problem: monotone_loss(problem, relative_rate=2.1),
    ),
    Claim(
        name="1e",
        statement="For ηλ₁ > 2 descent diverges by the factor ηλ₁ − 1 a step",
        source=SOURCE,
        method="residual after 501 plain steps over that after 500",
        control="ηλ₁ = 1.9",
        measure=divergence,
        measure_control=lambda problem: divergence(problem, relative_rate=1.9),
    ),
)
