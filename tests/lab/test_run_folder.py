"""Run folders: whole or absent, reused, resumed, refused."""

import json

import numpy as np
import pytest

from ntk_air._base import files
from ntk_air.lab import provenance
from ntk_air.lab.run_folder import RunDescription, RunFolder, RunFolderError

CONFIG = {"n_train": 10, "rates": (0.1, 0.2)}


def open_run(path, *, experiment="demo", config=CONFIG, data="abc", **options):
    command = ("experiments/demo.py", "--out", "a folder")
    return RunFolder(path, RunDescription(experiment, config, data, command), **options)


def finish(run, value=1.0):
    run.save({"value": value}, {"curve": np.arange(3.0)})
    run.finish(precision="float64", seeds=[0])


def test_a_finished_run_is_complete_and_readable(tmp_path):
    run = open_run(tmp_path / "run")
    assert not run.is_complete
    finish(run)
    again = open_run(tmp_path / "run")
    assert again.is_complete
    assert again.results == {"value": 1.0}
    np.testing.assert_array_equal(again.arrays["curve"], [0.0, 1.0, 2.0])


def test_the_manifest_says_where_numbers_came_from(tmp_path):
    finish(open_run(tmp_path / "run"))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["config"] == {"n_train": 10, "rates": [0.1, 0.2]}
    assert manifest["command"] == "experiments/demo.py --out 'a folder'"
    assert manifest["data_sha256"] == "abc"
    assert manifest["status"] == "complete"
    assert manifest["seeds"] == [0]
    assert manifest["versions"]["jax"] and manifest["versions"]["neural-tangents"]
    assert manifest["peak_memory_bytes"] > 10_000_000
    assert manifest["device"]["jax_enable_x64"] is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": CONFIG | {"n_train": 11}}, "n_train: 10 there, 11 asked for"),
        ({"data": "other"}, "data_sha256: 'abc' there, 'other' asked for"),
        ({"experiment": "other"}, "holds a run of 'demo'"),
    ],
)
def test_another_run_in_the_same_folder_is_refused(tmp_path, change, message):
    finish(open_run(tmp_path / "run"))
    with pytest.raises(RunFolderError, match=message):
        open_run(tmp_path / "run", **change)
    assert open_run(tmp_path / "run").results == {"value": 1.0}


def written_by_0_1(folder, **changes):
    """A run folder as ntk_air 0.1 left it: one that was interrupted, or finished."""
    manifest = {
        "experiment": "demo",
        "status": "running",
        "config": {"n_train": 10, "rates": [0.1, 0.2]},
        "data_sha256": "abc",
        "command": "experiments/demo.py",
        "started_at": "2025-01-01T00:00:00+00:00",
        "package": {"version": "0.1.0", "git_commit": "a" * 40, "git_dirty": False},
        "versions": {"jax": "0.10.1"},
    } | changes
    (folder / ".stages").mkdir(parents=True)
    np.savez(folder / ".stages" / "first.npz", x=np.zeros(1))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "results.json").write_text('{"value": 1.0}')


def test_an_interrupted_run_of_0_1_begins_anew(tmp_path):
    written_by_0_1(tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert run.stage("first", lambda: {"x": np.ones(1)})["x"] == 1.0
    finish(run, 2.0)
    assert open_run(tmp_path / "run").results == {"value": 2.0}


def test_a_finished_run_of_0_1_opens_and_says_so(tmp_path):
    written_by_0_1(tmp_path / "run", status="complete")
    run = open_run(tmp_path / "run")
    assert run.is_complete and run.made_by_other_code
    assert run.results == {"value": 1.0}


def test_options_that_0_1_did_not_have_are_named(tmp_path, monkeypatch):
    source = {"version": "0.2.0", "git_commit": None, "git_dirty": None}
    monkeypatch.setattr("ntk_air.lab.run_folder.source_state", lambda: source)
    written_by_0_1(tmp_path / "run", status="complete")
    message = r"a run, written by ntk_air 0\.1\.0, with another .*new: None there, 1 asked for"
    with pytest.raises(RunFolderError, match=message):
        open_run(tmp_path / "run", config=CONFIG | {"new": 1})


def test_force_replaces_a_run_but_never_another_experiment(tmp_path):
    finish(open_run(tmp_path / "run"))
    assert not open_run(tmp_path / "run", config={"n_train": 11}, force=True).is_complete
    with pytest.raises(RunFolderError, match="holds a run of"):
        open_run(tmp_path / "run", experiment="other", force=True)


def test_a_folder_of_foreign_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunFolderError, match="holds files of no run"):
        open_run(tmp_path, force=True)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_an_interrupted_run_keeps_its_finished_stages(tmp_path):
    computed = []

    def compute(value):
        computed.append(value)
        return {"x": np.full(2, value)}

    run = open_run(tmp_path / "run")
    run.stage("first", lambda: compute(1.0))
    with pytest.raises(KeyboardInterrupt):
        run.stage("second", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    resumed = open_run(tmp_path / "run")
    first = resumed.stage("first", lambda: compute(1.0))
    resumed.stage("second", lambda: compute(2.0))
    assert computed == [1.0, 2.0]
    np.testing.assert_array_equal(first["x"], [1.0, 1.0])
    (tmp_path / "run" / ".curve-a1b2c3d4.png").touch()  # of a write that was killed
    finish(resumed)
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    manifest = files.read_json(tmp_path / "run" / "manifest.json")
    assert manifest["resumed_stages"] == ["first"]
    assert not (tmp_path / "run" / ".stages").exists()


def test_stages_of_other_code_are_not_resumed(tmp_path, monkeypatch):
    run = open_run(tmp_path / "run")
    run.stage("first", lambda: {"x": np.zeros(1)})
    run.stage_path("second").write_text("half done")
    other = {"version": "9", "git_commit": "f" * 40, "git_dirty": False}
    monkeypatch.setattr("ntk_air.lab.run_folder.source_state", lambda: other)
    again = open_run(tmp_path / "run")
    stage = again.stage("first", lambda: {"x": np.ones(1)})
    assert not again.stage_path("second").exists()
    assert stage["x"] == 1.0


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "results.json"
    files.write_json(path, {"value": 1})
    with (
        pytest.raises(KeyboardInterrupt),
        files.replaced_atomically(path) as temporary,
    ):
        temporary.write_text('{"value":')
        raise KeyboardInterrupt
    assert files.read_json(path) == {"value": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_json_holds_no_nan_and_says_what_is_damaged(tmp_path):
    path = tmp_path / "results.json"
    files.write_json(path, {"a": np.float64("nan"), "b": np.array([1.0, np.inf]), "c": (1, 2)})
    assert files.read_json(path) == {"a": None, "b": [1.0, None], "c": [1, 2]}
    path.write_text("{")
    with pytest.raises(ValueError, match=r"results\.json is not valid JSON"):
        files.read_json(path)


def test_peak_memory_is_in_bytes():
    block = np.ones(30_000_000)
    assert provenance.peak_memory_bytes() > block.nbytes
