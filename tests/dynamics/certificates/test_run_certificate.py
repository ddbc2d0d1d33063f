"""Certificates of supervised runs: which supervision allows them, and from which step on."""

import numpy as np
import pytest

from ntk_air.dynamics.certificates.certificate import RunState
from ntk_air.dynamics.certificates.run_certificate import certify_state, first_certified_step
from ntk_air.dynamics.run.trajectory import StoredPredictions
from ntk_air.dynamics.supervision import (
    Agreement,
    Constant,
    CurrentStep,
    ExponentialMovingAverage,
    FunctionOfIndex,
    Geometric,
    Hard,
    Harmonic,
    Identity,
    LabelFunction,
    LastEpoch,
    Linear,
    Power,
    Restart,
    Sharpened,
    Supervision,
    WeightSchedule,
)
from tests.dynamics.certificates.test_certificate import (
    N,
    check_against_run,
    clustered_kernel,
    clustered_labels,
    self_distilled,
)
from tests.dynamics.reference import spectrum_of
from tests.dynamics.runs import problem_of

STEPS = range(4000)
HARMONIC = Harmonic(5.0)


class HardUntilSure(LabelFunction):
    """Hard labels, until a row is nearly right: then the opposite. A pattern that flips late."""

    def __call__(self, outputs):
        labels = Hard()(outputs)
        return labels * (1.0 - 2.0 * (abs(outputs - labels) < 0.01).astype(outputs.dtype))


class PatternAndStep(WeightSchedule):
    """A weight of the pattern and of the step as well: small at first, then 1."""

    def __call__(self, index, outputs, noisy):
        return index / (1e4 + index)

    def depends_on(self):
        return "pattern"

    def non_increasing_from(self):
        return None

    def has_finite_sum(self):
        return None

    def limit(self):
        return None


@pytest.fixture(scope="module")
def problem():
    clean, noisy = clustered_labels(1, flips_per_cluster=[2] * 4)
    return problem_of(spectrum_of(clustered_kernel()), noisy, clean=clean)


@pytest.fixture(scope="module")
def run(problem):
    rate = problem.learning_rate
    kernel = clustered_kernel()
    return self_distilled(kernel, problem.noisy, lambda t: 1 / (1 + t / 5), rate=rate, steps=STEPS)


def certificate(problem, run, supervision, *, step=200, teacher_outputs=None):
    state = RunState(run[step], problem.noisy, step, teacher_outputs)
    return certify_state(problem, supervision, state, learning_rate=problem.learning_rate)


def test_a_run_is_certified_with_its_own_schedule(problem, run):
    issued = certificate(problem, run, Supervision(Hard(), HARMONIC))
    assert issued.issued, issued.reason
    check_against_run(issued, run, start=200)
    # The schedule tends to 0, and what is proved of the margin tends to 1.
    assert 1 - issued.margin_bound(np.inf) < 1e-8


@pytest.mark.parametrize(
    ("supervision", "reason"),
    [
        (Supervision(Identity(), HARMONIC), "label function is Identity"),
        (Supervision(Sharpened(0.01), HARMONIC), "label function is Sharpened"),
        (Supervision(HardUntilSure(), HARMONIC), "label function is HardUntilSure"),
        (Supervision(Hard(), HARMONIC, Restart(10)), "the student restarts"),
        (Supervision(Hard(), HARMONIC, LastEpoch(7)), "LastEpoch holds at step 200 was not given"),
        (
            Supervision(Hard(), HARMONIC, ExponentialMovingAverage(0.9)),
            "ExponentialMovingAverage holds at step 200 was not given",
        ),
        (Supervision(Hard(), lambda index: 0.01 + 0 * index), "not known never to grow"),
        (
            Supervision(Hard(), FunctionOfIndex(lambda i: 0.01 * i / (1 + i), tail_from=0)),
            "the weights grow",
        ),
        (
            Supervision(Hard(), FunctionOfIndex(lambda i: 1 / (1 + i), tail_from=300)),
            "may grow before step 300; this is step 200",
        ),
        (Supervision(Hard(), PatternAndStep()), "PatternAndStep are not known never to grow"),
        (Supervision(Hard(), Linear(1e4, start=0.0, end=1.0)), "weights"),
        (Supervision(Hard(), Constant(1.0)), "exceeds its margin"),
        (Supervision(Hard(), HARMONIC, warm_up=300), "exceeds its margin"),
    ],
)
def test_what_proves_nothing_is_refused_with_its_reason(problem, run, supervision, reason):
    refused = certificate(problem, run, supervision)
    assert not refused.issued
    assert reason in refused.reason


def test_a_run_is_not_certified_clean_before_its_labels_are(problem, run):
    refused = certificate(problem, run, Supervision(Hard(), HARMONIC), step=0)
    assert not refused.issued
    assert "labels of the outputs differ from the pattern, or tie, in 40 of 40" in refused.reason


def test_a_teacher_is_asked_for_its_labels_too(problem, run):
    averaged = Supervision(Hard(), HARMONIC, ExponentialMovingAverage(0.9))
    assert certificate(problem, run, averaged, teacher_outputs=run[150]).issued
    refused = certificate(problem, run, averaged, teacher_outputs=-problem.clean)
    assert "labels of the teacher's outputs differ" in refused.reason
    # At step 200 of epochs of 100 the teacher is the student itself, whatever it was before.
    renewed = Supervision(Hard(), HARMONIC, LastEpoch(100), weight_by="step")
    assert certificate(problem, run, renewed, teacher_outputs=-problem.clean).issued


def test_agreement_weight_is_constant_while_the_pattern_holds(problem):
    kernel, noisy, rate = clustered_kernel(), problem.noisy, problem.learning_rate
    # 20 % of the rows disagree with their labels: α = 0.2 for as long as the pattern holds.
    run = self_distilled(
        kernel, noisy, lambda t: 0.2, rate=rate, steps=STEPS, initial=problem.clean
    )
    issued = certificate(problem, run, Supervision(Hard(), Agreement()), step=1000)
    assert issued.issued, issued.reason
    check_against_run(issued, run, start=1000)


@pytest.mark.parametrize(
    "schedule",
    [HARMONIC, Power(1.5), Geometric(0.99), Linear(30.0)],
    ids=lambda s: type(s).__name__,
)
def test_the_first_certified_step_is_found_by_bisection(problem, schedule):
    rate = problem.learning_rate
    supervision = Supervision(Hard(), schedule, CurrentStep())
    weights = np.asarray(supervision.weights(np.arange(301)))
    run = self_distilled(
        clustered_kernel(), problem.noisy, lambda t: weights[t], rate=rate, steps=range(301)
    )
    times = np.arange(0, 301, 3)
    stored = StoredPredictions(times=times.astype(float), train=np.stack([run[t] for t in times]))
    found = first_certified_step(problem, supervision, stored, learning_rate=rate)
    one_by_one = [certificate(problem, run, supervision, step=int(t)).issued for t in times]
    assert found.issued, found.reason
    assert found.step == times[one_by_one.index(True)]
    assert found.step > 0


def test_without_a_certified_step_the_last_refusal_is_returned(problem, run):
    train = np.stack([run[0], -problem.clean])
    stored = StoredPredictions(times=np.array([0.0, 5.0]), train=train)
    refused = first_certified_step(
        problem, Supervision(Hard(), HARMONIC), stored, learning_rate=problem.learning_rate
    )
    assert not refused.issued
    assert refused.step == 5
    assert refused.bounds.shape == (N, 1)


def test_a_stored_teacher_of_the_last_epoch_is_found(problem, run):
    supervision = Supervision(Hard(), HARMONIC, LastEpoch(150), weight_by="step")
    rate = problem.learning_rate
    with_teacher = StoredPredictions(
        times=np.array([150.0, 200.0]), train=np.stack([-problem.clean, run[200]])
    )
    without = StoredPredictions(times=np.array([200.0]), train=run[200][None])
    refused = first_certified_step(problem, supervision, with_teacher, learning_rate=rate)
    assert "labels of the teacher's outputs differ" in refused.reason
    refused = first_certified_step(problem, supervision, without, learning_rate=rate)
    assert "was not given" in refused.reason
