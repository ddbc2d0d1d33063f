"""Training against the kernel regime: a network linear in its parameters is its own kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.held_out import HeldOut
from ntk_air.dynamics.losses import CrossEntropy, SquareLoss
from ntk_air.dynamics.simulate import simulate
from ntk_air.networks.optimisers import Descent
from ntk_air.networks.training import HeldOutInputs, train

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
