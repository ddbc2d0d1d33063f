"""Networks along their training: one run in pieces, and the motion of kernels by hand."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from ntk_air.dynamics.run.losses import CrossEntropy
from ntk_air.dynamics.supervision import plain_descent
from ntk_air.networks.models.dense import DenseNetwork
from ntk_air.networks.training.minibatches import Minibatches
from ntk_air.networks.training.network_problem import HeldOutInputs, NetworkProblem
from ntk_air.networks.training.optimisers import Adam
from ntk_air.networks.training.snapshots import kernel_motion, snapshots_along_training
from ntk_air.networks.training.train import train
from ntk_air.networks.training.train_checkpoints import Checkpoints
from ntk_air.problem import Labels
from tests.dynamics.reference import one_hot

RNG = np.random.default_rng(0)
X = RNG.standard_normal((10, 4))
LABELS = one_hot(RNG.integers(0, 3, 10), 3)
NETWORK = DenseNetwork((6,), n_out=3, parametrisation="standard")


@pytest.fixture(autouse=True)
def optax_promotes_types():
    # optax's Adam does, as test_noisy_comparison.py says.
    with jax.numpy_dtype_promotion("standard"):
        yield


PROBLEM = NetworkProblem(
    NETWORK.apply,
    NETWORK.init(jax.random.key(0), 4),
    X,
    Labels(LABELS),
    HeldOutInputs(X[:3], LABELS[:3]),
)
BATCHES = Minibatches(4, jax.random.key(1), reduction="mean", loss=CrossEntropy())


def along(epochs=(0, 1, 3), **options):
    method = dataclasses.replace(BATCHES, **options)
    return snapshots_along_training(PROBLEM, plain_descent(), epochs, Adam(0.05), method=method)


def test_snapshots_are_points_of_one_run():
    told = []
    found = along(progress=lambda *news: told.append(news))
    assert told == [("training", done, 3) for done in (1, 2, 3)]
    assert [snapshot.epoch for snapshot in found] == [0, 1, 3]
    assert found[0].params is PROBLEM.params
    assert found[0].trajectory is None
    # Ten inputs make two batches of four.
    for snapshot in found[1:]:
        run = train(PROBLEM, plain_descent(), [2 * snapshot.epoch], Adam(0.05), method=BATCHES)
        for one, other in zip(
            jax.tree.leaves(snapshot.params),
            jax.tree.leaves(run.final.resume.params),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
        assert snapshot.trajectory.times[-1] == run.times[-1]
        assert snapshot.trajectory.held_out.accuracy[-1] == run.held_out.accuracy[-1]


def test_the_motion_of_a_kernel_is_relative_and_blind_to_scale_where_it_says_so():
    start = X @ X.T
    other = start + np.diag(np.arange(10.0))
    motion = kernel_motion(other, start)
    assert motion.drift == pytest.approx(np.sqrt(285) / np.linalg.norm(start))
    cosine = np.trace(other @ start) / (np.linalg.norm(other) * np.linalg.norm(start))
    assert motion.turn == pytest.approx(1 - cosine)
    scaled = kernel_motion(3.0 * start, start)
    assert scaled.drift == pytest.approx(2.0)
    assert scaled.turn == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": ()}, r"epochs must be ascending whole numbers from 0 on; got \(\)"),
        ({"epochs": (2, 1)}, r"epochs must be ascending .* got \(2, 1\)"),
        ({"epochs": (-1, 1)}, r"epochs must be ascending .* got \(-1, 1\)"),
        ({"size": 11}, r"size must lie in 1 … 10, the training inputs; got 11"),
        ({"checkpoints": Checkpoints(Path("kept"))}, "method must begin at the start"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        along(**options)


def test_kernels_without_a_direction_are_refused():
    with pytest.raises(ValueError, match="start must be finite and not zero; its norm is 0"):
        kernel_motion(np.eye(3), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="theta must be finite and not zero; its norm is nan"):
        kernel_motion(np.full((3, 3), np.nan), np.eye(3))
