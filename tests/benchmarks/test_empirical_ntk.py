"""The benchmark of empirical NTKs runs, on a tiny network and with our own tool alone."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks.empirical_ntk", "--tool", "ntk_air", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_row_is_measured_saved_and_not_measured_again(tmp_path):
    arguments = ("--case", "tiny", "--inputs", "4", "--repeats", "1", "--out", str(tmp_path))
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert row["skipped"] is None
    assert [row[name] for name in ("case", "tool", "method", "inputs", "precision")] == [
        *("tiny", "ntk_air", "auto", 4, "float32")
    ]
    assert row["seconds"] > 0
    assert row["compile_seconds"] > 0
    assert 0 <= row["max_relative_error"] < 1e-5
    assert (tmp_path / "empirical_ntk.png").exists()
    before = (tmp_path / "results.json").read_bytes()
    assert "1/1" not in run(*arguments).stderr
    assert (tmp_path / "results.json").read_bytes() == before


def test_an_unknown_case_is_refused(tmp_path):
    done = run("--case", "dence", "--out", str(tmp_path))
    assert done.returncode != 0
    assert "case must be one of dense, " in done.stderr
