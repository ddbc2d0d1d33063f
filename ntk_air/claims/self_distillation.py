"""Section 6: self-distillation with a label function goes beyond early stopping."""

from collections.abc import Sequence

import numpy as np

from ntk_air._base.typing import Targets
from ntk_air.claims.comparison import (
    DoesNotApply,
    Measurement,
    agreement,
    array_agreement,
    at_least,
    at_most,
    claim,
    tends_to,
)
from ntk_air.claims.early_stopping import descent, predicted_floor
from ntk_air.data.noise import SymmetricNoise
from ntk_air.dynamics.certificates.certificate import Certificate, RunState
from ntk_air.dynamics.certificates.run_certificate import certify, certify_state
from ntk_air.dynamics.closed_form.exact import ClosedForm
from ntk_air.dynamics.event_driven.event_driven import EventDriven
from ntk_air.dynamics.filters.scheduled import HardPatternTail
from ntk_air.dynamics.label_noise.noise_estimate import estimate_noise
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import (
    Agreement,
    Constant,
    Hard,
    Identity,
    LabelFunction,
    Power,
    Supervision,
    WeightSchedule,
)
from ntk_air.problem import Labels, Problem

PAPER = "Dong et al. 2019 (P3, P4)"
LATE = 1e5
WATCHED = tuple(np.unique(np.round(np.geomspace(1, LATE, 200))))
WEIGHT = 0.3
WRONG_MAJORITY = 0.6


@claim(
    "6a",
    "Hard labels with constant weight α end at d = α‖ξ‖/√n",
    source="docs/theory.md, 6a",
    control=("the identity as label function", {"label_function": Identity()}),
)
def fixed_weight(problem: Problem, *, label_function: LabelFunction | None = None) -> Measurement:
    """α‖ξ‖/√n against the distance after 10⁶ steps, event by event."""
    hard = late_run(problem, Constant(WEIGHT), steps=1e6)
    require_clean_pattern(hard)
    rule = supervision(problem, Constant(WEIGHT), label_function)
    run = hard if label_function is None else solve(problem, rule, [20_000], Stepwise())
    measured = float(run.last().train.rms_distance)
    return tends_to(WEIGHT * problem.noise_rms, measured, tolerance=1e-3)


@claim(
    "6b",
    "Once the pattern holds, e_{t+1} = (I − ηΘ)e_t + ηα_tΘξ",
    source="docs/theory.md, 6b",
    control=("the weight kept at its first value", {"stale_weight": True}),
)
def tail_recursion(problem: Problem, *, stale_weight: bool = False) -> Measurement:
    """Recursion in the eigenbasis against 1,000 plain steps."""
    rule, steps = supervision(problem, vanishing()), 1000
    first = certificate_of(problem).step
    times = (first, first + steps)
    start, end = solve(problem, rule, times, Stepwise(), store_at=times).kept().train
    weights = np.asarray(rule.weights(np.arange(first, first + steps)))
    if stale_weight:
        weights = np.full_like(weights, weights[0])
    tail = HardPatternTail(problem.learning_rate, weights)
    from_there = problem.replace(labels=Labels(problem.noisy, problem.clean, np.asarray(start)))
    predicted = solve(from_there, tail, [steps], ClosedForm()).final.predictions
    return array_agreement(predicted, end, tolerance=1e-9)


@claim(
    "6b-limit",
    "With α → 0 hard self-distillation goes to the clean labels in ℓ2",
    source=PAPER,
    control=("a constant weight of 0.3", {"schedule": Constant(WEIGHT)}),
)
def convergence(problem: Problem, *, schedule: WeightSchedule | None = None) -> Measurement:
    """Distance after 10⁵ steps against a tenth of the best early stopping's."""
    run = late_run(problem, vanishing() if schedule is None else schedule)
    require_clean_pattern(run)
    bound = 0.1 * float(descent(problem).best().train.rms_distance)
    return at_most(bound, float(run.last().train.rms_distance))


@claim(
    "6c",
    "The tail certificate bounds |f_t − y| for all later steps",
    source="docs/theory.md, 6c",
    control=(
        "a wrong majority in each cluster: no certificate may be issued",
        {"wrong_majority": True},
    ),
)
def certificate_holds(problem: Problem, *, wrong_majority: bool = False) -> Measurement:
    """Largest ratio of error to bound over later steps, event by event, against 1."""
    if wrong_majority:
        problem = with_wrong_majority(problem)
        run = event_by_event(problem, supervision(problem, vanishing()), [LATE])
        certificate = certified(problem, run.final.predictions, int(LATE))
        return at_least(1.0, float(certificate.issued))
    certificate = certificate_of(problem)
    watched = np.asarray(watched_run(problem).kept().train)
    outputs = watched[np.asarray(WATCHED) >= certificate.step]
    excess = np.abs(outputs - problem.clean[None]) / np.asarray(certificate.bounds)[None]
    return at_most(1.0, float(np.max(excess)))


@claim(
    "6d",
    "Once certified, every margin tends to 1",
    source="Dong et al. 2019 (P4)",
    control=("a constant weight of 0.3", {"schedule": Constant(WEIGHT)}),
)
def margin(problem: Problem, *, schedule: WeightSchedule | None = None) -> Measurement:
    """Smallest margin after 10⁵ steps against 1."""
    certificate_of(problem)  # the premise
    run = late_run(problem, vanishing() if schedule is None else schedule)
    return tends_to(1.0, float(run.last().train.margin_min), tolerance=0.1)


@claim(
    "6e",
    "A wrong majority in each cluster leads to wrong labels only",
    source="docs/theory.md, 6e",
    control=("40 % flips", {"rate": 0.4}),
)
def wrong_majority(problem: Problem, *, rate: float = WRONG_MAJORITY) -> Measurement:
    """Zero–one error after 10⁵ steps at 60 % flips against 1."""
    run = late_run(with_wrong_majority(problem, rate), vanishing())
    return agreement(1.0, float(run.last().train.zero_one_error), tolerance=0.0)


@claim(
    "6f",
    "From clean hard labels the agreement weight ends at d = ρ‖ξ‖/√n",
    source="docs/theory.md, 6f",
    control=(
        "a start from memorised labels, in the basin of the other fixed point",
        {"from_noisy": True},
    ),
)
def agreement_weight(problem: Problem, *, from_noisy: bool = False) -> Measurement:
    """ρ‖ξ‖/√n against the distance after 10⁵ steps, event by event."""
    require_clean_pattern(late_run(problem, Agreement()))
    warm_up = 0 if not from_noisy else int(1e6)
    rule = Supervision(Hard(), Agreement(), warm_up=warm_up) if from_noisy else None
    run = event_by_event(problem, rule or supervision(problem, Agreement()), [1e6 + LATE])
    predicted = problem.dataset.noise_fraction * problem.noise_rms
    return tends_to(predicted, float(run.last().train.rms_distance), tolerance=1e-3)


@claim(
    "6g",
    "A linear label function never comes nearer than early stopping does",
    source="docs/theory.md, 6g",
    control=("hard labels with α → 0", {"hard": True}),
)
def linear_label_function(problem: Problem, *, hard: bool = False) -> Measurement:
    """Least distance with the identity against 99 % of early stopping's."""
    bound = float(descent(problem).best().train.rms_distance)
    if hard:
        run = late_run(problem, vanishing())
        require_clean_pattern(run)
    else:
        times = np.unique(np.round(np.geomspace(1, 20_000, 400)))
        run = solve(problem, Supervision(Identity(), Constant(0.1)), times, Stepwise())
    return at_least(0.99 * bound, float(run.best().train.rms_distance))


def vanishing() -> WeightSchedule:
    """A weight that goes to 0 with a finite sum."""
    return Power(exponent=1.5, scale=100.0)


def supervision(
    problem: Problem, schedule: WeightSchedule, label_function: LabelFunction | None = None
) -> Supervision:
    """Hard labels of the current step, after plain descent for the estimated stopping time."""
    warm_up = problem.remember(
        "warm-up", lambda: estimate_noise(problem.spectrum, problem.noisy).steps
    )
    return Supervision(label_function or Hard(), schedule, warm_up=warm_up)


def late_run(problem: Problem, schedule: WeightSchedule, *, steps: float = LATE) -> Trajectory:
    """Hard self-distillation to a late step."""
    return problem.remember(
        f"{steps} steps of {schedule!r}",
        lambda: event_by_event(problem, supervision(problem, schedule), [steps]),
    )


def event_by_event(problem: Problem, rule: Supervision, times: Sequence[float]) -> Trajectory:
    """A run followed from one change of the taught labels to the next."""
    return solve(problem, rule, times, EventDriven())


def certified(problem: Problem, outputs: Targets, step: int) -> Certificate:
    """The certificate of a run with vanishing weight at one step."""
    state = RunState(outputs, problem.noisy, step)
    rate = problem.learning_rate
    return certify_state(problem, supervision(problem, vanishing()), state, learning_rate=rate)


def certificate_of(problem: Problem) -> Certificate:
    """The first certificate of a run with vanishing weight, among the watched steps."""
    certificate = problem.remember("certificate", lambda: first_certificate(problem))
    if not certificate.issued:
        raise DoesNotApply(f"no certificate: {certificate.reason}")
    return certificate


def first_certificate(problem: Problem) -> Certificate:
    """The certificate of the first watched step that has one, or the last refusal."""
    return certify(problem, supervision(problem, vanishing()), watched_run(problem))


def watched_run(problem: Problem) -> Trajectory:
    """Hard self-distillation with vanishing weight, outputs kept at every watched step."""
    rule = supervision(problem, vanishing())
    return problem.remember(
        "watched run", lambda: solve(problem, rule, WATCHED, EventDriven(), store_at=WATCHED)
    )


def require_clean_pattern(run: Trajectory) -> None:
    """Refuse a run whose hard labels are not the clean ones in the end."""
    error = float(run.last().train.zero_one_error)
    if error > 0:
        raise DoesNotApply(f"the hard labels are not the clean ones: {error:.2%} differ at the end")


def with_wrong_majority(problem: Problem, rate: float = WRONG_MAJORITY) -> Problem:
    """The problem with more than half of each cluster's labels flipped."""
    if problem.dataset.groups is None or problem.dataset.n_classes > 2:
        raise DoesNotApply("needs two classes in clusters, whose majority can be turned")
    predicted_floor(problem)
    return problem.with_label_noise(SymmetricNoise(rate=rate, exact=True))
