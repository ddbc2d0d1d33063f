"""What to look after in data and their kernel, each with what to do."""

import dataclasses

import numpy as np

from ntk_air.air import energy_in_top
from ntk_air.data.dataset import Dataset
from ntk_air.problem import Problem

_NORMS_APART, _COLUMNS_APART = 1.5, 100.0
_BETTER, _WEAK = 1.1, 2.0


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: what was looked at.
        found: sentence that says what was found.
        remedy: sentence that says what to do; empty where all is well.
    """

    name: str
    found: str
    remedy: str = ""


def findings(raw: Dataset, problem: Problem, alignments: dict[str, float]) -> list[Finding]:
    """All that is looked at, in the order of the data's way: inputs, rows, spectrum, labels.

    Args:
        raw: data set as it was loaded.
        problem: kernel, spectrum and labels of the prepared data set.
        alignments: kernel–target alignment by kernel.
    """
    return [
        input_norms(problem.dataset),
        column_scales(raw),
        duplicate_rows(raw),
        *precision(problem),
        other_kernel(alignments),
        alignment(problem),
    ]


def input_norms(dataset: Dataset) -> Finding:
    """Whether inputs, as the kernel takes them, are of one size."""
    norms = np.linalg.norm(dataset.inputs.reshape(dataset.n_train, -1), axis=1)
    low, high = float(norms.min()), float(norms.max())
    found = f"norms of the inputs lie between {low:.3g} and {high:.3g}"
    if low > 0 and high <= _NORMS_APART * low:
        return Finding("input norms", found)
    return Finding(
        "input norms",
        found,
        "long inputs outweigh short ones in the kernel: normalise them (--normalise), unless their "
        "length says something of the label",
    )


def column_scales(dataset: Dataset) -> Finding:
    """Whether columns of a table are of scales that can be compared."""
    if dataset.inputs.ndim > 2:
        return Finding("columns", "inputs are images, whose pixels share a scale")
    spread = dataset.inputs.std(axis=0)
    moving = spread[spread > 0]
    constant = len(spread) - len(moving)
    apart = float(moving.max() / moving.min()) if len(moving) else 1.0
    found = f"{len(spread)} columns, of deviations at most {apart:.3g} times apart"
    found += f", {constant} of them constant" if constant else ""
    if apart <= _COLUMNS_APART:
        return Finding("columns", found)
    return Finding(
        "columns", found, "the widest columns decide alone: scale them (--standardise for tables)"
    )


def duplicate_rows(dataset: Dataset) -> Finding:
    """Whether rows are there twice, with one label or with several."""
    rows = np.ascontiguousarray(dataset.inputs.reshape(dataset.n_train, -1))
    _, which, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    copies = int(np.sum(counts - 1))
    if not copies:
        return Finding("duplicate rows", "no row is there twice")
    pairs = np.unique(np.stack([which.ravel(), dataset.noisy_labels], axis=1), axis=0)
    torn = int(np.sum(np.bincount(pairs[:, 0]) > 1))
    found = f"{copies} rows repeat another; {torn} repeated inputs have several labels"
    return Finding(
        "duplicate rows",
        found,
        "equal rows make zero modes, and count as evidence several times: keep one of each, and "
        "keep copies out of the held-out part",
    )


def precision(problem: Problem) -> list[Finding]:
    """Modes that arithmetic cannot resolve, and the ridge above which they do no harm."""
    spectrum = problem.spectrum
    below, floor = spectrum.n_below_precision, spectrum.precision_floor
    found = f"{below} of {spectrum.n_mode} modes lie below n·ε·λ₁ = {floor:.2g}"
    remedy = "they are rounding: drop repeated rows, or use a ridge, or a kernel that tells more"
    return [
        Finding("modes below precision", found, remedy if below else ""),
        Finding(
            "least safe ridge",
            f"a ridge of {floor:.2g} or more (of Θ + ridge·I) leaves no solved mode to rounding",
            "without one, do not solve with this kernel directly" if below else "",
        ),
    ]


def other_kernel(alignments: dict[str, float]) -> Finding:
    """Whether the kernel of the last layer alone fits the labels better."""
    ntk, nngp = alignments["NTK"], alignments.get("NNGP")
    if nngp is None:
        return Finding("NTK against NNGP", "this kernel has no NNGP beside it")
    found = f"alignment with the labels: {ntk:.3f} of the NTK, {nngp:.3f} of the NNGP"
    better = "try --kernel nngp: training the last layer alone may do as well"
    return Finding("NTK against NNGP", found, better if nngp > _BETTER * ntk else "")


def alignment(problem: Problem) -> Finding:
    """Whether labels lie in the top modes at all."""
    n_top = max(1, problem.n_train // 10)
    labels = np.asarray(problem.noisy)
    centred = labels - labels.mean(axis=0)
    share = float(energy_in_top(problem.spectrum, centred)[n_top - 1]) if centred.any() else 0.0
    found = f"the top {n_top} modes hold {share:.0%} of the given labels' energy"
    if share > _WEAK * n_top / problem.n_train:
        return Finding("alignment", f"{found}; by chance it would be {n_top / problem.n_train:.0%}")
    return Finding(
        "alignment",
        f"{found}, little more than by chance",
        "this kernel sees little of these labels: try another depth, a convolutional kernel, or "
        "features of a pretrained network",
    )
