"""Kernels sharded over several devices of one process, and over several processes."""

import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.operators.sharded import AXIS, sharded_kernel
from tests.kernels.matrix_kernel import MatrixKernel, numbered

WORKER = Path(__file__).with_name("sharded_worker.py")
N, N_VECTORS = 37, 64


@pytest.fixture(scope="module")
def problem():
    """Inputs that no number of devices divides, vectors, and the matrix on one device."""
    random = np.random.default_rng(0)
    inputs, vectors = random.standard_normal((N, 3)), random.standard_normal((N, N_VECTORS))
    return inputs, vectors, np.asarray(DenseNTK()(inputs))


def results_of(folder, problem, *, n_devices=1, n_processes=1):
    """What each process saved, by devices and process."""
    inputs, vectors, _ = problem
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "vectors.npy", vectors)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = [
        subprocess.Popen(
            [sys.executable, WORKER, folder, *map(str, (n_devices, process, n_processes, port))],
            cwd=Path(__file__).parents[3],
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(n_processes)
    ]
    for worker in workers:
        _, said = worker.communicate(timeout=300)
        assert worker.returncode == 0, said
    return {path.stem: dict(np.load(path)) for path in folder.glob("devices*.npz")}


def assert_right(result, problem):
    _, vectors, matrix = problem
    scale = np.abs(matrix).max()
    np.testing.assert_allclose(result["dense"], matrix, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(result["diagonal"], np.diag(matrix), rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(result["product"], matrix @ vectors, rtol=0, atol=1e-12 * scale * N)


@pytest.mark.devices
def test_several_devices_of_one_process(tmp_path, problem):
    results = results_of(tmp_path, problem, n_devices=8)
    assert sorted(results) == [f"devices{size}_process0" for size in (1, 2, 4, 8)]
    for size in (1, 2, 4, 8):
        result = results[f"devices{size}_process0"]
        assert_right(result, problem)
        # Each device has its share of the rows, in whole tiles, and of the operations.
        share = -(-N // size)
        assert len(result["rows_held"]) == size
        assert (result["rows_held"] >= share).all()
        assert (result["rows_held"] < share + 5).all()
        expected = 2 * N * N_VECTORS * result["rows_held"][0]
        assert result["operations"] == pytest.approx(expected, rel=0.05)
    assert (
        results["devices8_process0"]["operations"] < results["devices1_process0"]["operations"] / 6
    )


@pytest.mark.devices
def test_several_processes(tmp_path, problem):
    n_processes = 3
    results = results_of(tmp_path, problem, n_processes=n_processes)
    assert len(results) == n_processes
    for result in results.values():
        assert_right(result, problem)
        assert len(result["rows_held"]) == 1  # its own rows and no others
        assert result["rows_held"][0] < -(-N // n_processes) + 5
        np.testing.assert_array_equal(
            result["product"], results[f"devices{n_processes}_process0"]["product"]
        )


def test_what_does_not_fit_on_a_device_is_refused_before_it_starts():
    kernel = MatrixKernel(np.eye(40))
    with pytest.raises(
        MemoryBudgetError, match=r"one of 1 devices.*more devices, or tiles on disk"
    ):
        sharded_kernel(kernel, numbered(kernel.matrix), max_memory_bytes=40 * 40 * 8)
    assert kernel.asked == []


def test_a_mesh_with_other_axes_is_refused():
    mesh = Mesh(np.asarray(jax.devices()[:1]).reshape(1, 1), (AXIS, "columns"))
    with pytest.raises(ValueError, match="mesh must have the one axis 'rows'; got"):
        sharded_kernel(DenseNTK(), np.ones((4, 2)), mesh=mesh)
