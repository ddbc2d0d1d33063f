"""Jobs: what they refuse before they start, what they estimate, and the operators they make."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from ntk_air._base.memory import MemoryBudgetError
from ntk_air.data import SymmetricNoise, load_dataset
from ntk_air.dynamics.supervision import Hard, Power, Supervision
from ntk_air.kernels.empirical import EmpiricalNTK
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.tiles.tile_folder import DiskSpaceError
from ntk_air.lab.catalogue import load_experiment
from ntk_air.lab.jobs.estimate import describe, estimate, memory_shares, require_fit
from ntk_air.lab.jobs.job import Job, label_matrices
from ntk_air.lab.jobs.run import JobRun
from ntk_air.lab.measuring import StageMeter, resident_bytes
from ntk_air.lab.run_folder import RunDescription, RunFolder
from ntk_air.networks.models.dense import DenseNetwork
from tests.helpers.type_checks import without_type_checks

N = 40


@pytest.fixture(scope="module")
def dataset():
    clean = load_dataset("digits", n_train=N, n_test=0, seed=0).normalised()
    return clean.with_label_noise(SymmetricNoise(0.4), seed=0)


def a_job(dataset, folder, **changes):
    options = {
        "kernel": DenseNTK(),
        "inputs": dataset.inputs,
        "labels": label_matrices(dataset),
        "operator": "tiled",
        "n_products": 4,
        "top_k": 3,
        "block": 2,
        "max_memory_bytes": resident_bytes() + 2**30,
        "tiles": folder / "tiles",
    }
    return Job(**(options | changes))


@pytest.mark.parametrize("operator", ["dense", "tiled", "matrix-free", "sharded"])
def test_every_kind_of_operator_is_the_same_matrix(operator, dataset, tmp_path):
    job = a_job(dataset, tmp_path, operator=operator)
    built = job.build(max_memory_bytes=2**28)
    matrix = np.asarray(DenseNTK()(dataset.inputs))
    vectors = job.blocks["signal"]
    np.testing.assert_allclose(built.matvec(vectors), matrix @ vectors, rtol=1e-12, atol=1e-12)
    assert job.n_rows == N
    assert job.product_precision == built.dtype


def test_an_empirical_kernel_without_a_matrix_has_all_outputs(dataset, tmp_path):
    network = DenseNetwork((4,), n_out=10)
    kernel = EmpiricalNTK(network.apply, network.init(jax.random.key(0), 64))
    job = a_job(dataset, tmp_path, operator="matrix-free", kernel=kernel)
    assert job.n_rows == N * 10
    for name, matrix in label_matrices(dataset).items():
        np.testing.assert_array_equal(job.blocks[name][:, 0], matrix.reshape(-1))
    assert job.build(max_memory_bytes=2**28).shape == (N * 10, N * 10)


def test_products_of_all_outputs_that_do_not_fit_are_refused(dataset, tmp_path):
    network = DenseNetwork((100_000,), n_out=10)
    params = jax.eval_shape(lambda key: network.init(key, 64), jax.random.key(0))
    kernel = EmpiricalNTK(network.apply, jax.tree.map(lambda p: np.ones(p.shape), params))
    job = a_job(dataset, tmp_path, operator="matrix-free", kernel=kernel)
    job = dataclasses.replace(job, max_memory_bytes=resident_bytes() + 2**28 + 10**8)
    with pytest.raises(MemoryBudgetError, match=r"empirical NTK.* needs .*: raise --max-memory"):
        estimate(job)


def test_the_estimate_covers_every_stage(dataset, tmp_path):
    job = a_job(dataset, tmp_path)
    needs = estimate(job)
    assert list(needs) == ["kernel", "quadrature", "modes"]
    assert all(need.seconds > 0 for need in needs.values())
    assert all(resident_bytes() < n.peak_bytes <= job.max_memory_bytes for n in needs.values())
    assert needs["kernel"].disk_bytes == N * (N + 1) // 2 * 8
    assert list(tmp_path.iterdir()) == []  # the trial leaves nothing
    said = describe(needs, job)
    assert "quadrature" in said
    assert "on disk" in said


@pytest.mark.parametrize("operator", ["dense", "tiled"])
def test_operator_and_vectors_share_what_is_free(operator, dataset, tmp_path):
    job = a_job(dataset, tmp_path, operator=operator)
    operator_bytes, space_bytes = memory_shares(job, 2**30)
    assert 0 < operator_bytes <= 2**30
    assert space_bytes >= 2**29
    if operator == "tiled":
        assert operator_bytes + space_bytes == 2**30


@pytest.mark.parametrize(
    ("changes", "way_out"),
    [
        ({"operator": "dense"}, "'kernel' with dense kernel .*--operator tiled .*--max-memory"),
        ({"operator": "sharded"}, "'kernel' with sharded kernel .*use more devices"),
        ({"operator": "tiled"}, "'quadrature' with tiled kernel .*--n-products"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_option_that_would(
    changes, way_out, dataset, tmp_path
):
    # A matrix of 5,000 rows is 200 MB, and so is a basis of as many columns.
    n = 5_000
    labels = {name: np.resize(each, (n, 10)) for name, each in label_matrices(dataset).items()}
    options = {"inputs": np.zeros((n, 64)), "labels": labels, "n_products": 400}
    job = a_job(dataset, tmp_path, **options, **changes)
    resident = job.max_memory_bytes - 10**8 - 2**28
    with pytest.raises(MemoryBudgetError, match=way_out):
        require_fit(job, resident=resident)
    assert not job.tiles.exists()


def test_tiles_that_do_not_fit_on_their_disk_are_refused(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    job = a_job(dataset, tmp_path)
    with pytest.raises(DiskSpaceError, match=r"40 inputs need 6.41 KiB on disk.*--tiles.*--operat"):
        require_fit(job)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operator": "magic"}, "operator must be"),
        ({"n_products": 0}, "n_products must be"),
        ({"top_k": -1}, "top_k must be"),
        ({"top_k": N + 1}, "top_k must be at most 40, the rows; got 41"),
        ({"block": 0}, "block must be"),
    ],
)
def test_bad_options_are_refused(changes, message, dataset, tmp_path):
    with pytest.raises(ValueError, match=message), without_type_checks():
        a_job(dataset, tmp_path, **changes)


def test_clean_labels_are_refused(dataset):
    with pytest.raises(ValueError, match="noise must be above 0: AIR compares signal and noise"):
        label_matrices(dataset.without_label_noise())


def test_the_meter_sees_time_and_memory():
    meter = StageMeter()
    before = resident_bytes()
    with meter.stage("large"):
        np.ones(30_000_000).sum()  # 240 MB, gone at the end
    measured = meter.measured["large"]
    assert 0.01 < measured["seconds"] < 60
    assert 2e8 < measured["peak_bytes"] - before < 3e8


def test_an_interrupted_descent_goes_on_from_its_last_checkpoint(dataset, tmp_path):
    job = a_job(dataset, tmp_path, operator="dense")
    operator = job.build(max_memory_bytes=2**28)
    largest = float(np.linalg.eigvalsh(operator.matvec(np.eye(N)))[-1])
    taught = Supervision(Hard(), Power(1.5), warm_up=5)
    times = np.arange(0.0, 41.0, 4)

    def descend(run, progress):
        job_run = JobRun(job, run, operator_bytes=2**28, space_bytes=2**28, progress=progress)
        return job_run.descent(operator, taught, times=times, largest_eigenvalue=largest)

    whole = descend(run_folder(tmp_path / "whole"), lambda *done: None)
    seen = []

    def interrupt(name, done, total):
        seen.append(done)
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        descend(run_folder(tmp_path / "run"), interrupt)
    assert seen[0] == 0
    again = []
    resumed = descend(run_folder(tmp_path / "run"), lambda name, done, total: again.append(done))
    assert again[0] > 15
    for name, curve in whole.curves().items():
        np.testing.assert_array_equal(resumed.curves()[name], curve)


def run_folder(path):
    return RunFolder(path, RunDescription("demo", {}, "abc"))


def test_outputs_of_networks_are_no_labels_to_distil(tmp_path, capsys):
    options = ["--operator", "matrix-free", "--kernel", "empirical", "--out", str(tmp_path / "run")]
    experiment = load_experiment("full_dataset")
    with pytest.raises(SystemExit):
        experiment.main([*options, "--distill-steps", "3"], program="full_dataset.py")
    assert "distill_steps must be 0 for operator='matrix-free'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
