"""Rounds of a network against the exact rounds of its kernel, which is a linear network's own."""

import jax
import numpy as np
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.rounds import Rounds, follow_rounds
from ntk_air.networks.training.rounds import FINISH_RECORDS, FlowTimeSchedule, train_rounds
from ntk_air.networks.training.train import HeldOutInputs
from ntk_air.problem import HeldOut
from ntk_air.spectrum.decomposition import decompose

N_TRAIN, N_TEST, N_FEATURES, N_OUT = 12, 5, 15, 3
WARM_UP, LENGTH, N_ROUNDS = 300, 600, 2
SLOWNESS = 0.02
"""η·λ₁: steps so small that discrete descent is the flow, whatever the rates on the way."""

KEY = jax.random.key(0)


def linear(params, x):
    return x @ params


def rounds_of(teacher=None, finish=None):
    supervision = sv.Supervision(
        sv.Sharpened(0.4), sv.Constant(0.5), teacher or sv.Restart(LENGTH), warm_up=WARM_UP
    )
    return Rounds(supervision, N_ROUNDS, finish)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    inputs, test_inputs = (rng.normal(size=(n, N_FEATURES)) for n in (N_TRAIN, N_TEST))
    coding = np.eye(N_OUT) - 1 / N_OUT
    noisy, clean, test = (coding[rng.integers(0, N_OUT, n)] for n in (N_TRAIN, N_TRAIN, N_TEST))
    return {
        "params": rng.normal(size=(N_FEATURES, N_OUT)),
        "inputs": inputs,
        "noisy": noisy,
        "clean": clean,
        "test_inputs": test_inputs,
        "test_targets": test,
        "largest": float(np.linalg.eigvalsh(inputs @ inputs.T)[-1]),
    }


def train_on(problem, rounds, **options):
    options = {"largest_eigenvalue": problem["largest"] / SLOWNESS, "key": KEY} | options
    network = (linear, problem["params"], problem["inputs"], problem["noisy"])
    return train_rounds(*network, rounds, **options)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_linear_network_follows_the_rounds_of_its_kernel(problem, momentum):
    inputs, test_inputs = problem["inputs"], problem["test_inputs"]
    in_kernel = follow_rounds(
        decompose(inputs @ inputs.T),
        problem["noisy"],
        rounds_of(),
        learning_rate=SLOWNESS / problem["largest"],
        clean=problem["clean"],
        held_out=HeldOut(test_inputs @ inputs.T, problem["test_targets"]),
    )
    run = train_on(
        problem,
        rounds_of(),
        schedule=FlowTimeSchedule(None, momentum=momentum, least_passes=LENGTH),
        clean=problem["clean"],
        held_out=HeldOutInputs(test_inputs, problem["test_targets"]),
    )
    times = WARM_UP + LENGTH * np.arange(N_ROUNDS + 1)
    np.testing.assert_allclose(run.trajectory.times, times)
    np.testing.assert_array_equal(run.passes, LENGTH * np.arange(1, N_ROUNDS + 2))
    difference = run.trajectory.final.predictions - in_kernel.final.predictions
    assert np.abs(difference).max() < SLOWNESS / 4
    for name in ("rms_distance", "zero_one_error"):
        walked, exact = (getattr(t.train, name) for t in (run.trajectory, in_kernel))
        np.testing.assert_allclose(walked, exact, atol=SLOWNESS / 4, err_msg=name)


def test_the_finish_learns_the_last_labels_alone(problem):
    """From the labels of the round before it, in four epochs, recorded by passes."""
    schedule = FlowTimeSchedule(None, momentum=0.0, least_passes=LENGTH)
    before = train_on(problem, rounds_of(), schedule=schedule).trajectory.final.predictions
    run = train_on(problem, rounds_of(finish=sv.Sharpened(0.2)), schedule=schedule)
    logits = np.asarray(before) / 0.2
    labels = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - 1 / N_OUT
    values, basis = np.linalg.eigh(problem["inputs"] @ problem["inputs"].T)
    reach = 1 - np.exp(-values * SLOWNESS / problem["largest"] * 4 * LENGTH)
    expected = basis @ (reach[:, None] * (basis.T @ labels))
    np.testing.assert_allclose(run.trajectory.final.predictions, expected, atol=SLOWNESS / 4)
    ends = (N_ROUNDS + 1) * LENGTH + 4 * LENGTH - np.arange(FINISH_RECORDS)[::-1]
    np.testing.assert_array_equal(run.passes[N_ROUNDS + 1 :], ends)


@pytest.mark.parametrize(
    ("rounds", "options", "message"),
    [
        (rounds_of(sv.LastEpoch(LENGTH)), {}, "must restart their students; got .* LastEpoch"),
        (rounds_of(), {"largest_eigenvalue": 0.0}, "largest_eigenvalue must be .* got 0"),
        (rounds_of(), {"finish_epochs": -1.0}, "finish_epochs must be .* got -1"),
        (
            rounds_of(),
            {"largest_eigenvalue": 1e-9, "schedule": FlowTimeSchedule(None)},
            "training in rounds ended in stretch 0 of 3",
        ),
    ],
)
def test_what_cannot_be_walked_is_refused(problem, rounds, options, message):
    with pytest.raises(ValueError, match=message):
        train_on(problem, rounds, **options)


def test_bad_paces_are_refused():
    with pytest.raises(ValueError, match=r"least_passes must be .* got 0"):
        FlowTimeSchedule(least_passes=0)
    with pytest.raises(ValueError, match="momentum must lie below 1"):
        FlowTimeSchedule(momentum=1.0)
