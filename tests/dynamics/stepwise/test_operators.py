"""Self-distillation from operators that hold no matrix, interrupted and taken up again."""

from typing import Any

import jax
import numpy as np
import pytest

from ntk_air.dynamics import supervision as sv
from ntk_air.dynamics.stepwise.checkpoints import SimulationFile
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.operators.sharded import sharded_kernel
from ntk_air.kernels.tiles.recomputed import recomputed_kernel
from ntk_air.kernels.tiles.tiled import TileOptions, tiled_kernel
from ntk_air.problem import HeldOut
from tests.dynamics.runs import follow

N, N_TEST = 24, 4
TIMES = (0, 3, 12)


@pytest.fixture(scope="module")
def problem():
    """Inputs on the sphere, the dense kernel, labels of three classes, held-out rows."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((N + N_TEST, 6))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    classes = np.argmax(inputs[:, :3], axis=1)
    clean = np.eye(3)[classes] - 1 / 3
    noisy = clean[:N].copy()
    flipped = random.permutation(N)[:6]
    noisy[flipped] = np.roll(noisy[flipped], 1, axis=1)
    theta = np.asarray(DenseNTK(depth=2)(inputs))
    return inputs[:N], theta, clean, noisy


def run(kernel, problem, **of_the_method):
    _, theta, clean, noisy = problem
    return follow(
        kernel,
        noisy,
        sv.Supervision(sv.Hard(), sv.Power(1.5), sv.LastEpoch(4), warm_up=2),
        TIMES,
        method=Stepwise(**of_the_method),
        clean=clean[:N],
        held_out=HeldOut(theta[N:, :N], clean[N:]),
        store_at=(3, 12),
    )


def tiled(inputs, folder):
    options = TileOptions(largest_tile=9)
    return tiled_kernel(DenseNTK(depth=2), inputs, folder, options=options)


def recomputed(inputs, folder):
    return recomputed_kernel(DenseNTK(depth=2), inputs, largest_tile=9)


def sharded(inputs, folder):
    return sharded_kernel(DenseNTK(depth=2), inputs, largest_tile=9)


@pytest.fixture(scope="module")
def dense(problem):
    return run(problem[1][:N, :N], problem)


@pytest.mark.parametrize("build", [tiled, recomputed, sharded])
def test_operators_give_what_the_matrix_gives(build, problem, dense, tmp_path):
    got = run(build(problem[0], tmp_path / "tiles"), problem)
    np.testing.assert_allclose(got.final.predictions, dense.final.predictions, rtol=0, atol=1e-12)
    np.testing.assert_allclose(got.stored.train, dense.stored.train, rtol=0, atol=1e-12)
    for name, curve in got.curves().items():
        np.testing.assert_allclose(curve, dense.curves()[name], rtol=1e-9, atol=1e-12, err_msg=name)


class InterruptedRunError(Exception):
    """Stands for a kill."""


def test_a_run_interrupted_between_records_ends_in_the_same_bits(problem, tmp_path):
    operator = tiled(problem[0], tmp_path / "tiles")
    wanted = run(operator, problem)
    file = SimulationFile(tmp_path / "state" / "run.npz", belongs_to="this run")
    assert file.load() is None
    steps = []

    def save_and_stop(trajectory):
        file.save(trajectory)
        steps.append(int(trajectory.final.resume.step))
        if len(steps) % 2:
            raise InterruptedRunError

    for _ in range(20):
        try:
            resume = file.load()
            got = run(
                operator, problem, resume=resume, checkpoint=save_and_stop, checkpoint_every=2
            )
            break
        except InterruptedRunError:
            continue
    assert len(steps) >= 6
    assert set(steps) > {5, 7}  # between records
    np.testing.assert_array_equal(got.times, wanted.times)
    for name, curve in got.curves().items():
        np.testing.assert_array_equal(curve, wanted.curves()[name], err_msg=name)
    np.testing.assert_array_equal(got.stored.train, wanted.stored.train)
    np.testing.assert_array_equal(got.stored.held_out, wanted.stored.held_out)
    for name in ("predictions", "dual", "held_out_predictions"):
        np.testing.assert_array_equal(getattr(got.final, name), getattr(wanted.final, name))


def test_a_file_of_another_run_is_refused(problem, dense, tmp_path):
    path = tmp_path / "run.npz"
    SimulationFile(path, belongs_to="this run").save(dense)
    with pytest.raises(ValueError, match=r"checkpoint must be of this very run, 'that run'; .*"):
        SimulationFile(path, belongs_to="that run").load()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(
        ValueError, match=r"run\.npz is damaged.*no checkpoint of a simulation; remove it"
    ):
        SimulationFile(path, belongs_to="this run").load()


def test_a_file_made_with_another_jax_is_refused_and_kept(dense, tmp_path, monkeypatch):
    file = SimulationFile(tmp_path / "run.npz", belongs_to="this run")
    file.save(dense)
    assert file.load().notes == ("restored from a checkpoint",)
    monkeypatch.setattr("ntk_air.dynamics.stepwise.checkpoints.computed_with", lambda: "jax 99")
    with pytest.raises(ValueError, match=r"must be made with jax 99; .* was begun with jax 0\."):
        file.load()
    assert file.path.exists()


OF_0_1 = {
    "state": ("step", "outputs", "dual", "velocity", "remembered", "status"),
    "train": (
        *("rms_distance", "zero_one_error", "margin_min", "margin_mean", "memorised_share"),
        *("noise_share", "training_loss", "residual_norm", "parameter_distance"),
    ),
    "held_out": ("accuracy", "rms_distance"),
    "stored": ("times", "train", "held_out"),
}
"""The arrays of a file that ntk_air 0.1 wrote."""


def written_by_0_1(path, trajectory):
    parts = {
        "state": trajectory.final.resume,
        "train": trajectory.train,
        "held_out": trajectory.held_out,
        "stored": trajectory.stored,
    }
    arrays: dict[str, Any] = {
        f"{part}.{name}": np.asarray(getattr(parts[part], name))
        for part, names in OF_0_1.items()
        for name in names
    }
    arrays["times"], arrays["learning_rate"] = trajectory.times, trajectory.learning_rate
    arrays["words"] = np.array(["this run", trajectory.rule])
    np.savez(path, **arrays)
    return arrays


def test_a_file_written_by_0_1_opens(dense, tmp_path):
    written_by_0_1(tmp_path / "run.npz", dense)
    found = SimulationFile(tmp_path / "run.npz", belongs_to="this run").load()
    assert found.rule == dense.rule
    assert found.notes == ("restored from a checkpoint that names no JAX version",)
    wanted = (dense.final.resume, dense.train, dense.held_out, dense.stored)
    got = (found.final.resume, found.train, found.held_out, found.stored)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("change", ["renamed", "missing"])
def test_a_file_of_other_arrays_is_refused_with_the_reason(dense, tmp_path, change):
    arrays = written_by_0_1(tmp_path / "run.npz", dense)
    outputs = arrays.pop("state.outputs")
    if change == "renamed":
        arrays["state.predictions"] = outputs
    np.savez(tmp_path / "run.npz", **arrays)
    with pytest.raises(ValueError, match=r"another release of ntk_air, such as 0\.1: it holds a"):
        SimulationFile(tmp_path / "run.npz", belongs_to="this run").load()
