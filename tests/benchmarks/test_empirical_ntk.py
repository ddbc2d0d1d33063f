"""The benchmark of empirical NTKs runs, on a tiny network and with our own tool alone."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark():
    return importlib.import_module("benchmarks.empirical_ntk.__main__")


@pytest.mark.slow
def test_a_row_is_measured_saved_and_not_measured_again(benchmark, tmp_path, capsys):
    config = benchmark.Config(case="tiny", inputs=4, tool="ntk_air", repeats=1, out=tmp_path)
    benchmark.main(config)
    rows = json.loads((tmp_path / "results.json").read_text())
    for row, method in zip(rows, ("auto", "as a function"), strict=True):
        assert row["skipped"] is None
        assert [row[name] for name in ("case", "tool", "method", "inputs", "precision")] == [
            *("tiny", "ntk_air", method, 4, "float32")
        ]
        assert row["seconds"] > 0
        assert row["compile_seconds"] > 0
        assert 0 <= row["max_relative_error"] < 1e-5
    assert (tmp_path / "empirical_ntk.png").exists()
    assert "2/2" in capsys.readouterr().err
    before = (tmp_path / "results.json").read_bytes()
    benchmark.main(config)
    assert "2/2" not in capsys.readouterr().err
    assert (tmp_path / "results.json").read_bytes() == before


def test_an_unknown_case_is_refused_on_the_command_line(tmp_path):
    command = [sys.executable, "-m", "benchmarks.empirical_ntk", "--tool", "ntk_air"]
    command += ["--case", "dence", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode != 0
    assert "case must be one of dense, " in done.stderr
