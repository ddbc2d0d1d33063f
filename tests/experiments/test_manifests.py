"""The committed figures' manifests: their commands still say what was run, and run to the numbers.

A command is run as it stands, but for where it writes. Numbers agree to 1e-8 of their size or to
1e-11: sums in another order round otherwise. What is a measured rounding error itself agrees in its
leading digits alone, and texts in the numbers that they name.
"""

import json
import math
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from ntk_air._base import files
from ntk_air.lab.catalogue import load_experiment
from tests.helpers.scripts import ROOT, Scripts

MANIFESTS = {
    str(path.parent.relative_to(ROOT)): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "figures").rglob("manifest.json"))
}
RUNS = {folder: manifest for folder, manifest in MANIFESTS.items() if "experiment" in manifest}
MEASURED_ROUNDING = {"rounding_allowance": 0.05, "bound_rms_at_step": 1e-4}


def commands(content):
    """Every command that is recorded in a manifest, however deep."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from [value] if key == "command" else commands(value)
    elif isinstance(content, list):
        for value in content:
            yield from commands(value)


def named_numbers(text):
    """But for a margin that a measured rounding error takes from."""
    return re.findall(r"[\d.]+", text.partition("by at least")[0])


def assert_agree(found, expected, name=""):
    """Whatever was saved is found again; more may be."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert_agree(found[key], value, f"{name}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), name
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_agree(one, other, f"{name}/{index}")
    elif isinstance(expected, str):
        assert named_numbers(found) == named_numbers(expected), name
    elif isinstance(expected, float):
        relative = MEASURED_ROUNDING.get(name.rpartition("/")[2], 1e-8)
        assert math.isclose(found, expected, rel_tol=relative, abs_tol=1e-11), name
    else:
        assert found == expected, name


def test_there_are_runs_of_all_experiments():
    scripts = {path.stem for path in (ROOT / "experiments").glob("*.py")}
    assert {manifest["experiment"] for manifest in RUNS.values()} == scripts


@pytest.mark.parametrize("folder", RUNS)
def test_a_command_asks_for_the_run_that_its_folder_holds(folder):
    manifest = RUNS[folder]
    script, *arguments = shlex.split(manifest["command"])
    name = manifest["experiment"]
    assert script == f"experiments/{name}.py"
    experiment = load_experiment(name)
    config = experiment.parse(arguments, program=script)
    assert config.run.out == Path(folder)
    # Options that have come since are as by default.
    by_default = files.jsonable(experiment.parse([], program=script).identity())
    saved = {
        part: by_default[part] | value if isinstance(value, dict) else value
        for part, value in manifest["config"].items()
    }
    assert files.jsonable(config.identity()) == by_default | saved


@pytest.fixture(scope="module")
def scripts():
    # Compiled as for a user: the tests' own options round otherwise.
    own = ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS")
    with Scripts({name: value for name, value in os.environ.items() if name not in own}) as process:
        yield process


@pytest.mark.slow
@pytest.mark.sweep  # CI runs one of these commands, the README's, besides
@pytest.mark.parametrize("name", ["convergence", "early_stopping", "eigen_spectrum"])
def test_a_command_still_gives_the_committed_numbers(name, scripts, tmp_path):
    manifest = RUNS[f"figures/{name}"]
    assert manifest["wall_time_seconds"] < 60
    script, *arguments = shlex.split(manifest["command"])
    arguments[arguments.index("--out") + 1] = str(tmp_path / "run")
    done = scripts.run(script, *arguments)
    assert done.returncode == 0, done.stderr
    found = files.read_json(tmp_path / "run" / "results.json")
    assert_agree(found, files.read_json(ROOT / "figures" / name / "results.json"))
    again = files.read_json(tmp_path / "run" / "manifest.json")
    assert again["config"] == manifest["config"]
    assert again["data_sha256"] == manifest["data_sha256"]


def test_disagreement_is_seen():
    saved = {"a": [1.0, {"b": "3 steps"}], "rounding_allowance": 1.0, "n": 3}
    assert_agree(saved | {"more": 1}, saved)
    assert_agree({**saved, "rounding_allowance": 1.01, "a": [1 + 1e-9, {"b": "3 times"}]}, saved)
    for other in (
        {"a": [1 + 1e-7, {"b": "3 steps"}]},
        {"a": [1.0, {"b": "4 steps"}]},
        {"a": [1.0]},
        {"n": 4},
        {"rounding_allowance": 1.1},
    ):
        with pytest.raises(AssertionError):
            assert_agree(saved | other, saved)


def benchmark_modules():
    """Those whose commands the manifests and the documents name."""
    texts = [path.read_text(encoding="utf-8") for path in ROOT.glob("docs/*.md")]
    texts += [(ROOT / "README.md").read_text(encoding="utf-8")]
    texts += list(commands(list(MANIFESTS.values())))
    return sorted(
        {name for text in texts for name in re.findall(r"python -m (benchmarks[\w.]*\w)", text)}
    )


def test_the_benchmarks_that_are_named_start():
    """In one process for all, for each is little but what they all import."""
    modules = benchmark_modules()
    assert {"benchmarks.empirical_ntk", "benchmarks.krylov.quadrature_width"} <= set(modules)
    code = f"""
import contextlib, io, runpy, sys
for name in {modules}:
    sys.argv, said = [name, "--help"], io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        runpy.run_module(name, run_name="__main__")
    assert "usage:" in said.getvalue(), name
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", [c for c in commands(list(MANIFESTS.values())) if "benchmarks" in c]
)
def test_a_command_of_a_benchmark_is_understood(command, monkeypatch):
    python, flag, module, *arguments = shlex.split(command)
    assert (python, flag) == ("python", "-m")
    asked = []

    def parse(config_type, **options):
        asked.append(tyro_cli(config_type, args=arguments, **options))
        raise SystemExit(0)

    tyro_cli = tyro.cli
    monkeypatch.setattr(tyro, "cli", parse)
    for imported in (module, f"{module}.__main__"):  # by another test
        monkeypatch.delitem(sys.modules, imported, raising=False)
    with pytest.raises(SystemExit):
        runpy.run_module(module, run_name="__main__")
    assert asked[0].out is not None
