"""Section 6: self-distillation with a label function goes beyond early stopping."""

import numpy as np

from ntk_air.claims.claim import (
    Claim,
    DoesNotApply,
    Measurement,
    agreement,
    array_agreement,
    at_least,
    at_most,
)
from ntk_air.claims.early_stopping import descent, predicted_floor
from ntk_air.claims.runs import exact, jumped, stepped, train_outputs
from ntk_air.data.noise import SymmetricNoise
from ntk_air.dynamics.certificates.certificate import Certificate, RunState
from ntk_air.dynamics.certificates.run_certificate import certify, certify_state
from ntk_air.dynamics.filters.scheduled import HardPatternTail
from ntk_air.dynamics.label_noise.noise_estimate import estimate_noise
from ntk_air.dynamics.run.trajectory import Trajectory
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
from ntk_air.problem import Problem

PAPER = "Dong et al. 2019 (P3, P4)"
LATE = 1e5
WATCHED = tuple(np.unique(np.round(np.geomspace(1, LATE, 200))))
WEIGHT = 0.3
WRONG_MAJORITY = 0.6


def fixed_weight(problem: Problem, *, label_function: LabelFunction | None = None) -> Measurement:
    """α‖ξ‖/√n against the distance that a run with constant α ends at."""
    hard = late_run(problem, Constant(WEIGHT), steps=1e6)
    require_clean_pattern(hard)
    rule = supervision(problem, Constant(WEIGHT), label_function)
    run = hard if label_function is None else stepped(problem, rule, [20_000.0])
    measured = float(run.last().train.rms_distance)
    return agreement(WEIGHT * problem.noise_rms, measured, tolerance=1e-3)


def tail_recursion(problem: Problem, *, stale_weight: bool = False) -> Measurement:
    """e_{t+1} = (I − ηΘ)e_t + ηα_tΘξ against plain steps, once the pattern holds."""
    rule, steps = supervision(problem, vanishing()), 1000
    first = certificate_of(problem).step
    measured = stepped(problem, rule, [float(first), float(first + steps)])
    start, end = train_outputs(measured)
    weights = np.asarray(rule.weights(np.arange(first, first + steps)))
    if stale_weight:
        weights = np.full_like(weights, weights[0])
    tail = HardPatternTail(problem.learning_rate, weights)
    predicted = exact(problem, tail, [float(steps)], initial=start)
    return array_agreement(train_outputs(predicted)[0], end, tolerance=1e-9)


def convergence(problem: Problem, *, schedule: WeightSchedule | None = None) -> Measurement:
    """The distance late in a run with α → 0 against a tenth of the early-stopping floor."""
    run = late_run(problem, vanishing() if schedule is None else schedule)
    require_clean_pattern(run)
    bound = 0.1 * float(descent(problem).best().train.rms_distance)
    return at_most(bound, float(run.last().train.rms_distance))


def certificate_holds(problem: Problem, *, wrong_majority: bool = False) -> Measurement:
    """The certified bound on |f_t − y| against the largest that later steps have."""
    if wrong_majority:
        problem = with_wrong_majority(problem)
        outputs = train_outputs(jumped(problem, supervision(problem, vanishing()), [LATE]))[-1]
        certificate = certified(problem, outputs, int(LATE))
        return at_least(1.0, float(certificate.issued))
    certificate = certificate_of(problem)
    outputs = train_outputs(watched_run(problem))[np.asarray(WATCHED) >= certificate.step]
    excess = np.abs(outputs - problem.clean[None]) / np.asarray(certificate.bounds)[None]
    return at_most(1.0, float(np.max(excess)))


def margin(problem: Problem, *, schedule: WeightSchedule | None = None) -> Measurement:
    """A smallest margin of 1 against that of a late step."""
    certificate_of(problem)  # the premise
    run = late_run(problem, vanishing() if schedule is None else schedule)
    return agreement(1.0, float(run.last().train.margin_min), tolerance=0.1)


def wrong_majority(problem: Problem, *, rate: float = WRONG_MAJORITY) -> Measurement:
    """With more than half the labels of each cluster flipped every label ends up wrong."""
    run = late_run(with_wrong_majority(problem, rate), vanishing())
    return agreement(1.0, float(run.last().train.zero_one_error), tolerance=0.0)


def agreement_weight(problem: Problem, *, from_noisy: bool = False) -> Measurement:
    """ρ‖ξ‖/√n against the distance that the agreement weight ends at from clean hard labels."""
    require_clean_pattern(late_run(problem, Agreement()))
    warm_up = 0 if not from_noisy else int(1e6)
    rule = Supervision(Hard(), Agreement(), warm_up=warm_up) if from_noisy else None
    run = jumped(problem, rule or supervision(problem, Agreement()), [1e6 + LATE])
    predicted = problem.dataset.noise_fraction * problem.noise_rms
    return agreement(predicted, float(run.last().train.rms_distance), tolerance=1e-3)


def linear_label_function(problem: Problem, *, hard: bool = False) -> Measurement:
    """The least distance of self-distillation with the identity against early stopping's."""
    bound = float(descent(problem).best().train.rms_distance)
    if hard:
        run = late_run(problem, vanishing())
        require_clean_pattern(run)
    else:
        times = [float(t) for t in np.unique(np.round(np.geomspace(1, 20_000, 400)))]
        run = stepped(problem, Supervision(Identity(), Constant(0.1)), times)
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
        lambda: jumped(problem, supervision(problem, schedule), [steps]),
    )


def certified(problem: Problem, outputs: np.ndarray, step: int) -> Certificate:
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
    return problem.remember(
        "watched run", lambda: jumped(problem, supervision(problem, vanishing()), WATCHED)
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


CLAIMS = (
    Claim(
        name="6a",
        statement="Hard labels with constant weight α end at d = α‖ξ‖/√n",
        source="docs/theory.md, 6a",
        method="α‖ξ‖/√n against the distance after 10⁶ steps, jumped exactly",
        control="the identity as label function",
        measure=fixed_weight,
        measure_control=lambda problem: fixed_weight(problem, label_function=Identity()),
    ),
    Claim(
        name="6b",
        statement="Once the pattern holds, e_{t+1} = (I − ηΘ)e_t + ηα_tΘξ",
        source="docs/theory.md, 6b",
        method="recursion in the eigenbasis against 1,000 plain steps",
        control="the weight kept at its first value",
        measure=tail_recursion,
        measure_control=lambda problem: tail_recursion(problem, stale_weight=True),
    ),
    Claim(
        name="6b-limit",
        statement="With α → 0 hard self-distillation goes to the clean labels in ℓ2",
        source=PAPER,
        method="distance after 10⁵ steps against a tenth of the best early stopping's",
        control="a constant weight of 0.3",
        measure=convergence,
        measure_control=lambda problem: convergence(problem, schedule=Constant(WEIGHT)),
    ),
    Claim(
        name="6c",
        statement="The tail certificate bounds |f_t − y| for all later steps",
        source="docs/theory.md, 6c",
        method="largest ratio of error to bound over later steps, jumped exactly, against 1",
        control="a wrong majority in each cluster: no certificate may be issued",
        measure=certificate_holds,
        measure_control=lambda problem: certificate_holds(problem, wrong_majority=True),
    ),
    Claim(
        name="6d",
        statement="Once certified, every margin tends to 1",
        source="Dong et al. 2019 (P4)",
        method="smallest margin after 10⁵ steps against 1",
        control="a constant weight of 0.3",
        measure=margin,
        measure_control=lambda problem: margin(problem, schedule=Constant(WEIGHT)),
    ),
    Claim(
        name="6e",
        statement="A wrong majority in each cluster leads to wrong labels only",
        source="docs/theory.md, 6e",
        method="zero–one error after 10⁵ steps at 60 % flips against 1",
        control="40 % flips",
        measure=wrong_majority,
        measure_control=lambda problem: wrong_majority(problem, rate=0.4),
    ),
    Claim(
        name="6f",
        statement="From clean hard labels the agreement weight ends at d = ρ‖ξ‖/√n",
        source="docs/theory.md, 6f",
        method="ρ‖ξ‖/√n against the distance after 10⁵ steps, jumped exactly",
        control="a start from memorised labels, in the basin of the other fixed point",
        measure=agreement_weight,
        measure_control=lambda problem: agreement_weight(problem, from_noisy=True),
    ),
    Claim(
        name="6g",
        statement="A linear label function never comes nearer than early stopping does",
        source="docs/theory.md, 6g",
        method="least distance with the identity against 99 % of early stopping's",
        control="hard labels with α → 0",
        measure=linear_label_function,
        measure_control=lambda problem: linear_label_function(problem, hard=True),
    ),
)
