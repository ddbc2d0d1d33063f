"""Every experiment runs as a user runs it: in a small version, twice, and with bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))


def run(name, *arguments, **environment):
    command = [sys.executable, str(ROOT / "experiments" / f"{name}.py"), *map(str, arguments)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path} | environment,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module", params=EXPERIMENTS)
def smoke(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "run"
    done = run(request.param, "--smoke", "--out", folder)
    assert done.returncode == 0, done.stderr
    return request.param, folder, done


def test_there_are_experiments():
    assert "eigen_spectrum" in EXPERIMENTS


def test_a_run_leaves_manifest_results_arrays_and_figures(smoke):
    name, folder, done = smoke
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["experiment"] == name
    assert json.loads((folder / "results.json").read_text())
    assert (folder / "arrays.npz").stat().st_size > 0
    pictures = sorted(path.stem for path in folder.glob("*.png"))
    assert pictures
    assert pictures == sorted(path.stem for path in folder.glob("*.pdf"))
    assert all(path.stat().st_size > 5_000 for path in folder.glob("*.png"))
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert f"saved in {folder}" in done.stdout


def test_a_second_call_reuses_the_run(smoke):
    name, folder, done = smoke
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = run(name, "--smoke", "--out", folder)
    assert again.returncode == 0, again.stderr
    assert "reused, computed before" in again.stdout
    assert done.stdout in again.stdout
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_another_configuration_is_refused(smoke):
    name, folder, _ = smoke
    other = run(name, "--smoke", "--seed", 7, "--out", folder)
    assert other.returncode == 2
    assert "error: " in other.stderr
    assert "seed" in other.stderr
    assert "--force" in other.stderr
