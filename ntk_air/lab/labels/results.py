"""What a labels run saves: numbers for ``noise.json``, curves, and the rows of ``labels.csv``."""

import csv
import io
from typing import Any

import numpy as np

from ntk_air.data.dataset import Dataset
from ntk_air.dynamics.noise_aware.cleaned import CleanedLabels
from ntk_air.dynamics.noise_aware.kernel_learner import KernelLearner

_DIGITS = 6


def noise_results(found: CleanedLabels, dataset: Dataset, kernel_name: str) -> dict[str, Any]:
    """The numbers, ready for JSON; ``null`` where nothing is known."""
    wrong = found.error_probability > 0.5
    return {
        "source": dataset.source,
        "rows": dataset.n_train,
        "classes": list(dataset.class_names),
        "kernel": kernel_name,
        "verdict": found.verdict,
        "reasons": list(found.reasons),
        "rate": found.rate,
        "rate_interval": found.rate_interval,
        "level": found.level,
        "probably_wrong": int(np.sum(wrong)) if found.has_answer else None,
        "transition_matrix": found.transition,
        "transition_interval": found.transition_interval,
        "judged": [
            {
                "way": each.description,
                "log_likelihood": each.log_likelihood,
                "behind": each.behind,
                "behind_std_error": each.behind_std_error,
            }
            for each in found.judged
        ],
    }


def curves(found: CleanedLabels, dataset: Dataset, learner: KernelLearner) -> dict[str, np.ndarray]:
    """What figures are drawn from.

    Energies are shares of centred labels in the top k modes: of the given labels, and, taking the
    suggested ones for true, of signal and noise.
    """
    classes = np.eye(dataset.n_classes)
    given, suggested = classes[dataset.noisy_labels], classes[found.suggested]
    return {
        "given": dataset.noisy_labels,
        "suggested": found.suggested,
        "error_probability": found.error_probability,
        "suspects": found.suspects,
        "eigenvalues": learner.eigenvalues,
        "given_energy": _energy(learner, given),
        "signal_energy": _energy(learner, suggested),
        "noise_energy": _energy(learner, given - suggested),
    }


def labels_csv(arrays: dict[str, np.ndarray], class_names: tuple[str, ...]) -> bytes:
    """``labels.csv``: a line for each row, in the file's order; empty cells where nothing is known.

    Columns: ``row`` from 0, ``given``, ``suggested``, ``error_probability`` that the given label is
    wrong, ``rank`` from 1, the likeliest to be wrong first.
    """
    probabilities = arrays["error_probability"]
    known = not np.isnan(probabilities).any()
    rank = np.empty(len(probabilities), int)
    rank[arrays["suspects"]] = np.arange(1, len(probabilities) + 1)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "given", "suggested", "error_probability", "rank"])
    for row, given in enumerate(arrays["given"]):
        beliefs = ["", "", ""]
        if known:
            suggested = class_names[arrays["suggested"][row]]
            beliefs = [suggested, f"{probabilities[row]:.{_DIGITS}f}", str(rank[row])]
        writer.writerow([row, class_names[given], *beliefs])
    return text.getvalue().encode()


def _energy(learner: KernelLearner, labels: np.ndarray) -> np.ndarray:
    """Share of centred labels in the top k modes, k = 1, …; 0 where there are none."""
    centred = labels - labels.mean(axis=0)
    total = np.sum(centred**2)
    if total == 0:
        return np.zeros(len(learner.eigenvalues))
    return np.cumsum(np.sum((learner.eigenvectors.T @ centred) ** 2, axis=1)) / total
