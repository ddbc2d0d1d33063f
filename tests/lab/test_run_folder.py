"""Run folders: whole or absent, reused, resumed, refused."""

import json

import numpy as np
import pytest

from ntk_air._base import files
from ntk_air.lab import provenance
from ntk_air.lab.run_folder import RunDescription, RunFolder, RunFolderError, default_folder

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


def test_an_interrupted_run_of_0_1_is_kept_until_force_begins_anew(tmp_path):
    written_by_0_1(tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"begun elsewhere \(jax.* version 0\.1\.0 there"):
        open_run(tmp_path / "run")
    run = open_run(tmp_path / "run", force=True)
    assert run.stage("first", lambda: {"x": np.ones(1)})["x"] == 1.0
    finish(run, 2.0)
    assert open_run(tmp_path / "run").results == {"value": 2.0}


def test_a_finished_run_of_0_1_opens_and_says_so(tmp_path):
    written_by_0_1(tmp_path / "run", status="complete")
    run = open_run(tmp_path / "run")
    assert run.is_complete and "version 0.1.0 there" in "; ".join(run.made_elsewhere())
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


OTHER_CODE = {"version": "9", "git_commit": "f" * 40, "git_dirty": False}
OTHER_JAX = {"jax": "0.99", "jaxlib": "0.99"}


@pytest.mark.parametrize(
    ("elsewhere", "says"),
    [
        ({"source_state": OTHER_CODE}, "version .* there, 9 here"),
        ({"package_versions": OTHER_JAX}, r"jax .* there, 0\.99 here"),
    ],
)
def test_stages_of_other_code_or_another_jax_are_neither_mixed_nor_lost(
    elsewhere, says, tmp_path, monkeypatch
):
    run = open_run(tmp_path / "run")
    run.stage("first", lambda: {"x": np.zeros(1)})
    run.stage_path("second").write_text("half done")
    for name, value in elsewhere.items():
        monkeypatch.setattr(f"ntk_air.lab.run_folder.{name}", lambda value=value: value)
    with pytest.raises(RunFolderError, match=f"begun elsewhere .*{says}.*--force"):
        open_run(tmp_path / "run")
    assert run.stage_path("second").read_text() == "half done"
    again = open_run(tmp_path / "run", force=True)
    assert run.stage_path("second").exists()  # until something takes its place
    stage = again.stage("first", lambda: {"x": np.ones(1)})
    assert not again.stage_path("second").exists()
    assert stage["x"] == 1.0
    assert open_run(tmp_path / "run").stage("first", dict)["x"] == 1.0


def test_a_run_begun_elsewhere_that_finished_nothing_begins_anew_here(tmp_path, monkeypatch):
    open_run(tmp_path / "run").begin()
    monkeypatch.setattr("ntk_air.lab.run_folder.source_state", lambda: OTHER_CODE)
    finish(open_run(tmp_path / "run"))
    assert open_run(tmp_path / "run").made_elsewhere() == []


def test_a_run_that_is_refused_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="too large"), open_run(tmp_path / "a" / "b" / "run"):
        raise ValueError("too large")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_refused_leaves_what_force_would_have_replaced(tmp_path):
    finish(open_run(tmp_path / "run"))
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    other = {"config": {"n_train": 11}, "force": True}
    with pytest.raises(ValueError, match="too large"), open_run(tmp_path / "run", **other):
        raise ValueError("too large")
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_run_that_is_killed_at_once_can_be_begun_again(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    with open_run(tmp_path / "run") as run:
        finish(run)
    assert open_run(tmp_path / "run").is_complete
    assert not (tmp_path / "run" / ".lock").exists()


def test_two_processes_do_not_work_in_one_folder(tmp_path):
    with open_run(tmp_path / "run") as run:
        with (
            pytest.raises(RunFolderError, match="another process is at work"),
            open_run(tmp_path / "run", force=True),
        ):
            raise AssertionError("the folder was taken")
        finish(run)
    with open_run(tmp_path / "run", force=True) as run:  # and it is free again
        finish(run, 2.0)
    assert open_run(tmp_path / "run").results == {"value": 2.0}


def test_a_place_that_cannot_be_written_to_is_refused_before_work(tmp_path, other_user):
    (tmp_path / "kept").mkdir(mode=0o755)
    with other_user(), pytest.raises(PermissionError, match="out must be a place"):
        open_run(tmp_path / "kept" / "run")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"out must lie in a folder; .*file is a file"):
        open_run(tmp_path / "file" / "run")


def test_a_full_disk_loses_nothing_that_was_finished(small_disk):
    run = open_run(small_disk / "run")
    run.stage("first", lambda: {"x": np.ones(8)})
    with pytest.raises(OSError, match="No space left"):
        run.stage("second", lambda: {"x": np.random.default_rng(0).random(1 << 20)})
    again = open_run(small_disk / "run")
    np.testing.assert_array_equal(again.stage("first", dict)["x"], np.ones(8))
    assert [path.name for path in again.stage_path("").iterdir()] == ["first.npz"]


def test_a_clock_that_goes_back_is_said(tmp_path, monkeypatch):
    run = open_run(tmp_path / "run")
    run.save({"value": 1.0}, {"curve": np.arange(3.0)})
    monkeypatch.setattr("ntk_air.lab.run_folder._now", lambda: "1999-01-01T00:00:00+00:00")
    run.finish(precision="float64", seeds=[0])
    manifest = files.read_json(tmp_path / "run" / "manifest.json")
    assert manifest["clock_went_back"] is True
    assert manifest["wall_time_seconds"] >= 0


def test_peak_memory_is_in_bytes():
    block = np.ones(30_000_000)
    assert provenance.peak_memory_bytes() > block.nbytes


def test_runs_of_one_name_have_folders_of_their_own_and_find_them_again(tmp_path):
    named = tmp_path / "digits-dense"

    def folder(**config):
        return default_folder(named, RunDescription("demo", CONFIG | config, "abc"))

    assert folder() == named
    finish(open_run(folder()))
    assert folder() == named
    other = folder(seed=1)
    assert other.parent == tmp_path and other.name.startswith("digits-dense-")
    assert len(other.name) == len("digits-dense-") + 6
    assert folder(seed=2) not in (named, other)
    finish(open_run(other, config=CONFIG | {"seed": 1}), value=2.0)
    again = open_run(folder(seed=1), config=CONFIG | {"seed": 1})
    assert again.is_complete and again.results == {"value": 2.0}
    assert default_folder(named, RunDescription("demo", CONFIG, "other data")) != named
    assert folder(rates=[0.1, 0.2]) == named  # as JSON has it
