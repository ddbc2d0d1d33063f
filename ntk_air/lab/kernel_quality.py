"""What a kernel makes of noisy labels, in numbers that kernels can be compared by."""

import dataclasses

import numpy as np

from ntk_air.air import air_summary
from ntk_air.air.complexity import kernel_target_alignment
from ntk_air.dynamics.label_noise.schedule_comparison import compare_with_descent
from ntk_air.problem import Problem


@dataclasses.dataclass(frozen=True)
class KernelQuality:
    """One kernel on one draw of label noise; C is the number of classes.

    Attributes:
        noise_rate: the share of flipped labels.
        air_auc: AIR-AUC of the clean labels y against the centred noise ζ (theory.md section 2).
        eigengap: λ_C/λ_{C+1}: what stands out if every class is one cluster.
        effective_rank: the spectrum's entropy rank.
        alignment: kernel–target alignment with y.
        energy_clean: share of y in the top C eigenspaces.
        energy_noise: share of ζ there.
        default_accuracy: test accuracy of self-distillation at the end of its default schedule.
        oracle_accuracy: test accuracy of plain descent, stopped where it is best.
        end_accuracy: test accuracy of plain descent, not stopped.
        default_distance: RMS distance to y on the training inputs at the end of that schedule.
        closest_distance: RMS distance of plain descent, stopped where it is least.
        end_distance: RMS distance of plain descent, not stopped.
        noise_rate_estimate: what the default schedule takes the noise rate for.
        rounds: number of rounds of that schedule; 0 where it expects no gain.
    """

    noise_rate: float
    air_auc: float
    eigengap: float
    effective_rank: float
    alignment: float
    energy_clean: float
    energy_noise: float
    default_accuracy: float
    oracle_accuracy: float
    end_accuracy: float
    default_distance: float
    closest_distance: float
    end_distance: float
    noise_rate_estimate: float
    rounds: float


def kernel_quality(problem: Problem) -> KernelQuality:
    """Measure AIR, the eigengap, and self-distillation by default beside plain descent.

    Args:
        problem: problem with label noise and held-out inputs; its seed chooses the folds of the
            schedule.

    Raises:
        ValueError: without flipped labels or held-out inputs, and for fewer than C + 1 inputs.
    """
    dataset, spectrum = problem.dataset, problem.spectrum
    if not problem.noise.any():
        raise ValueError("problem must have label noise; got clean labels")
    if problem.held_out is None:
        raise ValueError("problem must have held-out inputs to measure accuracy on; got none")
    n_classes = dataset.n_classes
    gap = spectrum.eigengap(n_classes)
    air = air_summary(problem)
    assert air.auc is not None and air.energy_noise_centred is not None
    comparison = compare_with_descent(problem, seed=problem.seed)
    scores, schedule = comparison.scores, comparison.schedule
    return KernelQuality(
        noise_rate=dataset.noise_fraction,
        air_auc=air.auc,
        eigengap=gap,
        effective_rank=air.effective_rank,
        alignment=kernel_target_alignment(spectrum, problem.clean),
        energy_clean=float(np.asarray(air.energy_clean)[n_classes - 1]),
        energy_noise=float(np.asarray(air.energy_noise_centred)[n_classes - 1]),
        default_accuracy=scores["default"].test_accuracy,
        oracle_accuracy=scores["oracle"].test_accuracy,
        end_accuracy=scores["memorised"].test_accuracy,
        default_distance=scores["default"].rms_distance,
        closest_distance=scores["closest"].rms_distance,
        end_distance=scores["memorised"].rms_distance,
        noise_rate_estimate=float(schedule.noise.noise_rate),
        rounds=float(schedule.rounds.n_rounds),
    )
