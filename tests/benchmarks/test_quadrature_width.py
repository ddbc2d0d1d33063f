"""The benchmark of label quadrature runs, on a small kernel that needs no files."""

import importlib
import json

import pytest


@pytest.fixture
def benchmark():
    return importlib.import_module("benchmarks.krylov.quadrature_width")


def test_brackets_narrow_with_products_and_hold_the_truth(benchmark, tmp_path, capsys):
    config = benchmark.Config(case="power_law", n=60, products=(2, 6), out=tmp_path)
    benchmark.main(config)
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert len(rows) == 2 * 2 * 2 * 3  # precisions, products, dynamics, labels or both
    assert all(row["contained"] for row in rows)
    for row, later in ((row, later) for row in rows for later in rows):
        same = ("precision", "dynamics", "labels")
        if row["products"] < later["products"] and all(row[key] == later[key] for key in same):
            assert later["widest"] < row["widest"]
    assert (tmp_path / "quadrature_width.png").exists()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert set(manifest) == {"power_law"}
    assert "646/646" in capsys.readouterr().out


def test_an_unknown_case_is_refused(benchmark, tmp_path):
    with pytest.raises(ValueError, match="case must be one of mnist, power_law; got 'wine'"):
        benchmark.main(benchmark.Config(case="wine", out=tmp_path))
