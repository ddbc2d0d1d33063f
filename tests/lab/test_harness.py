"""What experiments do around their computation: processes, errors, the header of results."""

from pathlib import Path

import jax
import pytest

from ntk_air.lab import harness
from ntk_air.lab.config import DataConfig, ExperimentConfig, NoiseConfig
from ntk_air.lab.harness import Experiment, header


def test_each_process_of_several_has_a_folder_of_its_own(monkeypatch):
    assert harness._own(Path("runs/mnist")) == Path("runs/mnist")
    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    for index, name in enumerate(("mnist", "mnist-process1")):
        monkeypatch.setattr(jax, "process_index", lambda index=index: index)
        assert harness._own(Path("runs/mnist")) == Path("runs") / name


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ValueError("noise must be small"), 2, "error: noise must be small"),
        (ImportError('pip install "ntk-air[mnist]"'), 2, "ntk-air[mnist]"),
        (KeyboardInterrupt(), 130, "the same command resumes"),
    ],
)
def test_how_a_run_ends(error, code, says, *, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("ntk_air.data.catalogue.load_dataset", fail)
    experiment = Experiment("convergence", ExperimentConfig, fail)
    assert experiment.main([], program="experiments/convergence.py") == code
    assert says in capsys.readouterr().err


def test_the_program_ends_with_the_status_of_the_run(monkeypatch, tmp_path):
    experiment = Experiment("convergence", ExperimentConfig, lambda *arguments: ({}, {}))
    monkeypatch.setattr("sys.argv", ["script", "--dataset", "nothing", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        experiment.run_as_script()
    assert end.value.code == 2


def test_results_begin_with_the_data():
    dataset = DataConfig("clusters", n_train=16, n_test=8).load(seed=0)
    sizes = {"dataset": "clusters", "n_train": 16, "n_test": 8, "n_classes": 2}
    assert header(dataset) == sizes
    assert header(dataset, dataset) == sizes | {"noise_kind": "none", "noise_rate": 0.0}
    noisy = dataset.with_label_noise(NoiseConfig(noise=0.25, exact=True).build(), seed=0)
    assert header(dataset, noisy)["noise_kind"] == "symmetric"
    assert header(dataset, noisy)["noise_rate"] == noisy.noise_fraction
