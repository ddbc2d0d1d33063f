"""What was found, in one sentence with its numbers, of every committed run."""

import json
from pathlib import Path

import pytest
from rich.text import Text

from ntk_air.lab.harness import report_of, summary_of

FIGURES = Path(__file__).parents[3] / "figures"


def saved(folder):
    return json.loads((FIGURES / folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        (
            "eigen_spectrum",
            "well before label noise: AIR-AUC 0.947, where random",
        ),
        ("convergence", "goes beyond early stopping: it ends 2.75e-07 from the clean labels"),
        ("convergence", "certified from step 196 on"),
        ("early_stopping", "is its stopped teacher on held-out inputs (they differ by 4.0e-13)"),
        ("self_distillation/digits", "at 3 of 4 noise rates in test accuracy: from +0.0000 at 0%"),
        ("self_distillation/cifar10n_worse_label", "at 0 of 1 noise rates"),
        ("finite_width/relu", "width^-0.48 over 10 steps"),
        ("full_dataset/mnist_infinite_width", "AIR-AUC lies between 0.9644 and 0.9644"),
        ("label_noise/wine", "in 0 of 3 settings of noise (-0.028 to -0.006 of test accuracy)"),
        ("noisy_networks/mnist5k", "in 2 of 2 settings (40% symmetric; 60% symmetric)"),
        ("pretrained/digits", "from 0.869 to 0.893 at epoch 32 and 0.884 at the end"),
        ("pretrained_features/cifar10", "0.777, against 0.310 with pixels, dense, 1000"),
        ("architectures/digits", "with 14 of 15 architectures"),
    ],
)
def test_a_run_says_what_was_found(folder, says):
    name = folder.split("/")[0]
    last = summary_of(name, saved(folder)).renderables[-1]
    assert isinstance(last, Text)
    shown = last.plain
    assert shown.startswith("found: ")
    assert says in shown


def test_what_was_not_found_is_said():
    convergence = saved("convergence")
    convergence["self_distillation_hard"]["final_rms"] = 0.5
    convergence["certificate"]["issued"] = False
    sentence = report_of("convergence").verdict(convergence)
    assert "stays behind early stopping" in sentence and sentence.endswith("no certificate")
    spectrum = saved("eigen_spectrum") | {"air_auc": 0.51}
    assert "no earlier than label noise" in report_of("eigen_spectrum").verdict(spectrum)
    spectrum |= {"air_auc": None}
    assert "without noise there is no AIR" in report_of("eigen_spectrum").verdict(spectrum)
    stopping = saved("early_stopping") | {"max_abs_difference_student_teacher": 0.1}
    assert "is not its stopped teacher" in report_of("early_stopping").verdict(stopping)
