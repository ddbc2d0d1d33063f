"""What a report says of data and their kernel, as numbers."""

import dataclasses

import numpy as np

from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.air import AirSummary, air_summary, kernel_target_alignment
from ntk_air.data.dataset import Dataset
from ntk_air.dynamics.certificates.certificate import Certificate
from ntk_air.dynamics.certificates.run_certificate import certify
from ntk_air.dynamics.label_noise.default_schedule import DefaultSchedule, default_schedule
from ntk_air.dynamics.predictions.learning_curve import predicted_risk
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import Hard, Power, Supervision
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.lab.data_report.config import ReportConfig
from ntk_air.problem import Problem, make_problem
from ntk_air.spectrum.decomposition import decompose

_TIMES = np.unique(np.round(2.0 ** np.arange(0, 20.1, 0.25)))
_CERTIFIED_STEPS, _TRIED = 300, 12
_RIDGES = 10.0 ** np.arange(-8, 1)
_SIZES = (16, 8, 4, 2)


@dataclasses.dataclass(frozen=True)
class Measured:
    """Numbers and curves of a report.

    Args:
        raw: data set as it was loaded.
        problem: kernel, spectrum and labels, with the label noise that is looked at.
        kernel_name: kernel in words.
        summary: AIR of the first draw of noise; ``None`` where clean labels are unknown.
        areas: AIR-AUC of each draw.
        schedule: default schedule of self-distillation, chosen without clean labels.
        descent: plain descent at many steps.
        distilled: self-distillation under the schedule.
        certificate: the first that is found, or the last refusal.
        learning_curve: numbers of rows, and the mean square error predicted for them.
        alignments: kernel–target alignment of the NTK, and of the NNGP where the kernel has one.
    """

    raw: Dataset
    problem: Problem
    kernel_name: str
    summary: AirSummary | None
    areas: tuple[float, ...]
    schedule: DefaultSchedule
    descent: Trajectory
    distilled: Trajectory
    certificate: Certificate
    learning_curve: tuple[np.ndarray, np.ndarray]
    alignments: dict[str, float]


def measure(config: ReportConfig, raw: Dataset, progress: Progress) -> Measured:
    """Compute all that a report says of a data set.

    Raises:
        MemoryBudgetError: the kernel needs more than ``max_memory``.
    """
    prepared, seeds = config.kernel.prepare(raw), range(config.seed, config.seed + config.seeds)
    draws = [prepared]
    if prepared.has_clean_labels:
        draws = config.noise.draws(prepared, seeds=list(seeds))
    kernel, kernel_name = config.kernel.build(prepared, seed=config.seed, precision="float64")
    memory = parse_bytes(config.max_memory)
    problem = make_problem(draws[0], kernel, max_memory_bytes=memory, progress=progress)
    problem = problem.replace(seed=config.seed)
    progress("report", 1, 4)
    summaries = []
    if prepared.has_clean_labels:
        noises = [draw.label_noise for draw in draws]
        problems = [problem] + [
            problem.with_label_noise(noise, seed=seed)
            for noise, seed in zip(noises[1:], seeds[1:], strict=False)
            if noise is not None
        ]
        summaries = [air_summary(each) for each in problems]
    progress("report", 2, 4)
    schedule = default_schedule(problem, seed=config.seed)
    progress("report", 3, 4)
    measured = Measured(
        raw=raw,
        problem=problem,
        kernel_name=kernel_name,
        summary=summaries[0] if summaries else None,
        areas=tuple(each.auc for each in summaries if each.auc is not None),
        schedule=schedule,
        descent=solve(problem, Descent(), _TIMES),
        distilled=solve(problem, schedule.rounds),
        certificate=_certificate(problem, schedule.noise.steps),
        learning_curve=_learning_curve(problem),
        alignments=_alignments(problem, kernel, memory),
    )
    progress("report", 4, 4)
    return measured


def _certificate(problem: Problem, warm_up: int) -> Certificate:
    """Of hard labels under a weight that vanishes, among some hundred steps."""
    supervision = Supervision(Hard(), Power(exponent=1.5, scale=100.0), warm_up=warm_up)
    after = np.unique(np.round(np.geomspace(1, _CERTIFIED_STEPS, _TRIED)))
    times = (warm_up + after).tolist()
    run = solve(problem, supervision, times, Stepwise(), store_at=times)
    return certify(problem, supervision, run)


def _learning_curve(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Error of ridge regression on fewer rows, at the best of some ridges, by its average law.

    The rows that there are stand for all rows of their kind (Simon et al. 2021).
    """
    spectrum, labels = problem.spectrum, np.asarray(problem.noisy)
    values = np.maximum(np.asarray(spectrum.eigenvalues), 0) / spectrum.n_train
    parts = (np.asarray(spectrum.eigenvectors).T @ labels) ** 2
    energies = parts.sum(axis=1) / spectrum.n_train
    sizes = np.array([spectrum.n_train // share for share in _SIZES])
    sizes = np.unique(sizes[sizes >= 2])
    ridges = _RIDGES * values.sum() * spectrum.n_train
    errors = [
        min(predicted_risk(values, energies, int(size), ridge=ridge) for ridge in ridges)
        for size in sizes
    ]
    return sizes, np.array(errors)


def _alignments(problem: Problem, kernel: object, memory: int) -> dict[str, float]:
    labels = np.asarray(problem.noisy)
    found = {"NTK": float(kernel_target_alignment(problem.spectrum, labels))}
    if isinstance(kernel, DenseNTK):
        other = gram_matrix(kernel.nngp, problem.dataset.inputs, max_memory_bytes=memory)
        spectrum = decompose(other, max_memory_bytes=memory)
        found["NNGP"] = float(kernel_target_alignment(spectrum, labels))
    return found
