"""Label functions, schedules, teachers and their product, against their definitions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.supervision.label_functions import check_label_function, trace_floats
from tests.dynamics import supervised
from tests.helpers.lowering import assert_lowers
from tests.helpers.type_checks import without_type_checks

LABEL_FUNCTIONS = [sv.Identity(), sv.Sharpened(0.2), sv.Hard()]
SCHEDULES = [pair[0] for name, pair in supervised.SCHEDULES.items() if name != "own"]


@pytest.mark.parametrize("n_out", [1, 2, 5])
@pytest.mark.parametrize("label_function", LABEL_FUNCTIONS)
def test_no_label_function_has_an_opinion_at_zero(label_function, n_out):
    zero = jnp.zeros((3, n_out))
    np.testing.assert_array_equal(label_function(zero), zero)
    check_label_function(label_function, n_out, np.dtype(float))


@pytest.mark.parametrize("n_out", [1, 4])
@pytest.mark.parametrize("name", ["identity", "sharpened", "hard"])
def test_label_functions_are_their_formulas(name, n_out):
    outputs = np.random.default_rng(0).normal(size=(30, n_out))
    ours, plain = supervised.LABELS[name]
    np.testing.assert_allclose(ours(outputs), plain(outputs), rtol=1e-13, atol=1e-15)


def test_ties_share_the_label_evenly_as_sharpened_does_in_its_limit():
    outputs = np.array([[2.0, 2.0, -1.0], [1.0, 1.0, 1.0], [0.0, 3.0, 3.0]])
    expected = np.array([[1 / 6, 1 / 6, -1 / 3], [0, 0, 0], [-1 / 3, 1 / 6, 1 / 6]])
    np.testing.assert_allclose(sv.Hard()(outputs), expected, atol=1e-15)
    np.testing.assert_allclose(sv.Sharpened(1e-3)(outputs), expected, atol=1e-15)


@pytest.mark.parametrize("n_out", [1, 4])
def test_sharpened_tends_to_hard_and_to_a_line(n_out):
    outputs = np.random.default_rng(1).normal(size=(20, n_out))
    np.testing.assert_allclose(sv.Sharpened(1e-5)(outputs), sv.Hard()(outputs), atol=1e-12)
    centred = outputs / 2 if n_out == 1 else (outputs - outputs.mean(1, keepdims=True)) / n_out
    np.testing.assert_allclose(1e5 * sv.Sharpened(1e5)(outputs), centred, atol=1e-4)


def test_binary_sharpening_is_that_of_two_classes():
    outputs = np.random.default_rng(2).normal(size=(20, 1))
    two = sv.Sharpened(0.3)(np.hstack([outputs, -outputs]) / 2)
    np.testing.assert_allclose(sv.Sharpened(0.3)(outputs)[:, 0], 2 * two[:, 0], rtol=1e-12)


def test_a_row_that_is_not_a_number_stays_so():
    assert np.isnan(sv.Hard()(np.array([[np.nan, 1.0], [0.0, np.nan]]))).all()
    assert np.isnan(sv.Hard()(np.array([[np.nan]]))).all()


@pytest.mark.parametrize("name", supervised.SCHEDULES)
def test_schedules_are_their_formulas_and_know_their_tails(name):
    ours, plain = supervised.SCHEDULES[name]
    supervision = sv.Supervision(sv.Hard(), ours)
    schedule = supervision.schedule
    if schedule.depends_on() == "index":
        weights = supervision.weights(np.arange(4000))
        np.testing.assert_allclose(
            weights, [plain(i, None, None) for i in range(4000)], rtol=1e-13, atol=1e-300
        )
    if schedule.non_increasing_from() is not None:
        assert (np.diff(weights[schedule.non_increasing_from() :]) <= 0).all()
    limit = schedule.limit()
    if limit is not None:
        np.testing.assert_allclose(weights[-1], limit, atol=2e-3)
    # A sum converges if its later half adds little to it and less than the former.
    if schedule.has_finite_sum() is not None:
        later = weights[2000:].sum()
        assert (later < 0.03 * weights.sum()) == schedule.has_finite_sum()


def test_a_ramp_up_is_known_to_be_flat_from_its_end():
    ramp = sv.Linear(10.5, start=0.0, end=0.5)
    assert ramp.non_increasing_from() == 11
    weights = sv.Supervision(sv.Hard(), ramp).weights(np.arange(30))
    assert (np.diff(weights[:11]) > 0).all()
    assert (np.diff(weights[11:]) == 0).all()


@pytest.mark.parametrize("n_out", [1, 3])
def test_agreement_counts_rows_and_ties_agree_with_nothing(n_out):
    _, _, noisy, _ = supervised.a_problem(n_out)
    outputs = noisy.copy()
    outputs[:6] *= -1
    outputs[6] = 0
    weight = sv.Agreement()(jnp.zeros(()), outputs, noisy)
    np.testing.assert_allclose(weight, 7 / 24, rtol=1e-14)
    assert sv.Agreement()(jnp.zeros(()), 0 * noisy, noisy) == 1


def test_warm_up_and_epochs_move_the_index_and_the_tail():
    ramp_up = sv.Linear(3, start=0.0, end=0.5)
    by_epoch = sv.Supervision(sv.Hard(), ramp_up, sv.LastEpoch(5), warm_up=2)
    expected = [1] * 2 + [0] * 5 + [1 / 6] * 5 + [1 / 3] * 5 + [0.5] * 5
    np.testing.assert_allclose(by_epoch.weights(np.arange(22)), expected, rtol=1e-14)
    assert by_epoch.non_increasing_from() == 2 + 3 * 5
    by_step = sv.Supervision(sv.Hard(), ramp_up, sv.LastEpoch(5), warm_up=2, weight_by="step")
    assert by_step.non_increasing_from() == 2 + 3
    assert sv.Supervision(sv.Hard(), sv.Harmonic(), warm_up=7).non_increasing_from() == 0
    assert sv.Supervision(sv.Hard(), sv.Agreement(), warm_up=7).non_increasing_from() is None
    assert by_epoch.has_finite_sum() is False


@pytest.mark.parametrize("teacher", supervised.TEACHERS)
@pytest.mark.parametrize("schedule", supervised.SCHEDULES)
@pytest.mark.parametrize("label", supervised.LABELS)
def test_every_combination_gives_the_target_of_its_definition(label, schedule, teacher):
    """Plain NumPy makes the run; the supervision under test only names each step's target."""
    kernel, _, noisy, initial = supervised.a_problem(3)
    taught_by = supervised.TEACHERS[teacher] or sv.Pretrained(initial)
    (ours, plain), (weight, plain_weight) = supervised.LABELS[label], supervised.SCHEDULES[schedule]
    rate, warm_up = 0.2, 2
    outputs, dual = supervised.supervised_steps(
        kernel,
        noisy,
        supervised.Taught(plain, plain_weight, taught_by, warm_up),
        supervised.PlainDescent(rate),
        n_steps=11,
        initial=initial,
    )
    supervision = sv.Supervision(ours, weight, taught_by, warm_up=warm_up)
    remembered = outputs[0]
    for step in range(11):
        remembered = supervision.observe(remembered, outputs[step], jnp.asarray(step))
        target = supervision.target(remembered, noisy, jnp.asarray(step)).target
        restarts = bool(supervision.restarts_at(jnp.asarray(step)))
        assert restarts == (teacher == "restart" and step in (2, 6, 10))
        before, start = (initial, 0) if restarts else (outputs[step], dual[step])
        np.testing.assert_allclose(
            start - rate * (before - target), dual[step + 1], rtol=1e-12, atol=1e-13
        )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("label_function", LABEL_FUNCTIONS)
def test_supervision_keeps_its_precision(label_function, schedule, dtype):
    supervision = sv.Supervision(label_function, schedule)
    rows = jnp.ones((4, 3), dtype)
    got = supervision.target(rows, rows, jnp.asarray(3))
    assert got.target.dtype == got.weight.dtype == dtype


def test_supervision_lowers_for_every_platform():
    def one_step(remembered, outputs, noisy, step):
        results = []
        for schedule in SCHEDULES:
            for teacher in filter(None, supervised.TEACHERS.values()):
                supervision = sv.Supervision(sv.Hard(), schedule, teacher)
                remembered = supervision.observe(remembered, outputs, step)
                results.append(supervision.target(remembered, noisy, step).target)
        return sum(results), sv.Sharpened(0.1)(outputs), supervision.restarts_at(step)

    rows = jnp.ones((4, 3))
    assert_lowers(one_step, rows, rows, rows, jnp.asarray(1))


def test_a_users_own_schedule_class_may_read_the_outputs():
    class Confidence(sv.WeightSchedule):
        def __call__(self, index, outputs, noisy):
            return 1 / (1 + jnp.max(jnp.abs(outputs))) + 0 * index

        def depends_on(self):
            return "outputs"

        def non_increasing_from(self):
            return None

        def has_finite_sum(self):
            return None

        def limit(self):
            return None

    supervision = sv.Supervision(sv.Hard(), Confidence())
    rows = jnp.asarray(np.eye(3))
    assert supervision.target(rows, rows, jnp.asarray(0)).weight == 0.5
    with pytest.raises(ValueError, match="Confidence depends on the run's outputs"):
        supervision.weights(np.arange(3))


def test_a_new_temperature_or_decay_compiles_nothing():
    traced = 0

    @eqx.filter_jit
    def target(supervision, rows):
        nonlocal traced
        traced += 1
        return supervision.target(rows, rows, jnp.asarray(2)).target

    for number in (0.1, 0.2, 0.4):
        supervision = sv.Supervision(sv.Sharpened(number), sv.Geometric(number))
        got = target(trace_floats(supervision), jnp.asarray(np.eye(3)))
        np.testing.assert_allclose(
            got, supervision.target(np.eye(3), np.eye(3), jnp.asarray(2)).target
        )
    assert traced == 1


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: sv.Sharpened(0.0), "temperature must be a finite number above 0; got 0.0"),
        (lambda: sv.Constant(1.5), r"weight must lie in \[0, 1\]; got 1.5"),
        (lambda: sv.Linear(0), "over must be a finite number above 0"),
        (lambda: sv.Linear(5, start=-0.1), r"start must lie in \[0, 1\]"),
        (lambda: sv.Linear(5, end=2), r"end must lie in \[0, 1\]"),
        (lambda: sv.Geometric(1.1), r"decay must lie in \[0, 1\]; got 1.1"),
        (lambda: sv.Geometric(0.5, start=3), r"start must lie in \[0, 1\]"),
        (lambda: sv.Power(-1), "exponent must be a finite number, at least 0.0; got -1.0"),
        (lambda: sv.Power(1, scale=0), "scale must be a finite number above 0"),
        (lambda: sv.Power(1, start=3), r"start must lie in \[0, 1\]"),
        (lambda: sv.Harmonic(-2), "scale must be a finite number above 0; got -2.0"),
        (lambda: sv.Harmonic(start=-1), r"start must lie in \[0, 1\]"),
        (lambda: sv.FunctionOfIndex(abs, tail_from=-1), "tail_from must be a whole number, at"),
        (lambda: sv.FunctionOfIndex(abs, tends_to=2.0), r"tends_to must lie in \[0, 1\]"),
        (lambda: sv.LastEpoch(0), "epoch_length must be a whole number, at least 1"),
        (lambda: sv.Restart(0), "epoch_length must be a whole number, at least 1; got 0"),
        (lambda: sv.ExponentialMovingAverage(1.0), "decay must lie below 1"),
        (lambda: sv.ExponentialMovingAverage(-0.1), r"decay must lie in \[0, 1\]"),
        (
            lambda: sv.Supervision(sv.Hard(), sv.Constant(0.5), weight_by="epoch"),
            "weight_by='epoch' needs a teacher with epochs.*got CurrentStep",
        ),
        (
            lambda: sv.Supervision(sv.Hard(), sv.Constant(0.5), warm_up=-1),
            "warm_up must be a whole number, at least 0; got -1",
        ),
        (
            lambda: sv.Supervision(sv.Hard(), lambda i: 1 - i / 4).weights(np.arange(9)),
            r"schedule must give weights in \[0, 1\]; got -0.25 at step 5",
        ),
        (
            lambda: sv.Supervision(sv.Hard(), sv.Agreement()).weights(np.arange(9)),
            "Agreement depends on the run's pattern: its weights are not known beforehand",
        ),
        (
            lambda: check_label_function(
                lambda f: jnp.where(f >= 0, 1.0, -1.0), 1, np.dtype(float)
            ),
            r"label_function must have no opinion at 0.*got h\(0\) = \[1.0\]",
        ),
        (
            lambda: check_label_function(lambda f: f[:, :1], 3, np.dtype(float)),
            r"label_function must map \(21, 3\) float64 to the same; got \(21, 1\) float64",
        ),
    ],
)
def test_bad_supervision_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        ((0.5, sv.Constant(0.5)), "label_function must be callable, rows to rows; got 0.5"),
        ((sv.Hard(), 0.5), "schedule must be a WeightSchedule or a callable of the index; got 0.5"),
        ((sv.Hard(), sv.Constant(0.5), "current"), "teacher must be a Teacher; got 'current'"),
    ],
)
def test_parts_of_the_wrong_kind_are_refused(parts, match):
    with pytest.raises(ValueError, match=match), without_type_checks():
        sv.Supervision(*parts)


@pytest.mark.parametrize("n", [3, 49, 400])
def test_agreement_is_exactly_zero_where_all_rows_agree(n):
    labels = np.where(np.arange(n)[:, None] % 3 == 0, -1.0, 1.0)
    weight = jax.jit(sv.Agreement().__call__)(jnp.zeros(()), *[jnp.asarray(labels)] * 2)
    assert float(weight) == 0.0
