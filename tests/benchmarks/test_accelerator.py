"""The benchmark of accelerators runs on CPUs, keeps what it has, and sees what differs."""

import importlib
import json

import numpy as np
import pytest


@pytest.fixture(scope="module")
def benchmark():
    return importlib.import_module("benchmarks.accelerator.__main__")


SOME = ("product", "dense kernel", "eigendecomposition, float64", "top modes", "descent", "AIR")


@pytest.mark.slow
def test_rows_are_measured_saved_and_not_measured_again(benchmark, tmp_path, capsys):
    config = benchmark.Config(smoke=True, only=SOME, repeats=1, out=tmp_path)
    assert benchmark.main(config) == 0
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert len(rows) == 9
    for row in rows:
        assert row["error"] is None
        assert row["seconds"] > 0
        assert row["agrees"] is (None if row["row"].startswith("AIR") else True)
    said = capsys.readouterr()
    assert "of a product's rate" in said.out
    assert "no accelerator is here" in said.err
    before = (tmp_path / "results.json").read_bytes()
    assert benchmark.main(config) == 0
    assert (tmp_path / "results.json").read_bytes() == before


def test_what_fails_or_differs_is_a_row_and_the_exit_status(benchmark, tmp_path, monkeypatch):
    rows = importlib.import_module("benchmarks.accelerator.rows")

    def breaks():
        raise RuntimeError("out of memory")

    work = {
        "breaks": rows.Work(breaks),
        "differs": rows.Work(lambda: np.array([1.0, 2.0]), lambda: np.array([1.0, 2.1])),
        "agrees": rows.Work(lambda: np.array([1.0, 2.0]), lambda: np.array([1.0, 2.0001])),
    }
    monkeypatch.setattr(benchmark, "all_work", lambda sizes: work)
    assert benchmark.main(benchmark.Config(out=tmp_path)) == 1
    broken, differs, agrees = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert broken["error"] == "RuntimeError: out of memory"
    assert differs["agrees"] is False
    assert agrees["agrees"] is True
    np.testing.assert_allclose(differs["difference"], 0.1 / 2.1)
    monkeypatch.setattr(benchmark, "all_work", lambda sizes: {"agrees": work["agrees"]})
    assert benchmark.main(benchmark.Config(out=tmp_path)) == 1  # for what differed is kept
