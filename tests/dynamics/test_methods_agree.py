"""A method says what it cannot follow; all who can give the same run, that of plain loops."""

import functools
import itertools
import re
from typing import Any

import numpy as np
import pytest
from scipy.linalg import expm

from ntk_air.dynamics import filters
from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.method import Request
from ntk_air.dynamics.rules import Descent, Flow
from ntk_air.dynamics.solve import Auto, solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.problem import Labels
from tests.dynamics import supervised
from tests.dynamics.chosen import chosen_label, chosen_schedule
from tests.dynamics.reference import SPECTRA
from tests.dynamics.same_runs import TO_ROUNDING, as_run, assert_all_agree
from tests.dynamics.who_can import (
    EPOCHS,
    EVENTS,
    KNOWN_CHANGES,
    METHODS,
    PARTS,
    STEPS,
    WHO_CAN,
    N,
    a_problem,
    teacher_of,
)
from tests.helpers.sweeps import one_in
from tests.helpers.type_checks import without_type_checks

TIMES = [0, 1, 3, 18, 301]
LONG_TIMES = [*TIMES, 5_000]


def assert_who_can(problem, rule, able, *, times=None, store_at=(), descent=None):
    """These have no obstacle and no others do; the refusal of others names these, in order."""
    carried = rule if isinstance(rule, Descent) else descent or Descent()
    request = Request(times, store_at, carried)
    obstacles = {name: method.obstacle(problem, rule, request) for name, method in METHODS.items()}
    can = [name for name, obstacle in obstacles.items() if not obstacle]
    assert set(can) == able, obstacles
    kind, asked = type(rule).__name__, {"store_at": store_at, "descent": descent}
    can_at_the_end = " and ".join(f"{name}()" for name in can) + " can" if can else "no method can"
    for name, obstacle in obstacles.items():
        if obstacle:
            said = f"method {name} cannot follow {kind} here: {obstacle}; {can_at_the_end}"
            with pytest.raises(ValueError, match=re.escape(said)):
                solve(problem, rule, times, METHODS[name], **asked)
    if can:
        assert type(Auto().choose(problem, rule, request)).__name__ == can[0]
    else:
        reasons = [f"{name}: {obstacle}" for name, obstacle in obstacles.items()]
        said = f"no method can follow {kind} here ({'; '.join(reasons)})"
        with pytest.raises(ValueError, match=re.escape(said)):
            solve(problem, rule, times, **asked)


@pytest.mark.parametrize("name", WHO_CAN)
def test_a_method_says_what_it_cannot_follow_and_who_can(name):
    rule, able = WHO_CAN[name]
    assert_who_can(a_problem("power_law", 3), rule, able)


@pytest.mark.parametrize("name", list(WHO_CAN)[:7])
def test_a_method_asks_for_what_it_needs_of_the_problem(name):
    problem, (rule, able) = a_problem("power_law", 3), WHO_CAN[name]
    assert_who_can(problem.replace(spectrum=None), rule, able & STEPS)
    assert_who_can(problem.replace(operator=None), rule, able - STEPS)


@pytest.mark.parametrize(
    "asked",
    [{"times": [4, 9]}, {"times": [0, 4, 8], "store_at": [4]}, {"descent": Descent(momentum=0.5)}],
)
def test_rounds_are_looked_at_between_their_ends_by_others(asked):
    assert_who_can(a_problem("power_law", 3), sv.Rounds(EPOCHS, 2), EVENTS, **asked)


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (Descent(), {}, "times must be a list of steps for Descent; got None, which only Rounds"),
        (Flow(), {}, "times must be a list of steps for Flow; got None"),
        (EPOCHS, {}, "times must be a list of steps for Supervision; got None"),
        (sv.Hard(), {"times": [1]}, "rule must be Descent, .* or a spectral rule; got Hard"),
        (Descent(), {"times": [1], "method": Stepwise}, r"an object such as Stepwise\(\); got <cl"),
        (Flow(), {"times": [1], "descent": Descent()}, "descent belongs to .*Flow carries its own"),
    ],
)
def test_what_is_no_rule_or_no_method_is_refused(rule, options, message):
    with pytest.raises(ValueError, match=message), without_type_checks():
        solve(a_problem("power_law", 3), rule, **options)


# That all of them agree.


def runs_of(problem, rule, able, **asked):
    """The run of every method that can follow the rule, by name."""
    return {
        name: solve(problem, rule, method=METHODS[name], **asked)
        for name in METHODS
        if name in able
    }


def rate_of(problem, fraction):
    return fraction / float(np.linalg.eigvalsh(problem.theta)[-1])


def identity(kind, schedule, teacher=None):
    """Identity labels under a schedule of the kind of that name."""
    schedule = chosen_schedule(kind, instead=schedule)
    return sv.Supervision(chosen_label("identity"), schedule, teacher)


AT = np.arange(LONG_TIMES[-1])
SLOW, FINITE, ENDLESS = (1.0 + AT) ** -0.5, (1.0 + AT) ** -1.5, 1.0 / (1.0 + AT)
AVERAGED = 50.0 / (50.0 + AT)
ALWAYS = np.ones(len(AT))
PLAIN = sv.plain_descent()
IN_ROUNDS = sv.Supervision(sv.Identity(), sv.Constant(0.0), sv.Restart(30), warm_up=30)
CLOSED_FORMS = {  # name: supervision, filter at a rate, weights, momentum, rate as a share of 1/λ₁
    "descent": (PLAIN, filters.GradientDescent, ALWAYS, 0.0, 1.7),
    "heavy ball": (PLAIN, lambda eta: filters.HeavyBall(eta, 0.8), ALWAYS, 0.8, 1.7),
    "momentum of 0": (PLAIN, lambda eta: filters.HeavyBall(eta, 0.0), ALWAYS, 0.0, 1.7),
    "slow decay (5d)": (
        identity("power", sv.Power(0.5)),
        lambda eta: filters.IdentityDistillation(eta, SLOW),
        SLOW,
        0.0,
        1.7,
    ),
    "finite sum (5d)": (
        identity("power", sv.Power(1.5)),
        lambda eta: filters.IdentityDistillation(eta, FINITE),
        FINITE,
        0.0,
        0.9,
    ),
    "endless sum (5d)": (
        identity("harmonic", sv.Harmonic()),
        lambda eta: filters.IdentityDistillation(eta, ENDLESS),
        ENDLESS,
        0.0,
        0.9,
    ),
    "constant (5d)": (
        identity("constant", sv.Constant(0.2)),
        lambda eta: filters.IdentityDistillation(eta, 0.2 * ALWAYS),
        0.2 * ALWAYS,
        0.0,
        0.9,
    ),
    "moving average": (
        identity("power", sv.Power(0.5), sv.ExponentialMovingAverage(0.8)),
        lambda eta: filters.IdentityDistillation(eta, SLOW, average_decay=0.8),
        SLOW,
        0.0,
        1.7,
    ),
    "slower moving average": (
        identity("harmonic", sv.Harmonic(50.0), sv.ExponentialMovingAverage(0.9)),
        lambda eta: filters.IdentityDistillation(eta, AVERAGED, average_decay=0.9),
        AVERAGED,
        0.0,
        0.9,
    ),
    "last epoch (5e)": (
        identity("constant", sv.Constant(0.3), sv.LastEpoch(4)),
        lambda eta: filters.LastEpochTeacher(eta, 4, 0.3),
        0.3 * ALWAYS,
        0.0,
        1.7,
    ),
    "restart (5e)": (
        identity("constant", sv.Constant(0.3), sv.Restart(4)),
        lambda eta: filters.RestartedStudent(eta, 4, 0.3),
        0.3 * ALWAYS,
        0.0,
        0.9,
    ),
    "rounds (5c)": (
        IN_ROUNDS,
        lambda eta: filters.DistillationRounds(filters.GradientDescent(eta), round_steps=30),
        0.0 * ALWAYS,
        0.0,
        0.9,
    ),
}


@functools.cache
def plain_steps_to_closed_form(name, n_out):
    """f_t and c_t of the plain loop on all spectra at once, (n_step, n_spectrum, N, n_out)."""
    supervision, _, weights, momentum, fraction = CLOSED_FORMS[name]
    problems = [a_problem(spectrum, n_out) for spectrum in SPECTRA]
    rates = np.array([rate_of(problem, fraction) for problem in problems])
    return supervised.supervised_steps(
        np.stack([problem.theta for problem in problems]),
        np.stack([problem.noisy for problem in problems]),
        supervised.Taught(
            supervised.itself,
            lambda index, *_: weights[index],
            supervision.teacher,
            supervision.warm_up,
        ),
        supervised.PlainDescent(rates[:, None, None], momentum),
        n_steps=LONG_TIMES[-1],
        initial=np.stack([np.asarray(problem.labels.initial) for problem in problems]),
    )


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize(
    ("name", "n_out"), [*((name, 3) for name in CLOSED_FORMS), ("descent", 1), ("heavy ball", 1)]
)
def test_five_thousand_steps_are_those_of_the_closed_form(name, n_out, spectrum):
    supervision, make_filter, _, momentum, fraction = CLOSED_FORMS[name]
    problem = a_problem(spectrum, n_out)
    descent = Descent(rate_of(problem, fraction), momentum=momentum)
    kept: Any = {"times": LONG_TIMES, "store_at": LONG_TIMES}
    outputs, dual = plain_steps_to_closed_form(name, n_out)
    place = list(SPECTRA).index(spectrum)
    runs = {
        "plain": as_run(problem, outputs[LONG_TIMES, place], dual[LONG_TIMES, place], LONG_TIMES)
    }
    if supervision is PLAIN:
        runs |= runs_of(problem, descent, {"ClosedForm", *EVENTS}, **kept)
    else:
        knows = supervision.teacher.steps_per_epoch() is not None
        able = EVENTS if knows else STEPS
        runs |= runs_of(problem, supervision, able, descent=descent, **kept)
    runs["filter"] = solve(problem, make_filter(descent.rate), **kept)
    assert_all_agree(runs)


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("n_out", [1, 3])
def test_the_flow_is_that_of_the_matrix_exponential(n_out, spectrum):
    """ċ = ỹ − f_0 − Θc from 0: its solution by one exponential for each time."""
    problem, times = a_problem(spectrum, n_out), [0, 0.5, 3, 40.25]
    rate, initial = rate_of(problem, 2.5), np.asarray(problem.labels.initial)
    pair = np.block([[-problem.theta, np.eye(N)], [np.zeros((N, 2 * N))]])
    reached = np.stack([expm(rate * time * pair)[:N, N:] for time in times])
    dual = reached @ (problem.noisy - initial)
    expected = as_run(problem, initial + problem.theta @ dual, dual, times)
    runs = runs_of(problem, Flow(rate), {"ClosedForm"}, times=times, store_at=times)
    assert_all_agree({"exponential": expected} | runs)


# All supervision.

WARM_UP = {1: 3, 3: 0}
LONG = {("current", "hard"), ("last_epoch", "sharpened"), ("restart", "identity")}
LONG |= {("pretrained", "own")}


def supervision_of(teacher, label, schedule, n_out):
    """The supervision of these names, whose program is that of all with this teacher."""
    labels = sv.Hard() if (teacher, label) == ("current", "hard") else chosen_label(label)
    return sv.Supervision(
        labels, chosen_schedule(schedule), teacher_of(teacher, n_out), warm_up=WARM_UP[n_out]
    )


def case_of(label, schedule, n_out):
    """A problem, and descent with or without momentum, that go round with the combinations."""
    i, j = list(supervised.LABELS).index(label), list(supervised.SCHEDULES).index(schedule)
    problem = a_problem(list(SPECTRA)[(i + j // 2) % len(SPECTRA)], n_out)
    return problem, Descent(rate_of(problem, 0.9), momentum=0.6 * ((i + j) % 2))


def plain_run(problem, descent, taught, times):
    """The run of the plain loop at the given times."""
    outputs, dual = supervised.supervised_steps(
        problem.theta,
        problem.noisy,
        taught,
        supervised.PlainDescent(descent.rate, descent.momentum),
        n_steps=times[-1],
        initial=problem.labels.initial,
    )
    return as_run(problem, outputs[times], dual[times], times)


def plainly(label, schedule, supervision):
    """The same supervision for the plain loop."""
    parts = supervised.LABELS[label][1], supervised.SCHEDULES[schedule][1]
    return supervised.Taught(*parts, supervision.teacher, supervision.warm_up)


def is_long(teacher, label, schedule):
    return schedule == "harmonic" and (teacher, label) in LONG


def numbers_of_outputs(teacher, label, schedule):
    """1 and 3 in turn, so that each pair of a rule's three parts meets both; both in long runs."""
    i = list(KNOWN_CHANGES).index(teacher)
    j, k = list(supervised.LABELS).index(label), list(supervised.SCHEDULES).index(schedule)
    return (1, 3) if is_long(teacher, label, schedule) else ((1, 3)[(i + (j + k) // 2) % 2],)


@pytest.mark.parametrize(
    ("teacher", "label", "schedule", "n_out"),
    one_in(
        3,
        [(*parts, n_out) for parts in PARTS for n_out in numbers_of_outputs(*parts)],
        several=True,
    ),
)
def test_supervised_steps_are_those_of_the_plain_loop(teacher, label, schedule, n_out):
    problem, descent = case_of(label, schedule, n_out)
    supervision = supervision_of(teacher, label, schedule, n_out)
    long = is_long(teacher, label, schedule)
    times = LONG_TIMES if long else TIMES
    able = EVENTS if label in KNOWN_CHANGES[teacher] else STEPS
    kept = {"times": times, "store_at": times, "descent": descent}
    runs = runs_of(problem, supervision, able, **kept)
    plain = plain_run(problem, descent, plainly(label, schedule, supervision), TIMES)
    assert_all_agree({"plain": plain} | runs, stepped=TO_ROUNDING)


@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("teacher", ["last_epoch", "restart"])
@pytest.mark.parametrize(
    ("label", "schedule"),
    list(zip(itertools.cycle(supervised.LABELS), supervised.SCHEDULES, strict=False)),
)
def test_rounds_are_the_steps_between_their_ends(label, schedule, teacher, n_out):
    problem, descent = case_of(label, schedule, n_out)
    descent = Descent(descent.rate)
    rounds = sv.Rounds(supervision_of(teacher, label, schedule, n_out), 6)
    ends = rounds.times().astype(int)
    runs = runs_of(problem, rounds, {"ByRounds", *EVENTS}, descent=descent)
    plain = plain_run(problem, descent, plainly(label, schedule, rounds.supervision), ends)
    assert_all_agree({"plain": plain} | runs, stepped=TO_ROUNDING)


@pytest.mark.parametrize("name", METHODS)
def test_without_clean_labels_a_run_is_measured_against_the_noisy_ones(name):
    rounds, problem = sv.Rounds(EPOCHS, 3), a_problem("power_law", 3)
    rule, times = (Descent(0.5), [0, 4]) if name == "ClosedForm" else (rounds, rounds.times())
    noisy, initial = problem.noisy, problem.labels.initial
    told, untold = (
        solve(problem.replace(labels=Labels(noisy, clean, initial)), rule, times, METHODS[name])
        for clean in (noisy, None)
    )
    assert untold.notes == ("no clean labels given: measured against the noisy ones",)
    assert told.notes == ()
    for curve, same in zip(untold.curves().values(), told.curves().values(), strict=True):
        np.testing.assert_array_equal(curve, same)
