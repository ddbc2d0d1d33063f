"""Training against the kernel regime: a network linear in its parameters is its own kernel."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.learning_rate import RelativeRate
from ntk_air.dynamics.run.losses import CrossEntropy, SquareLoss
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.networks.training.minibatches import Minibatches
from ntk_air.networks.training.network_problem import HeldOutInputs
from ntk_air.networks.training.optimisers import Adam, OptaxOptimiser, as_optimiser
from ntk_air.networks.training.supervised_rule import SupervisedRule
from ntk_air.networks.training.train import train
from ntk_air.networks.training.train_checkpoints import Checkpoints
from ntk_air.networks.training.train_step import TrainingSetup, advance, outputs_of, start
from ntk_air.networks.training.training_rules import Batch
from ntk_air.problem import HeldOut, Labels, Problem
from tests.helpers.lowering import assert_lowers
from tests.networks.training.linear_network import (
    CLEAN,
    CROSS_KERNEL,
    INPUTS,
    KERNEL,
    LARGEST,
    N_OUT,
    N_TRAIN,
    NOISY,
    PARAMS,
    PROBLEM,
    TEST_INPUTS,
    TEST_TARGETS,
    linear,
    problem_with,
)

TIMES = [0, 1, 5, 12]

TEACHERS = {
    "current": sv.CurrentStep(),
    "last_epoch": sv.LastEpoch(4),
    "restart": sv.Restart(4),
    "average": sv.ExponentialMovingAverage(0.7),
    "pretrained": sv.Pretrained(np.random.default_rng(1).normal(size=(N_TRAIN, N_OUT))),
}


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("subtract_initial", [True, False])
def test_a_linear_network_follows_its_kernel(teacher, subtract_initial):
    supervision = sv.Supervision(
        sv.Sharpened(0.4), sv.Power(1.5, scale=3), TEACHERS[teacher], warm_up=2
    )
    descent = Descent(1 / LARGEST, momentum=0.3)
    loss = CrossEntropy() if teacher == "current" else SquareLoss()
    network = train(
        problem_with(subtract_initial=subtract_initial),
        supervision,
        TIMES,
        descent,
        method=Minibatches(loss=loss),
        store_at=TIMES,
    )
    start, test_start = (
        0 * x @ PARAMS if subtract_initial else x @ PARAMS for x in (INPUTS, TEST_INPUTS)
    )
    held_out = HeldOut(CROSS_KERNEL, TEST_TARGETS, initial=test_start)
    in_kernel = solve(
        Problem(Labels(NOISY, CLEAN, start), KERNEL, held_out=held_out).with_largest_eigenvalue(
            LARGEST
        ),
        supervision,
        TIMES,
        Stepwise(loss),
        descent=descent,
        store_at=TIMES,
    )
    np.testing.assert_allclose(network.stored.train, in_kernel.stored.train, rtol=1e-10)
    held_out = np.asarray(network.stored.held_out), np.asarray(in_kernel.stored.held_out)
    np.testing.assert_allclose(*held_out, rtol=1e-10)
    for name, curve in in_kernel.curves().items():
        np.testing.assert_allclose(network.curves()[name], curve, atol=1e-10, err_msg=name)
    assert jnp.isfinite(network.final.resume.params).all()
    assert jax.tree.structure(network.final.resume.params) == jax.tree.structure(PARAMS)


def test_a_teacher_is_renewed_where_the_warm_up_and_each_epoch_end():
    supervision = sv.Supervision(sv.Identity(), sv.Constant(0.5), sv.LastEpoch(4), warm_up=2)
    rule, seen_at = SupervisedRule(supervision, SquareLoss()), []
    state = rule.init(N_TRAIN, N_OUT, np.dtype(float))
    for step in range(12):
        now = jnp.full((N_TRAIN, N_OUT), float(step))
        at = jnp.asarray(step)
        batch = Batch(INPUTS, NOISY, np.arange(N_TRAIN), None, at, at, at == at, jax.random.key(0))
        state = rule.prepare(state, lambda now=now: now, batch)
        seen_at.append(float(state.outputs[0, 0]))
    assert seen_at == [0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 10, 10]


LABELS_OF_MINIBATCHES = sv.Sharpened(0.4)


PLAIN = Descent(0.01)
BATCHES = Minibatches(5, jax.random.key(3), reduction="mean")
"""Of 5 of 12 examples: two steps in a pass, two examples left out."""


def minibatches(problem=PROBLEM, *, optimiser=PLAIN, times=TIMES, store_at=None, **method):
    rule = sv.Supervision(
        LABELS_OF_MINIBATCHES, sv.Power(1.5, scale=3), sv.ExponentialMovingAverage(0.7)
    )
    return train(
        problem,
        rule,
        times,
        optimiser,
        method=dataclasses.replace(BATCHES, **method),
        store_at=times if store_at is None else store_at,
    )


def by_hand(orders):
    """The same run in NumPy: the average moves where an example is visited."""
    weights, inputs, noisy = PARAMS.copy(), INPUTS, NOISY
    memory, seen = np.zeros_like(noisy), np.zeros(N_TRAIN, bool)
    outputs = [inputs @ weights]
    for step in range(TIMES[-1]):
        rows = orders[step // 2][5 * (step % 2) :][:5]
        now = inputs[rows] @ weights
        before = np.where(seen[rows, None], memory[rows], now)
        # The average is taken before the step, of the outputs that the step is taken from.
        memory[rows] = 0.7 * before + 0.3 * now
        seen[rows] = True
        alpha = (1 + step / 3) ** -1.5
        label = np.asarray(LABELS_OF_MINIBATCHES(jnp.asarray(memory[rows])))
        target = alpha * noisy[rows] + (1 - alpha) * label
        weights -= 0.01 * inputs[rows].T @ (now - target) / 5
        outputs.append(inputs @ weights)
    return np.array(outputs)[TIMES]


def test_minibatches_follow_their_equations_with_a_memory_of_each_example():
    run = minibatches()
    key = jax.random.split(jax.random.key(3))[0]
    orders = [
        np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), N_TRAIN))
        for epoch in range(6)
    ]
    np.testing.assert_allclose(run.stored.train, by_hand(orders), rtol=1e-10)


class CutShort(Exception):  # noqa: N818 – an interruption
    pass


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("every", [None, 2])
def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path, every):
    whole = minibatches(optimiser=Adam(0.01))
    kept = Checkpoints(tmp_path / "kept", every)

    def cut(what, done, total):
        if done >= 5:
            raise CutShort

    with pytest.raises(CutShort):
        minibatches(optimiser=Adam(0.01), checkpoints=kept, progress=cut)
    seen = []
    resumed = minibatches(
        optimiser=Adam(0.01),
        checkpoints=kept,
        progress=lambda what, done, total: seen.append((done, total)),
    )
    assert seen[0] == (5, TIMES[-1])
    assert seen[-1] == (TIMES[-1], TIMES[-1])
    again = minibatches(optimiser=Adam(0.01), checkpoints=kept)
    for run in (resumed, again):
        for name, curve in whole.curves().items():
            np.testing.assert_array_equal(run.curves()[name], curve, err_msg=name)
        for mine, theirs in zip(
            jax.tree.leaves((run.stored, run.final)),
            jax.tree.leaves((whole.stored, whole.final)),
            strict=True,
        ):
            np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match=r"folder of this very run.*holds another"):
        minibatches(optimiser=Adam(0.02), checkpoints=kept)


def test_descent_is_told_from_heavy_ball():
    assert as_optimiser(Descent(0.1)).describe() == "gradient descent"
    assert as_optimiser(Descent(0.1, momentum=0.9)).describe() == "heavy ball (0.9)"


def test_a_trajectory_goes_on_where_it_ended():
    whole = minibatches()
    half = minibatches(times=TIMES[:3])
    resumed = minibatches(resume=half)
    np.testing.assert_array_equal(resumed.stored.train, whole.stored.train)
    np.testing.assert_array_equal(resumed.times, whole.times)
    with pytest.raises(ValueError, match="times must reach beyond step 12"):
        minibatches(resume=whole)


def test_a_run_that_diverges_says_so_and_keeps_its_last_good_step():
    run = minibatches(optimiser=Descent(1e100))
    assert "not finite: the run diverged" in run.notes[-1]
    assert run.times[-1] < 12
    assert np.isfinite(run.final.predictions).all()


def test_any_optax_transformation_and_schedule():
    rate = optax.linear_schedule(0.02, 0.0, 12)
    ours = minibatches(optimiser=Descent(rate))
    theirs = OptaxOptimiser(optax.sgd(rate), name="optax's descent", rate=0.02)
    run = minibatches(optimiser=theirs)
    np.testing.assert_allclose(run.stored.train, ours.stored.train, rtol=1e-12)
    assert run.rule.startswith("SquareLoss, optax's descent")
    assert ours.learning_rate == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 13}, r"size must lie in 1 … 12, the training inputs; got 13"),
        ({"size": 0}, "size must be .* at least 1; got 0"),
        ({"key": None}, "key must be given"),
        ({"evaluation_rows": 0}, "evaluation_rows"),
        ({"times": [3, 1]}, "times must be ascending"),
        (
            {"optimiser": Descent(RelativeRate(0.5))},
            r"rate must be .* largest eigenvalue is not known.* got RelativeRate\(fraction=0.5\)",
        ),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        minibatches(**options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": Labels(np.zeros((12, 2))), "held_out": None},
            r"noisy's shape \(12, 2\); got \(12, 3\)",
        ),
        (
            {"labels": Labels(NOISY[:11])},
            r"noisy must have a row for each of the 12 inputs; got shape \(11, 3\)",
        ),
        ({"labels": Labels(NOISY, initial=NOISY)}, "labels must leave out initial"),
        ({"params": {}}, "params must be a pytree of floating-point arrays; got none"),
        ({"params": np.ones((15, 3), int)}, "params must be .* got 1 other leaves"),
        ({"inputs": np.full((12, 15), np.inf)}, "inputs must be finite"),
        (
            {"held_out": HeldOutInputs(TEST_INPUTS, TEST_TARGETS[:, :2])},
            r"held_out must have inputs \(n_test, \*\(15,\)\) and targets \(5, 3\); got",
        ),
        (
            {"held_out": HeldOutInputs(TEST_INPUTS, np.full((5, N_OUT), np.nan))},
            "held_out targets must be finite",
        ),
    ],
)
def test_bad_problems_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        problem_with(**changes)


@pytest.mark.parametrize("kind", [Descent, Adam])
def test_rates_are_checked(kind):
    with pytest.raises(ValueError, match="rate must"):
        kind(0.0)


def test_checkpoints_are_checked(tmp_path):
    with pytest.raises(ValueError, match="every must"):
        Checkpoints(tmp_path, 0)
    with pytest.raises(ValueError, match="resume must be left out"):
        half = minibatches(times=TIMES[:2])
        minibatches(resume=half, checkpoints=Checkpoints(tmp_path))


def test_training_lowers_for_accelerators():
    training = TrainingSetup(
        apply_fn=linear,
        params=jnp.asarray(PARAMS),
        inputs=jnp.asarray(INPUTS),
        noisy=jnp.asarray(NOISY),
        initial=None,
        rule=SupervisedRule(sv.plain_descent(), SquareLoss()),
        optimiser=as_optimiser(Descent(0.1)),
        key=jax.random.PRNGKey(0),
        batch_size=5,
        reduction="mean",
        evaluation_rows=4,
    )
    arrays, rest = eqx.partition(training, eqx.is_array)

    def outputs(arrays):
        training = eqx.combine(arrays, rest)
        state = advance(training, start(training), jnp.asarray(3, jnp.int32))
        return outputs_of(training, state.params)

    assert_lowers(outputs, arrays)
