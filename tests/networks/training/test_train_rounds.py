"""Rounds of a network against the exact rounds of its kernel, which is a linear network's own."""

import jax
import numpy as np
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.supervision import Rounds
from ntk_air.networks.training.train_rounds import FINISH_RECORDS, FlowTimeSchedule, train_rounds
from ntk_air.problem import HeldOut, Labels, Problem
from ntk_air.spectrum.decomposition import decompose
from tests.networks.training.linear_network import (
    CLEAN,
    CROSS_KERNEL,
    KERNEL,
    LARGEST,
    N_OUT,
    NOISY,
    PROBLEM,
    TEST_TARGETS,
)

WARM_UP, LENGTH, N_ROUNDS = 300, 600, 2
SLOWNESS = 0.02
"""η·λ₁: steps so small that discrete descent is the flow, whatever the rates on the way."""


def rounds_of(teacher=None, finish=None):
    supervision = sv.Supervision(
        sv.Sharpened(0.4), sv.Constant(0.5), teacher or sv.Restart(LENGTH), warm_up=WARM_UP
    )
    return Rounds(supervision, N_ROUNDS, finish)


def walk(rounds, schedule=None, largest_eigenvalue=LARGEST / SLOWNESS):
    schedule = FlowTimeSchedule(None) if schedule is None else schedule
    return train_rounds(
        PROBLEM, rounds, schedule, largest_eigenvalue=largest_eigenvalue, key=jax.random.key(0)
    )


def pace(momentum=0.0):
    return FlowTimeSchedule(None, momentum=momentum, least_passes=LENGTH)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_linear_network_follows_the_rounds_of_its_kernel(momentum):
    held_out = HeldOut(CROSS_KERNEL, TEST_TARGETS)
    in_kernel = solve(
        Problem(Labels(NOISY, CLEAN), spectrum=decompose(KERNEL), held_out=held_out),
        rounds_of(),
        descent=Descent(SLOWNESS / LARGEST),
    )
    run = walk(rounds_of(), pace(momentum))
    times = WARM_UP + LENGTH * np.arange(N_ROUNDS + 1)
    np.testing.assert_allclose(run.trajectory.times, times)
    np.testing.assert_array_equal(run.passes, LENGTH * np.arange(1, N_ROUNDS + 2))
    difference = run.trajectory.final.predictions - in_kernel.final.predictions
    assert np.abs(difference).max() < SLOWNESS / 4
    for name in ("rms_distance", "zero_one_error"):
        walked, exact = (getattr(t.train, name) for t in (run.trajectory, in_kernel))
        np.testing.assert_allclose(walked, exact, atol=SLOWNESS / 4, err_msg=name)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("time", [3.0, 1000.0])
def test_rates_add_up_to_the_time_that_is_walked(time, momentum):
    schedule = FlowTimeSchedule(50, momentum=momentum, least_passes=1)
    steps = schedule.n_steps(time, n_train=200)
    descent = schedule.optimiser(time, 200, largest_eigenvalue=7.0)
    rates = np.asarray(jax.vmap(descent.rate)(np.arange(steps)), np.float64)
    assert (np.diff(rates) < 0).all()
    assert rates.sum() / (1 - momentum) == pytest.approx(time / 7, rel=1e-5)


def test_the_finish_learns_the_last_labels_alone():
    """From the labels of the round before it, in four epochs, recorded by passes."""
    before = walk(rounds_of(), pace()).trajectory.final.predictions
    run = walk(rounds_of(finish=sv.Sharpened(0.2)), pace())
    logits = np.asarray(before) / 0.2
    labels = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - 1 / N_OUT
    values, basis = np.linalg.eigh(KERNEL)
    reach = 1 - np.exp(-values * SLOWNESS / LARGEST * 4 * LENGTH)
    expected = basis @ (reach[:, None] * (basis.T @ labels))
    np.testing.assert_allclose(run.trajectory.final.predictions, expected, atol=SLOWNESS / 4)
    ends = (N_ROUNDS + 1) * LENGTH + 4 * LENGTH - np.arange(FINISH_RECORDS)[::-1]
    np.testing.assert_array_equal(run.passes[N_ROUNDS + 1 :], ends)


@pytest.mark.parametrize(
    ("rounds", "options", "message"),
    [
        (rounds_of(sv.LastEpoch(LENGTH)), {}, "must restart their students; got .* LastEpoch"),
        (rounds_of(), {"largest_eigenvalue": 0.0}, "largest_eigenvalue must be .* got 0"),
        (
            rounds_of(),
            {"largest_eigenvalue": 1e-9},
            "training in rounds ended in stretch 0 of 3",
        ),
    ],
)
def test_what_cannot_be_walked_is_refused(rounds, options, message):
    with pytest.raises(ValueError, match=message):
        walk(rounds, **options)


def test_bad_schedules_are_refused():
    with pytest.raises(ValueError, match=r"least_passes must be .* got 0"):
        FlowTimeSchedule(least_passes=0)
    with pytest.raises(ValueError, match="momentum must lie below 1"):
        FlowTimeSchedule(momentum=1.0)
    with pytest.raises(ValueError, match=r"finish_epochs must be .* got -1"):
        FlowTimeSchedule(finish_epochs=-1.0)
