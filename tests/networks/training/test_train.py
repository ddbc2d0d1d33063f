"""Training against the kernel regime: a network linear in its parameters is its own kernel."""

import importlib.util

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.run.losses import CrossEntropy, SquareLoss
from ntk_air.dynamics.stepwise.simulate import simulate
from ntk_air.networks.training.checkpoints import Checkpoints
from ntk_air.networks.training.optimisers import Adam, Descent, OptaxOptimiser
from ntk_air.networks.training.stepping import TrainingProblem, advance, outputs_of, start
from ntk_air.networks.training.supervised import SupervisedRule
from ntk_air.networks.training.train import HeldOutInputs, train
from ntk_air.problem import HeldOut
from tests.helpers.lowering import assert_lowers

N_TRAIN, N_TEST, N_FEATURES, N_OUT = 12, 5, 15, 3
TIMES = [0, 1, 5, 12]


def linear(params, x):
    return x @ params


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    inputs, test_inputs = (rng.normal(size=(n, N_FEATURES)) for n in (N_TRAIN, N_TEST))
    coding = np.eye(N_OUT) - 1 / N_OUT
    noisy, clean = (coding[rng.integers(0, N_OUT, N_TRAIN)] for _ in range(2))
    return {
        "params": rng.normal(size=(N_FEATURES, N_OUT)),
        "inputs": inputs,
        "noisy": noisy,
        "clean": clean,
        "test_inputs": test_inputs,
        "test_targets": coding[rng.integers(0, N_OUT, N_TEST)],
    }


TEACHERS = {
    "current": sv.CurrentStep(),
    "last_epoch": sv.LastEpoch(4),
    "restart": sv.Restart(4),
    "average": sv.ExponentialMovingAverage(0.7),
    "pretrained": sv.Pretrained(np.random.default_rng(1).normal(size=(N_TRAIN, N_OUT))),
}


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("subtract_initial", [True, False])
def test_a_linear_network_follows_its_kernel(problem, teacher, subtract_initial):
    supervision = sv.Supervision(
        sv.Sharpened(0.4), sv.Power(1.5, scale=3), TEACHERS[teacher], warm_up=2
    )
    inputs, test_inputs, params = (problem[k] for k in ("inputs", "test_inputs", "params"))
    kernel, cross = inputs @ inputs.T, test_inputs @ inputs.T
    rate = 1 / np.linalg.eigvalsh(kernel)[-1]
    common = {"times": TIMES, "clean": problem["clean"], "store_at": TIMES}
    loss = CrossEntropy() if teacher == "current" else SquareLoss()
    network = train(
        linear,
        params,
        inputs,
        problem["noisy"],
        supervision,
        Descent(rate, momentum=0.3),
        loss=loss,
        subtract_initial=subtract_initial,
        held_out=HeldOutInputs(test_inputs, problem["test_targets"]),
        **common,
    )
    start, test_start = (
        0 * x @ params if subtract_initial else x @ params for x in (inputs, test_inputs)
    )
    in_kernel = simulate(
        kernel,
        problem["noisy"],
        supervision,
        learning_rate=rate,
        momentum=0.3,
        loss=loss,
        initial=start,
        held_out=HeldOut(cross, problem["test_targets"], initial=test_start),
        **common,
    )
    np.testing.assert_allclose(network.stored.train, in_kernel.stored.train, rtol=1e-10)
    np.testing.assert_allclose(network.stored.held_out, in_kernel.stored.held_out, rtol=1e-10)
    for name, curve in in_kernel.curves().items():
        np.testing.assert_allclose(network.curves()[name], curve, atol=1e-10, err_msg=name)
    assert jnp.isfinite(network.final.resume.params).all()
    assert jax.tree.structure(network.final.resume.params) == jax.tree.structure(params)


LABELS_OF_MINIBATCHES = sv.Sharpened(0.4)


def minibatches(problem, **changes):
    """A run of minibatches of 5 of 12 examples: two steps in a pass, two examples left out."""
    options = {
        "apply_fn": linear,
        "params": problem["params"],
        "inputs": problem["inputs"],
        "noisy": problem["noisy"],
        "rule": sv.Supervision(
            LABELS_OF_MINIBATCHES, sv.Power(1.5, scale=3), sv.ExponentialMovingAverage(0.7)
        ),
        "optimiser": Descent(0.01),
        "times": TIMES,
        "batch_size": 5,
        "reduction": "mean",
        "key": jax.random.key(3),
        "clean": problem["clean"],
        "held_out": HeldOutInputs(problem["test_inputs"], problem["test_targets"]),
        "store_at": TIMES,
    } | changes
    names = ("apply_fn", "params", "inputs", "noisy", "rule", "optimiser")
    first = [options.pop(name) for name in names]
    return train(*first, **options)


def by_hand(problem, orders):
    """The same run in NumPy: the average moves where an example is visited."""
    weights, inputs, noisy = (problem[name].copy() for name in ("params", "inputs", "noisy"))
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


def test_minibatches_follow_their_equations_with_a_memory_of_each_example(problem):
    run = minibatches(problem)
    key = jax.random.split(jax.random.key(3))[0]
    orders = [
        np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), N_TRAIN))
        for epoch in range(6)
    ]
    np.testing.assert_allclose(run.stored.train, by_hand(problem, orders), rtol=1e-10)


class CutShort(Exception):  # noqa: N818 – an interruption
    pass


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("every", [None, 2])
def test_an_interrupted_run_goes_on_to_the_same_bits(problem, tmp_path, every):
    whole = minibatches(problem, optimiser=Adam(0.01))
    kept = Checkpoints(tmp_path / "kept", every)

    def cut(what, done, total):
        if done >= 5:
            raise CutShort

    with pytest.raises(CutShort):
        minibatches(problem, optimiser=Adam(0.01), checkpoints=kept, progress=cut)
    seen = []
    resumed = minibatches(
        problem,
        optimiser=Adam(0.01),
        checkpoints=kept,
        progress=lambda what, done, total: seen.append(done),
    )
    assert seen[0] == 5
    again = minibatches(problem, optimiser=Adam(0.01), checkpoints=kept)
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
        minibatches(problem, optimiser=Adam(0.02), checkpoints=kept)


def test_a_trajectory_goes_on_where_it_ended(problem):
    whole = minibatches(problem)
    half = minibatches(problem, times=TIMES[:3], store_at=TIMES[:3])
    resumed = minibatches(problem, resume=half)
    np.testing.assert_array_equal(resumed.stored.train, whole.stored.train)
    np.testing.assert_array_equal(resumed.times, whole.times)
    with pytest.raises(ValueError, match="times must reach beyond step 12"):
        minibatches(problem, resume=whole)


def test_a_run_that_diverges_says_so_and_keeps_its_last_good_step(problem):
    run = minibatches(problem, optimiser=Descent(1e100))
    assert "not finite: the run diverged" in run.notes[-1]
    assert run.times[-1] < 12
    assert np.isfinite(run.final.predictions).all()


def test_any_optax_transformation_and_schedule(problem):
    rate = optax.linear_schedule(0.02, 0.0, 12)
    ours = minibatches(problem, optimiser=Descent(rate))
    theirs = OptaxOptimiser(optax.sgd(rate), name="optax's descent", learning_rate=0.02)
    run = minibatches(problem, optimiser=theirs)
    np.testing.assert_allclose(run.stored.train, ours.stored.train, rtol=1e-12)
    assert run.rule.startswith("SquareLoss, optax's descent")
    assert ours.learning_rate == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 13}, r"batch_size must lie in 1 … 12, the training inputs; got 13"),
        ({"key": None}, "key must be given"),
        (
            {"noisy": np.zeros((12, 2)), "clean": None, "held_out": None},
            r"noisy's shape \(12, 2\); got \(12, 3\)",
        ),
        ({"clean": np.full((12, 3), np.nan)}, "clean must be finite"),
        ({"params": {}}, "params must be a pytree of floating-point arrays; got none"),
        ({"evaluation_rows": 0}, "evaluation_rows"),
        ({"times": [3, 1]}, "times must be ascending"),
    ],
)
def test_bad_input_is_refused(problem, changes, message):
    with pytest.raises(ValueError, match=message):
        minibatches(problem, **changes)


@pytest.mark.parametrize("kind", [Descent, Adam])
def test_rates_are_checked(kind):
    with pytest.raises(ValueError, match="learning_rate must"):
        kind(0.0)


def test_checkpoints_without_orbax_name_the_extra_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "ntk-air\[checkpoints\]"'):
        Checkpoints(tmp_path)


def test_checkpoints_are_checked(problem, tmp_path):
    with pytest.raises(ValueError, match="every must"):
        Checkpoints(tmp_path, 0)
    with pytest.raises(ValueError, match="resume must be left out"):
        half = minibatches(problem, times=TIMES[:2], store_at=())
        minibatches(problem, resume=half, checkpoints=Checkpoints(tmp_path))


def test_training_lowers_for_accelerators(problem):
    training = TrainingProblem(
        apply_fn=linear,
        params=jnp.asarray(problem["params"]),
        inputs=jnp.asarray(problem["inputs"]),
        noisy=jnp.asarray(problem["noisy"]),
        initial=None,
        rule=SupervisedRule(sv.plain_descent(), SquareLoss()),
        optimiser=Descent(0.1),
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
