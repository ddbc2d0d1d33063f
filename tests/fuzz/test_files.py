"""Damaged files: what is read is what the file says, or the error names the file."""

import contextlib
import csv
import io
import json
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntk_air._base import files
from ntk_air.data import DatasetNotFoundError, load_dataset
from ntk_air.data.readers import cifar, cifar_human, idx
from ntk_air.data.readers.pickles import load_arrays
from ntk_air.data.readers.torch_files import load_tensors
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.checkpoints import SimulationFile
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import Hard, Power, Supervision
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.tiles.tiled import TileOptions, tiled_kernel
from ntk_air.lab.run_folder import RunDescription, RunFolder
from ntk_air.problem import Labels, Problem
from ntk_air.spectrum.krylov.checkpoint import Checkpoint
from tests.data.writers import (
    cifar_binary,
    cifar_images,
    cifar_labels,
    cifar_pickle,
    human_labels,
    idx_bytes,
    random_bytes,
    torch_file,
    write_human_pt,
)
from tests.fuzz.damage import damaged
from tests.fuzz.effort import FUZZ

INPUTS = np.random.default_rng(0).normal(size=(8, 3))
LABELS = np.arange(8) % 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def whole(write, folder):
    """What a writer writes to a path."""
    path = folder / "whole"
    write(path)
    return path.read_bytes()


def read(load, path):
    """What is read; ``None`` where the file is refused by its name."""
    refused = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load(path)
    except (ValueError, DatasetNotFoundError) as error:
        refused = str(error)
    assert path.name in refused or str(path.parent) in refused, refused
    return None


def write_npz(path):
    with path.open("wb") as file:
        np.savez(file, inputs=INPUTS, labels=LABELS)


def write_csv(path):
    rows = [f'{a:.3f},{b:.3f},"class {c}"' for (a, b, _), c in zip(INPUTS, LABELS, strict=True)]
    path.write_text("\n".join(["a,b,label", *rows]) + "\n")


@FUZZ
@given(data=st.data())
def test_a_damaged_npz_is_read_as_numpy_reads_it(folder, data):
    path = folder / "set.npz"
    path.write_bytes(data.draw(damaged(whole(write_npz, folder))))
    found = read(lambda path: load_dataset("npz", path=path, n_test=0), path)
    if found is not None:
        with np.load(path) as arrays:
            np.testing.assert_array_equal(found.inputs, arrays["inputs"])
            np.testing.assert_array_equal(
                np.asarray(found.class_names)[found.clean_labels], arrays["labels"].astype(str)
            )


@FUZZ
@given(data=st.data())
def test_a_damaged_csv_is_read_as_the_standard_library_reads_it(folder, data):
    path = folder / "set.csv"
    path.write_bytes(data.draw(damaged(whole(write_csv, folder))))
    found = read(
        lambda path: load_dataset("csv", path=path, label_column="label", standardise=False,
                                  n_test=0),
        path,
    )  # fmt: skip
    if found is not None:
        text = path.read_bytes().decode("utf-8-sig")
        names, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [row for row in rows if row]
        at = names.index("label")
        inputs = [[float(cell) for i, cell in enumerate(row) if i != at] for row in rows]
        np.testing.assert_array_equal(found.inputs, inputs)
        classes = [found.class_names[label] for label in found.clean_labels]
        assert classes == [row[at].strip() for row in rows]


@FUZZ
@given(data=st.data())
def test_a_damaged_idx_file_holds_the_bytes_that_are_there(folder, data):
    path = folder / "train-images-idx3-ubyte"
    images = random_bytes((3, 5, 4))
    path.write_bytes(data.draw(damaged(idx_bytes(images))))
    found = read(lambda path: idx.read_idx(path, 3), path)
    if found is not None:
        assert path.read_bytes()[16:] == found[0].tobytes()


@FUZZ
@given(data=st.data())
def test_damaged_pickles_of_images_are_read_or_refused(folder, data):
    content = data.draw(damaged(cifar_pickle(cifar_images(2), cifar_labels(2))))
    path = folder / "data_batch_1"

    def load(path):
        return cifar._parse_pickle(content, f"{path.parent} {path.name}")

    found = read(load, path)
    if found is not None:
        images, labels = found
        assert images.shape == (len(labels), 32, 32, 3)
        assert ((labels >= 0) & (labels < 10)).all()


@FUZZ
@given(data=st.data())
def test_damaged_binaries_of_images_hold_the_bytes_that_are_there(folder, data):
    content = data.draw(damaged(cifar_binary(cifar_images(2), cifar_labels(2))))
    found = read(lambda path: cifar._parse_binary(content, str(path)), folder / "data_batch_1.bin")
    if found is not None:
        images, labels = found
        assert cifar_binary(images, labels) == content


@FUZZ
@given(data=st.data())
def test_damaged_human_labels_are_read_or_refused(folder, data):
    path = folder / "CIFAR-10_human.pt"
    content = whole(lambda path: write_human_pt(path, human_labels(5)), folder)
    path.write_bytes(data.draw(damaged(content)))
    found = read(cifar_human.read_human_pt, path)
    if found is not None:
        assert all(((labels >= 0) & (labels < 10)).all() for labels in found.values())


@FUZZ
@given(content=st.binary(max_size=200))
def test_any_bytes_are_no_pickle_that_does_something(content):
    found = read(lambda path: load_arrays(content, str(path)), Path("these bytes"))
    assert found is None or isinstance(found, dict)


@FUZZ
@given(data=st.data())
def test_damaged_tensors_are_as_many_numbers_as_there_were_or_refused(data):
    whole = {"a": INPUTS.astype(np.float32), "b": np.asfortranarray(INPUTS, np.float32)}
    content = data.draw(damaged(torch_file(whole)))
    found = read(lambda path: load_tensors(content, str(path)), Path("these bytes"))
    if found is not None:
        assert all(array.size <= INPUTS.size for array in found.values())


@contextlib.contextmanager
def one_damaged(whole, data):
    """A copy of a folder of which one file is damaged, and that file."""
    kept = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    chosen = data.draw(st.sampled_from([path for path in kept if (whole / path).stat().st_size]))
    content = data.draw(damaged((whole / chosen).read_bytes()))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(whole, copy)
        (copy / chosen).write_bytes(content)
        yield copy, copy / chosen


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An interrupted and a finished run."""
    folders = {}
    for finished in (False, True):
        folders[finished] = path = tmp_path_factory.mktemp("run")
        run = RunFolder(path, RunDescription("demo", {"n": 3}, "abc"))
        run.stage("first", lambda: {"x": np.arange(4.0)})
        if finished:
            run.save({"value": 1.0}, {"curve": np.arange(3.0)})
            run.finish(precision="float64", seeds=[0])
    return folders


@FUZZ
@given(data=st.data(), finished=st.booleans())
def test_a_damaged_run_folder_is_reused_as_it_was_or_refused(runs, data, finished):
    with one_damaged(runs[finished], data) as (path, chosen):
        check_run(path, chosen, finished)


def check_run(path, chosen, finished):

    def load(_):
        again = RunFolder(path, RunDescription("demo", {"n": 3}, "abc"))
        if again.is_complete:
            return again.results, again.arrays
        return again.stage("first", lambda: {"x": np.arange(4.0)})

    found: Any = read(load, chosen)
    if found is not None and chosen.suffix == ".npz":
        arrays = found[1] if finished else found
        expected = {"curve": np.arange(3.0)} if finished else {"x": np.arange(4.0)}
        assert arrays.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(arrays[name], array)
    elif found is not None and chosen.name == "results.json":
        assert found[0] == json.loads(chosen.read_text())


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiles")
    tiled_kernel(DenseNTK(), INPUTS, path, options=TileOptions(largest_tile=4))
    return path


@FUZZ
@given(data=st.data())
def test_a_folder_with_a_damaged_tile_or_manifest_gives_the_kernel_or_is_refused(tiles, data):
    options = TileOptions(largest_tile=4)
    with one_damaged(tiles, data) as (path, chosen):
        found = read(lambda _: tiled_kernel(DenseNTK(), INPUTS, path, options=options), chosen)
        if found is None:
            return
        product = np.asarray(found.matvec(np.eye(8)))
        np.testing.assert_allclose(product, np.asarray(DenseNTK()(INPUTS)), rtol=1e-12, atol=1e-14)


START, RECORDS = np.ones((4, 1)), [{"x": np.full(3, float(number))} for number in range(3)]


@pytest.fixture(scope="module")
def krylov(tmp_path_factory):
    path = tmp_path_factory.mktemp("krylov")
    kept = Checkpoint(path, belongs_to="kernel")
    kept.open({"n": 4}, START)
    kept.begin(RECORDS[0])
    kept.append(RECORDS[1])
    kept.append(RECORDS[2])
    return path


@FUZZ
@given(data=st.data())
def test_a_damaged_record_of_a_krylov_space_is_done_again(krylov, data):
    with one_damaged(krylov, data) as (path, chosen):
        found = read(lambda _: Checkpoint(path, belongs_to="kernel").open({"n": 4}, START), chosen)
    for record, expected in zip(found or [], RECORDS, strict=False):
        assert record.keys() == {"x"}
        np.testing.assert_array_equal(record["x"], expected["x"])


@pytest.fixture(scope="module")
def simulation(folder):
    """The file of a simulation that has come half way."""
    path = folder / "simulation.npz"
    kernel = np.diag([1.0, 0.5, 0.1])
    labels = np.array([[1.0], [-1.0], [1.0]])
    taught = Supervision(Hard(), Power(1.5), warm_up=2)
    method = Stepwise(checkpoint=SimulationFile(path, "this run").save, checkpoint_every=2)
    problem = Problem(Labels(labels, labels), kernel).with_largest_eigenvalue(1.0)
    solve(problem, taught, [0, 2, 4], method, descent=Descent(0.5))
    return path.read_bytes(), SimulationFile(path, "this run").load()


@FUZZ
@given(data=st.data())
def test_a_damaged_simulation_goes_on_from_where_it_was_or_is_refused(
    folder, simulation: tuple, data
):
    content, expected = simulation
    path = folder / "damaged simulation.npz"
    path.write_bytes(data.draw(damaged(content)))
    found = read(lambda path: SimulationFile(path, "this run").load(), path)
    if found is not None:
        np.testing.assert_array_equal(found.times, expected.times)
        np.testing.assert_array_equal(found.final.predictions, expected.final.predictions)
        for name, curve in expected.curves().items():
            np.testing.assert_array_equal(found.curves()[name], curve)


@FUZZ
@given(data=st.data())
def test_damaged_json_is_an_object_or_refused(folder, data):
    path: Path = folder / "manifest.json"
    path.write_bytes(data.draw(damaged(b'{\n "status": "complete",\n "config": {"n": 3}\n}\n')))
    found = read(files.read_json, path)
    assert found is None or found == json.loads(path.read_bytes())
