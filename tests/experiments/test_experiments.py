"""Every experiment as a user runs it: in a small version, again, and with bad input.

The first call is the script's, all of them in one other process, one in a process of its own; where
neither adds anything, calls are made in this one.
"""

import json
import os
import subprocess
import sys

import pytest

from ntk_air.lab.catalogue import experiments, load_experiment
from ntk_air.lab.harness import report_of
from tests.helpers.scripts import ROOT, Scripts
from tests.helpers.sweeps import one_in

EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))

HEAVY = ("jax", "equinox", "scipy", "sklearn", "matplotlib", "optax", "rich")
"""What options and help do without."""


def start(*command):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        timeout=300,
        check=False,
    )


def run(name, *arguments):
    arguments = [str(argument) for argument in arguments]
    return load_experiment(name).main(arguments, program=f"experiments/{name}.py")


@pytest.fixture(scope="module")
def scripts():
    with Scripts(os.environ) as process:
        yield process


@pytest.fixture(scope="module", params=one_in(2, EXPERIMENTS))
def smoke(request, scripts, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "run"
    done = scripts.run(f"experiments/{request.param}.py", "--smoke", "--out", folder)
    assert done.returncode == 0, done.stderr
    return request.param, folder, done


def test_experiments_are_found_by_name():
    assert "eigen_spectrum" in EXPERIMENTS
    assert [name.replace("-", "_") for name in experiments()] == EXPERIMENTS
    assert all(len(says) > 30 for says in experiments().values())
    for name in EXPERIMENTS:
        assert load_experiment(name).name == name
    with pytest.raises(ValueError, match=r"one of 'architectures', .*; got 'nothing'"):
        load_experiment("nothing")


def test_an_experiment_without_a_report_is_refused():
    with pytest.raises(ValueError, match=r"there is no ntk_air\.lab\.report\.nothing"):
        report_of("nothing")


@pytest.mark.slow
def test_a_run_leaves_manifest_results_arrays_and_figures(smoke):
    name, folder, done = smoke
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["experiment"] == name
    assert manifest["command"] == f"experiments/{name}.py --smoke --out {folder}"
    assert manifest["device"]["jax_enable_x64"] is True
    assert json.loads((folder / "results.json").read_text())
    assert (folder / "arrays.npz").stat().st_size > 0
    pictures = sorted(path.stem for path in folder.glob("*.png"))
    assert pictures
    assert all(path.stat().st_size > 5_000 for path in folder.glob("*.png"))
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert f"saved in {folder}" in done.stdout


def test_a_second_call_reuses_the_run(smoke, capsys):
    name, folder, done = smoke
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run(name, "--smoke", "--out", folder) == 0
    again = capsys.readouterr().out
    assert "reused, computed before" in again
    assert done.stdout in again
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_another_configuration_is_refused(smoke, capsys):
    name, folder, _ = smoke
    assert run(name, "--smoke", "--seed", 7, "--out", folder) == 2
    said = capsys.readouterr().err
    assert "error: " in said
    assert "seed" in said
    assert "--force" in said


def test_help_needs_none_of_what_runs_need():
    """In one process for all: whatever a script imports before it knows what is asked is seen."""
    code = f"""
import contextlib, io, sys
from ntk_air.lab.catalogue import experiments, load_experiment
for name in experiments():
    said = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        load_experiment(name).main(["--help"], program=name)
    assert "--seeds" in said.getvalue() and "--n-train" in said.getvalue(), said.getvalue()
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = start("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_an_experiment_says_what_it_was_asked_for_wrongly():
    done = start(ROOT / "experiments" / "eigen_spectrum.py", "--noise", "1.5")
    assert done.returncode == 2
    assert "noise must lie in [0, 1]; got 1.5" in done.stderr
