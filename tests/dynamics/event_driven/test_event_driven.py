"""Jumps are the plain steps, taken many at once: no change of a label is missed or misplaced."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.certificates.certificate import RunState
from ntk_air.dynamics.certificates.run_certificate import certify_state
from ntk_air.dynamics.event_driven import modes
from ntk_air.dynamics.event_driven.event_driven import EventDriven
from ntk_air.dynamics.event_driven.events import EventFinder, _stray, bracket_events, first_change
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.learning_rate import RelativeRate
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision.label_functions import trace_floats
from tests.dynamics import supervised
from tests.dynamics.reference import SPECTRA, kernel_with, spectrum_of
from tests.dynamics.runs import follow, problem_of
from tests.helpers.compilations import count_compilations
from tests.helpers.lowering import assert_lowers

N, LAST = 60, 1500


def a_restless_problem(n_out, *, spectrum="power_law"):
    """A kernel whose modes come in slowly, and labels close to chance: many changes of pattern."""
    kernel = kernel_with(SPECTRA[spectrum](N))
    _, clean, noisy, initial = supervised.a_problem(n_out, n=N, flipped=0.45)
    return kernel, clean, noisy, initial


def plain_patterns(kernel, noisy, schedule, descent, *, initial):
    taught = supervised.Taught(supervised.hard, schedule, sv.CurrentStep())
    outputs, _ = supervised.supervised_steps(
        kernel, noisy, taught, descent, n_steps=LAST, initial=initial
    )
    patterns = np.stack([supervised.hard(row) for row in outputs])
    return outputs, 1 + np.flatnonzero((np.diff(patterns, axis=0) != 0).any(axis=(1, 2)))


def a_frame(kernel, noisy, initial, schedule, *, rate, momentum=0.0):
    spectrum = spectrum_of(kernel)
    return modes.make_frame(
        spectrum,
        initial=jnp.asarray(initial),
        noisy=jnp.asarray(noisy),
        supervision=trace_floats(sv.Supervision(sv.Hard(), schedule)),
        learning_rate=rate,
        momentum=momentum,
    )


@pytest.mark.parametrize(
    ("n_out", "schedule", "numbers", "rows_in_doubt"),
    [
        (1, "slow", (0.9, 0.0), N),
        (3, "slow", (0.9, 0.7), 3),  # intervals with more rows in doubt are cut
        (3, "slow", (1.8, 0.0), N),
        (3, "agreement", (1.0, 0.0), N),
    ],
)
def test_every_change_of_label_is_found_at_its_step(n_out, schedule, numbers, rows_in_doubt):
    kernel, _, noisy, initial = a_restless_problem(n_out)
    initial = 20 * initial  # far from the labels: most rows change on the way
    slow = sv.Harmonic(3000.0), lambda i, f, noisy: 3000 / (3000 + i)
    ours, plain = slow if schedule == "slow" else supervised.SCHEDULES[schedule]
    descent = supervised.PlainDescent(*numbers)
    outputs, changes = plain_patterns(kernel, noisy, plain, descent, initial=initial)
    frame = a_frame(kernel, noisy, initial, ours, rate=descent.rate, momentum=descent.momentum)
    walker = EventFinder(frame, rows_in_doubt=rows_in_doubt)
    state, found, stops = modes.start(frame), [], 0
    while int(state.step) < LAST:
        taught = modes.update_teacher(frame, state)
        state = walker.next_change(taught, LAST - int(taught.step))
        stops += 1
        if np.any(supervised.hard(np.asarray(state.outputs)) != np.asarray(taught.labels)):
            found.append(int(state.step))
        np.testing.assert_allclose(state.outputs, outputs[int(state.step)], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found, changes)
    assert len(changes) > 20
    assert stops < 250


@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("length", [3, 40, 400])
def test_no_row_strays_further_from_its_line_than_the_bound(n_out, length):
    kernel, _, noisy, initial = a_restless_problem(n_out)
    frame = a_frame(kernel, noisy, initial, sv.Harmonic(5.0), rate=0.9, momentum=0.4)
    state = modes.update_teacher(
        frame, modes.advance_modes(frame, modes.update_teacher(frame, modes.start(frame)), steps(6))
    )
    seen = np.stack(
        [modes.advance_modes(frame, state, steps(s)).outputs for s in range(length + 1)]
    )
    share = np.linspace(0, 1, length + 1)[:, None, None]
    strays = np.abs(seen - (seen[0] + share * (seen[-1] - seen[0]))).max(axis=0)
    strayed = deviations(frame, lambda t: 5 / (5 + t), int(state.step), length)
    bound = np.asarray(_stray(frame, state, strayed))
    assert (strays <= bound).all()
    # Not by being useless: it is the sum over the modes, which add up in no row.
    assert np.median(bound / strays) < 30


def steps(number):
    return jnp.asarray(number, jnp.int32)


def deviations(frame, schedule, start, length):
    """The modes' own largest distances from their lines, by brute force in NumPy."""
    values, rate, momentum = np.asarray(frame.eigenvalues), 0.9, 0.4
    state, speed = np.zeros((4, len(values))), np.zeros((4, len(values)))
    state[0], speed[1] = 1, 1
    seen = [state]
    for s in range(length):
        excess = schedule(start + s) - schedule(start)
        drive = np.array([[0.0], [0.0], [1.0], [excess]])
        speed = momentum * speed - rate * (values * state - drive)
        state = state + speed
        seen.append(state)
    share = np.linspace(0, 1, length + 1)[:, None, None]
    seen = np.stack(seen)
    return jnp.asarray(np.abs(seen - seen[0] - share * (seen[-1] - seen[0])).max(axis=0))


@pytest.mark.parametrize("n_out", [1, 3])
def test_rows_that_change_and_change_back_inside_a_stretch_are_in_doubt(n_out):
    kernel, _, noisy, initial = a_restless_problem(n_out)
    frame = a_frame(kernel, noisy, initial, sv.Harmonic(5.0), rate=0.9)
    state = modes.update_teacher(
        frame, modes.advance_modes(frame, modes.update_teacher(frame, modes.start(frame)), steps(4))
    )
    length, labels = 300, np.asarray(state.labels)
    seen = [
        np.asarray(modes.advance_modes(frame, state, steps(s)).outputs) for s in range(1, length)
    ]
    moved = [(supervised.hard(outputs) != labels).any(axis=1) for outputs in seen]
    changed = np.any(moved, axis=0)
    back = changed & (supervised.hard(np.asarray(seen[-1])) == labels).all(axis=1)
    interval = bracket_events(frame, state, steps(length), rows=N)
    assert int(interval.in_doubt) >= changed.sum() > 0
    assert set(np.flatnonzero(changed)) <= set(np.asarray(interval.rows).tolist())
    first = 1 + int(np.argmax(np.any(moved, axis=1)))
    assert int(first_change(frame, state, interval.rows, steps(length)).step) == first
    assert n_out == 1 or back.any()


def test_plain_steps_go_on_from_jumps():
    kernel, clean, noisy, _ = a_restless_problem(3)
    supervision = sv.Supervision(sv.Sharpened(0.3), sv.Harmonic(10.0), sv.LastEpoch(7))
    run = {"descent": Descent(0.9, momentum=0.5), "clean": clean}
    jumped = follow(spectrum_of(kernel), noisy, supervision, [0, 250], method=EventDriven(), **run)
    mixed = follow(kernel, noisy, supervision, [0, 250, 400], method=Stepwise(resume=jumped), **run)
    plain = follow(kernel, noisy, supervision, [0, 250, 400], method=Stepwise(), **run)
    for name, curve in plain.curves().items():
        np.testing.assert_allclose(mixed.curves()[name], curve, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("teacher", [sv.LastEpoch(9), sv.Restart(4)])
def test_an_epoch_that_was_left_half_way_ends_on_the_clock(teacher):
    """Epochs begin at the end of the warm-up and every E steps from there."""
    supervision = sv.Supervision(sv.Hard(), sv.Constant(0.5), teacher, warm_up=5)
    starts = 5 + teacher.steps_per_epoch() * np.arange(10)
    for step in range(30):
        expected = starts[starts > step][0]
        assert modes.next_epoch(supervision, jnp.asarray(step)) == expected


def test_infinity_is_reached_once_the_labels_are_final():
    kernel = kernel_with(SPECTRA["rank_deficient"](N))
    _, clean, noisy, initial = supervised.a_problem(3, n=N, flipped=0.1)
    _, vectors = np.linalg.eigh(kernel)
    supervision = sv.Supervision(sv.Hard(), sv.Constant(0.6))
    asked = []

    def is_final(step, outputs):
        asked.append(step)
        return step >= 1000

    spectrum = spectrum_of(kernel)
    run = {"clean": clean, "initial": initial, "descent": Descent(1.0)}
    got = follow(
        spectrum, noisy, supervision, [2000, np.inf], method=EventDriven(is_final=is_final), **run
    )
    pattern = supervised.hard(np.asarray(got.final.predictions))
    target = 0.6 * noisy + 0.4 * pattern
    reached, lost = vectors[:, N // 2 :], vectors[:, : N // 2]
    expected = reached @ (reached.T @ target) + lost @ (lost.T @ initial)
    np.testing.assert_allclose(got.final.predictions, expected, atol=1e-10)
    np.testing.assert_array_equal(got.times, [2000, np.inf])
    np.testing.assert_allclose(
        got.train.rms_distance[1], np.linalg.norm(expected - clean) / np.sqrt(N), rtol=1e-10
    )
    assert 1000 <= asked[-1] < 2000
    assert len(asked) < 20


@pytest.mark.parametrize(
    ("supervision", "is_final", "why"),
    [
        (
            sv.Supervision(sv.Hard(), sv.Harmonic()),
            None,
            "the labels are not proved final at step 50",
        ),
        (
            sv.Supervision(sv.Hard(), lambda i: 1 / (1 + i)),
            lambda step, outputs: True,
            "the limit of FunctionOfIndex is not known",
        ),
        (
            sv.Supervision(sv.Hard(), sv.Harmonic(), sv.LastEpoch(5)),
            None,
            "its teacher never stops changing",
        ),
    ],
)
def test_infinity_is_refused_with_its_reason(supervision, is_final, why):
    kernel, clean, noisy, _ = a_restless_problem(3)
    got = follow(
        spectrum_of(kernel),
        noisy,
        supervision,
        [50, np.inf],
        method=EventDriven(is_final=is_final),
        clean=clean,
    )
    np.testing.assert_array_equal(got.times, [50])
    assert got.notes == (f"stopped at step 50, before infinity: {why}",)


def test_plain_descent_needs_no_labels_and_goes_to_infinity():
    kernel, clean, noisy, _ = a_restless_problem(3)
    got = follow(
        spectrum_of(kernel),
        noisy,
        sv.plain_descent(),
        [0, 10**4, np.inf],
        method=EventDriven(),
        clean=clean,
    )
    np.testing.assert_allclose(got.final.predictions, noisy, atol=1e-10)
    assert got.rule.endswith("simulated in 1 intervals")


def test_a_truncated_spectrum_and_a_label_decided_by_rounding_are_noted():
    kernel, clean, noisy, _ = a_restless_problem(1)
    got = follow(
        spectrum_of(kernel, top_k=20),
        noisy,
        sv.plain_descent(),
        [100],
        method=EventDriven(),
        clean=clean,
    )
    assert got.notes == ("only 20 of 60 modes are held: the others stand still",)
    # Two rows in one place with opposite labels: their sign is made of rounding.
    inputs = np.random.default_rng(0).normal(size=(6, 20))
    inputs[1] = inputs[0]
    noisy = np.array([[1.0], [-1.0], [1.0], [1.0], [-1.0], [1.0]])
    inputs[2:] -= inputs[2:] @ np.outer(inputs[0], inputs[0]) / (inputs[0] @ inputs[0])
    supervision = sv.Supervision(sv.Hard(), sv.Constant(0.5))
    got = follow(spectrum_of(inputs @ inputs.T), noisy, supervision, [100], method=EventDriven())
    assert "which is within rounding: plain steps may decide otherwise" in got.notes[-1]


def test_a_diverging_run_stops_and_says_so():
    kernel, clean, noisy, _ = a_restless_problem(1)
    got = follow(
        spectrum_of(kernel),
        noisy,
        sv.plain_descent(),
        [0, 100, 10**5],
        method=EventDriven(),
        descent=Descent(RelativeRate(2.5), allow_divergence=True),
        clean=clean,
    )
    np.testing.assert_array_equal(got.times, [0, 100])
    assert got.notes[0].startswith("stopped at step 100: the next outputs are not finite")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"supervision": sv.Supervision(sv.Sharpened(0.1), sv.Constant(0.5))},
            "of the current step only Hard labels stand still, .*got Sharpened.*Stepwise\\(\\) can",
        ),
        (
            {
                "supervision": sv.Supervision(
                    sv.Hard(), sv.Constant(0.5), sv.ExponentialMovingAverage(0.5)
                )
            },
            "its teacher changes at every step: .*got ExponentialMovingAverage; Stepwise\\(\\) can",
        ),
        ({"descent": Descent(RelativeRate(2.0))}, "learning_rate must lie below"),
        ({"times": [0.5]}, r"times must be whole numbers of steps, at least 0; got \[0.5\]"),
        ({"store_at": [7]}, r"store_at must be among times; got \[7.0\]"),
    ],
)
def test_what_cannot_jump_is_refused(changes, match):
    kernel, clean, noisy, _ = a_restless_problem(3)
    arguments = {"supervision": sv.Supervision(sv.Hard(), sv.Constant(0.5)), "times": [9]} | changes
    rule, problem = arguments.pop("supervision"), problem_of(kernel, noisy, clean=clean)
    problem = problem.replace(spectrum=spectrum_of(kernel))
    with pytest.raises(ValueError, match=match):
        solve(problem, rule, method=EventDriven(), **arguments)


def test_every_part_lowers_for_every_platform():
    kernel, _, noisy, initial = a_restless_problem(3)
    frame = a_frame(kernel, noisy, initial, sv.Agreement(), rate=0.9)
    state = modes.start(frame)
    arrays, static = eqx.partition((frame, state), eqx.is_array)

    def run(arrays, rows, length):
        frame, state = eqx.combine(arrays, static)
        state = modes.update_teacher(frame, state)
        interval = bracket_events(frame, state, length, rows=8)
        return (
            interval,
            first_change(frame, state, rows, length),
            modes.advance_modes(frame, state, length),
        )

    assert_lowers(run, arrays, jnp.arange(8), steps(9))


def test_other_times_and_rates_compile_nothing():
    kernel, clean, noisy, _ = a_restless_problem(3)
    spectrum = spectrum_of(kernel)

    def run(scale, rate, times):
        supervision = sv.Supervision(sv.Hard(), sv.Harmonic(scale))
        follow(
            spectrum,
            noisy,
            supervision,
            times,
            method=EventDriven(),
            descent=Descent(rate),
            clean=clean,
        )

    run(10.0, 0.5, [0, 3, 500])
    with count_compilations() as compiled:
        run(3.0, 0.9, [0, 10, 20, 500])
    assert compiled == []


def test_a_certificate_ends_the_watch_and_opens_the_way_to_infinity():
    kernel, clean, noisy = supervised.clusters(0.4)
    spectrum = spectrum_of(kernel)
    supervision = sv.Supervision(sv.Hard(), sv.Harmonic(20.0))
    problem, rate, proved = problem_of(spectrum, noisy), 1 / spectrum.lambda_max, []

    def is_final(step, outputs):
        state = RunState(outputs, noisy, step)
        found = certify_state(problem, supervision, state, learning_rate=rate)
        proved.append((step, bool(found.issued)))
        return proved[-1][1]

    got = follow(
        spectrum,
        noisy,
        supervision,
        [3000, np.inf],
        method=EventDriven(is_final=is_final),
        clean=clean,
    )
    assert not proved[0][1]
    assert proved[-1][1]
    assert proved[-1][0] < 3000
    np.testing.assert_allclose(got.train.rms_distance[1], 0, atol=1e-10)
    plain = follow(kernel, noisy, supervision, [3000], method=Stepwise(), clean=clean)
    np.testing.assert_allclose(got.train.rms_distance[0], plain.train.rms_distance[0], rtol=1e-9)
