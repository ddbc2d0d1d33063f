"""The command ``ntk-air``: what it prints, writes and exits with."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ntk_air
from ntk_air import cli
from ntk_air.claims import Claim, Measurement, at_most
from ntk_air.lab.catalogue import load_experiment

CLAIMS = "ntk_air.lab.verification.command.all_claims"
ROOT = Path(__file__).parents[1]


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ntk-air", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code or 0


def test_verify_prints_a_table_and_writes_the_verdicts(monkeypatch, capsys, tmp_path):
    path = tmp_path / "verdicts.json"
    small = ("--n-train", 40, "--n-test", 8, "--dataset-option", "n_clusters=4", "spread=0.02")
    assert run(monkeypatch, "verify", *small, "--claims", "1e", "4a", "--json", path) == 0
    printed = capsys.readouterr().out
    assert "clusters: 40 inputs, 2 classes, 20% symmetric label noise" in printed
    assert printed.count("holds") == 2
    assert "2 claims, about 1 s" in printed
    assert printed.splitlines()[-1] == "2 of 2 hold"
    content = json.loads(path.read_text())
    assert [verdict["claim"] for verdict in content["verdicts"]] == ["1e", "4a"]
    for verdict in content["verdicts"]:
        assert verdict["error"] <= verdict["tolerance"] < verdict["control_error"]


def test_verify_lists_the_claims_without_work(monkeypatch, capsys):
    assert run(monkeypatch, "verify", "--list") == 0
    printed = capsys.readouterr().out
    assert "1a" in printed
    assert "6g" in printed


def test_verify_names_the_papers_of_a_theory(monkeypatch, capsys):
    assert run(monkeypatch, "verify", "--theory", "mobahi", "--list") == 0
    printed = capsys.readouterr().out
    assert "5c-rounds" in printed and "Mobahi et al. 2020" in printed and "5d" not in printed
    assert run(monkeypatch, "verify", "--theory", "mobahi", "--bibtex") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("@misc{mobahi2020,\n  author = {Mobahi, Hossein and ")
    assert printed.count("@") == 1 and "eprint = {2002.05715}" in printed
    assert run(monkeypatch, "verify", "--theory", "nobody") == 2
    assert "theory must be among jacot, lee, dong" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "control_error", "code"), [(0.0, 1.0, 0), (1.0, 1.0, 1), (0.0, 0.0, 1)]
)
def test_verify_exits_non_zero_where_a_claim_fails_or_a_control_does_not(
    monkeypatch, capsys, *, error, control_error, code
):
    claim = Claim(
        *("0", "statement", "source", "method", "control"),
        measure=lambda problem, error=error: Measurement(1.0, 1.0, error, 0.5),
        broken={"error": control_error},
    )
    monkeypatch.setattr(CLAIMS, lambda names, theories: [claim])
    assert run(monkeypatch, "verify", "--n-train", 16, "--n-test", 0) == code


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [(KeyboardInterrupt(), 130, "interrupted: "), (ValueError("too large"), 2, "error: too large")],
)
def test_verify_keeps_the_verdicts_that_it_has(error, code, says, *, monkeypatch, capsys, tmp_path):
    def measure(problem):
        raise error

    good = Claim(
        *("0a", "statement", "source", "method", "control"),
        measure=lambda problem, error=0.0: Measurement(1.0, 1.0, error, 0.5),
        broken={"error": 1.0},
    )
    ends = dataclasses.replace(good, name="0b", measure=measure)
    never = dataclasses.replace(good, name="0c")
    monkeypatch.setattr(CLAIMS, lambda names, theories: [good, ends, never])
    path = tmp_path / "new" / "verdicts.json"
    assert run(monkeypatch, "verify", "--n-train", 16, "--n-test", 0, "--json", path) == code
    printed = capsys.readouterr()
    assert "0a" in printed.out and "0c" not in printed.out
    assert says in printed.err
    content = json.loads(path.read_text())
    assert [verdict["claim"] for verdict in content["verdicts"]] == ["0a"]
    assert (content["status"], content["claims_left"]) == ("interrupted", ["0b", "0c"])


@pytest.mark.parametrize("form", ["json", "csv", "markdown", "latex"])
def test_verify_prints_one_table_in_other_formats(form, monkeypatch, capsys):
    claim = Claim(
        *("0", "η is small", "source", "method", "control"),
        measure=lambda problem, bound=1.0: at_most(bound, 0.5),
        broken={"bound": 0.25},
    )
    monkeypatch.setattr(CLAIMS, lambda names, theories: [claim])
    small = ("--n-train", 16, "--n-test", 0)
    assert run(monkeypatch, "verify", *small, "--format", form) == 0
    printed = capsys.readouterr().out
    if form == "json":
        (verdict,) = json.loads(printed)["verdicts"]
        assert [verdict[name] for name in ("measured", "sign", "predicted")] == [0.5, "≤", 1.0]
    elif form == "csv":
        (verdict,) = csv.DictReader(printed.splitlines())
        assert [verdict[name] for name in ("measured", "sign", "predicted")] == ["0.5", "≤", "1.0"]
    elif form == "markdown":
        assert "| 0 | η is small | holds | 0.5 | ≤ | 1 |" in printed
        assert printed.splitlines()[-1] == "1 of 1 hold"
    else:
        assert r"0 & \ensuremath{\eta} is small & holds & 0.5 & \ensuremath{\le} & 1 &" in printed
        assert printed.splitlines()[-1] == "% 1 of 1 hold"


def test_a_run_is_shown_in_every_format(monkeypatch, capsys):
    saved = ROOT / "figures" / "convergence"
    printed = {}
    for form in ("text", "json", "csv", "markdown", "latex"):
        assert run(monkeypatch, "show", saved, "--format", form) == 0
        printed[form] = capsys.readouterr().out
    results = json.loads((saved / "results.json").read_text())
    shown = json.loads(printed["json"])
    assert shown["results"] == results and shown["experiment"] == "convergence"
    (table,) = shown["tables"]
    best = f"{results['gradient_descent']['best_rms']:.4g}"
    assert table["rows"][0][:2] == ["gradient descent", best]
    assert list(csv.reader(printed["csv"].splitlines()))[1][:2] == ["gradient descent", best]
    for form, cell in (("text", best), ("markdown", f"| {best} |"), ("latex", f" & {best} & ")):
        line = next(each for each in printed[form].splitlines() if "gradient descent " in each)
        assert cell in line
    assert printed["latex"].isascii()


def test_what_is_no_run_cannot_be_shown(monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, "show", tmp_path) == 2
    assert "folder must be that of a run" in capsys.readouterr().err
    (tmp_path / "manifest.json").write_text('{"experiment": "convergence", "status": "running"}')
    assert run(monkeypatch, "show", tmp_path) == 2
    assert "folder must hold a finished run; that of" in capsys.readouterr().err


def test_verify_looks_at_the_place_for_its_file_first(monkeypatch, capsys, tmp_path):
    def load(*arguments, **options):
        raise AssertionError("work has started")

    monkeypatch.setattr("ntk_air.data.catalogue.load_dataset", load)
    assert run(monkeypatch, "verify", "--json", tmp_path) == 2
    assert "json must be a file" in capsys.readouterr().err
    assert run(monkeypatch, "verify", "--jobs", 0) == 2
    assert "jobs must be" in capsys.readouterr().err


def test_output_that_nobody_reads_is_no_error():
    command = f"{sys.executable} -m ntk_air verify --list | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 141), ended.stderr  # 0 where all was written before head ended
    assert ended.stderr == ""


def test_a_refused_run_leaves_no_folder_in_the_way_of_the_corrected_one(
    monkeypatch, capsys, tmp_path
):
    out = tmp_path / "made" / "run"
    small = ("run", "eigen-spectrum", "--n-train", 20, "--n-test", 10, "--smoke", "--out", out)
    assert run(monkeypatch, *small, "--weight-variance", 0) == 2
    assert "weight_variance must be" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert run(monkeypatch, *small, "--weight-variance", 2) == 0
    before = sorted((path, path.read_bytes()) for path in out.iterdir())
    assert run(monkeypatch, *small, "--weight-variance", 0, "--force") == 2
    assert sorted((path, path.read_bytes()) for path in out.iterdir()) == before


def test_bad_input_ends_with_a_message(monkeypatch, capsys):
    assert run(monkeypatch, "verify", "--dataset", "nothing") == 2
    assert "error: name must be one of 'digits'" in capsys.readouterr().err


def test_version_names_what_results_depend_on(monkeypatch, capsys):
    assert run(monkeypatch, "version") == 0
    printed = capsys.readouterr().out
    assert "jaxlib: " in printed
    assert "git_commit: " in printed


def test_the_version_alone(monkeypatch, capsys):
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"ntk-air {ntk_air.__version__}\n"


def test_help_names_the_commands_and_loads_nothing_for_them():
    code = """
import contextlib, sys
sys.argv = ["ntk-air", "--help"]
with contextlib.suppress(SystemExit):
    import runpy
    runpy.run_module("ntk_air", run_name="__main__")
heavy = ("jax", "equinox", "scipy", "sklearn", "matplotlib", "optax", "rich")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert all(name in done.stdout for name in ("run", "verify", "figures", "version"))
    assert done.stdout.splitlines()[-1] == "[]"


def test_experiments_are_listed(monkeypatch, capsys):
    for arguments in (("run",), ("run", "--help")):
        assert run(monkeypatch, *arguments) == 0
        printed = capsys.readouterr().out
        assert "eigen-spectrum" in printed
        assert "full-dataset" in printed


def test_an_unknown_experiment_is_refused_with_the_names(monkeypatch, capsys):
    assert run(monkeypatch, "run", "eigenspectrum") == 2
    error = capsys.readouterr().err
    assert "experiment must be one of 'architectures', 'convergence'" in error
    assert "got 'eigenspectrum'" in error


def test_an_experiment_has_its_own_options(monkeypatch, capsys):
    assert run(monkeypatch, "run", "eigen-spectrum", "--help") == 0
    printed = capsys.readouterr().out
    assert "usage: ntk-air run eigen-spectrum" in printed
    assert "--delta" in printed
    assert run(monkeypatch, "run", "eigen_spectrum", "--noise", 1.5) == 2
    assert "noise must lie in [0, 1]; got 1.5" in capsys.readouterr().err


def test_the_command_of_a_run_is_kept(monkeypatch, capsys, tmp_path):
    def compute(config, dataset, run, progress):
        run.begin()
        raise ValueError("far enough")

    experiment = load_experiment("eigen-spectrum")
    monkeypatch.setattr(
        cli, "load_experiment", lambda name: dataclasses.replace(experiment, compute=compute)
    )
    small = ("--n-train", 20, "--out", tmp_path / "run")
    assert run(monkeypatch, "run", "eigen-spectrum", *small) == 2
    assert "far enough" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    expected = f"ntk-air run eigen-spectrum --n-train 20 --out {tmp_path / 'run'}"
    assert manifest["command"] == expected


def test_figures_are_drawn_again_from_what_was_saved(monkeypatch, capsys, tmp_path):
    saved = ROOT / "figures" / "early_stopping"
    folder = tmp_path / "deep" / "run"
    folder.mkdir(parents=True)
    for name in ("manifest.json", "results.json", "arrays.npz"):
        shutil.copy(saved / name, folder)
    assert run(monkeypatch, "figures", tmp_path) == 0
    assert f"{folder}: " in capsys.readouterr().out
    pictures = {path.stem for path in saved.glob("*.png")}
    assert {path.stem for path in folder.glob("*.png")} == pictures
    assert {path.stem for path in folder.glob("*.pdf")} == pictures


def test_where_no_run_is_there_is_nothing_to_draw(monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, "figures", tmp_path) == 2
    assert "no finished run below" in capsys.readouterr().err
