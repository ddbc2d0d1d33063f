"""Every committed figure can be drawn again from what lies beside it."""

import json
import shutil
from pathlib import Path

from benchmarks import figures

ROOT = Path(__file__).parents[2]


def test_every_folder_with_pictures_has_something_that_draws_it():
    pictures = {path.parent for path in (ROOT / "figures").rglob("*.png")}
    assert len(pictures) > 20
    for folder in pictures:
        manifest = folder / "manifest.json"
        drawn = manifest.exists() and "experiment" in json.loads(manifest.read_text())
        assert drawn or folder.name in figures.BENCHMARKS, folder


def test_pictures_are_drawn_from_results_alone(tmp_path, capsys):
    saved = {"benchmark_sharded_devices": "devices", "quadrature_width": "quadrature_width"}
    for name in saved:
        (tmp_path / name).mkdir()
        shutil.copy(ROOT / "figures" / name / "results.json", tmp_path / name)
    figures.main(figures.Config(tmp_path))
    for name, picture in saved.items():
        for suffix in (".png", ".pdf"):
            assert (tmp_path / name / f"{picture}{suffix}").stat().st_size > 5_000
    assert len(capsys.readouterr().out.splitlines()) == 2
