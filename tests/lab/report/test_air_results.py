"""Spectrum and AIR as numbers, curves, summary and figures: with noise, with one draw, without."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from ntk_air._base import files
from ntk_air.air import air_over_draws, air_summary, random_label_control
from ntk_air.lab.report import eigen_spectrum, layout
from ntk_air.lab.report.air_results import air_arrays, air_numbers, spectrum_numbers
from ntk_air.problem import Labels, Problem
from ntk_air.spectrum.decomposition import decompose
from tests.helpers.problems import spectral_problem


@pytest.fixture(scope="module")
def spectrum():
    return decompose(spectral_problem("power_law").matrix)


def parts(spectrum, n_draws, *, noisy=True):
    rng = np.random.default_rng(0)
    n = spectrum.n_train
    clean = np.where(rng.random((n, 1)) < 0.5, 1.0, -1.0)
    flips = np.where(rng.random((n_draws, n, 1)) < 0.2, -1.0, 1.0) if noisy else 1.0
    labels = np.broadcast_to(clean * flips, (n_draws, n, 1))
    expected = 0.6 * clean if noisy else clean
    given = Labels(noisy=np.asarray(labels[0]), clean=clean, expected_noisy=expected)
    summary = air_summary(Problem(given, spectrum=spectrum))
    spread = air_over_draws(spectrum, clean, expected, labels)
    control = random_label_control(spectrum, clean, labels - expected, seed=0) if noisy else None
    return summary, spread, control


def save_with_few_pixels(figure, folder, name, formats):
    """Every panel is drawn; whole files of full size are a matter of the experiments' own tests."""
    figure.savefig(folder / f"{name}.png", dpi=30)


@pytest.mark.parametrize(("n_draws", "noisy"), [(3, True), (1, True), (2, False)])
def test_results_survive_a_file_and_can_be_read_and_drawn(
    spectrum, tmp_path, monkeypatch, *, n_draws, noisy
):
    monkeypatch.setattr(layout, "save_figure", save_with_few_pixels)
    summary, spread, control = parts(spectrum, n_draws, noisy=noisy)
    sweep = {"k": 5, "clean": 0.5, "noise_rate": [0.0, 0.4]}
    for name in ("noisy", "self_distilled"):
        sweep |= {name: [0.5, 0.3], f"{name}_std": [None, 0.1]}
    results = {
        "dataset": "made",
        "n_train": spectrum.n_train,
        "n_classes": 2,
        "noise_kind": "symmetric" if noisy else "none",
        "noise_rate": 0.2 if noisy else 0.0,
        "kernel": "made",
        **spectrum_numbers(spectrum),
        **air_numbers(summary, spread, control, n_mode=spectrum.n_mode),
        "seeds": list(range(n_draws)),
        "top5_energy_by_noise": sweep,
    }
    files.write_json(tmp_path / "results.json", results)
    files.write_arrays(
        tmp_path / "arrays.npz", air_arrays(spectrum.eigenvalues, summary, spread, summary.curve)
    )
    saved = json.loads((tmp_path / "results.json").read_text())
    assert (saved["air_auc"] is None) is not noisy
    assert saved["energy"]["clean"][-1] == pytest.approx(1.0)
    assert len(saved["energy"]["clean"]) == len(saved["energy"]["k"])
    if noisy:
        assert saved["air_auc"] == pytest.approx(float(spread.auc.mean))
        assert (saved["air_auc_std"] is None) is (n_draws == 1)
    text = io.StringIO()
    Console(file=text, width=100).print(eigen_spectrum.summary(saved))
    expected = "AIR-AUC 0." if noisy else "not defined without label noise"
    assert expected in text.getvalue()
    arrays = files.read_arrays(tmp_path / "arrays.npz")
    names = eigen_spectrum.figures(saved, arrays).save(tmp_path, formats=("png",))
    assert all((tmp_path / f"{name}.png").exists() for name in names)
