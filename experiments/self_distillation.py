"""A schedule of self-distillation that nobody tunes, beside early stopping and oracles.

For each noise rate and seed: the default schedule, chosen from the spectrum and the noisy labels
alone; early stopping chosen on noisy validation labels; and, as oracles that see clean labels, the
best early stopping and the best schedule of a grid. On request, where self-distillation succeeds on
clusters, by noise rate and spread, with the boundary predicted from the spectrum.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_at_least, check_fractions, check_whole_number
from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.lab.config import ExperimentConfig
from ntk_air.lab.harness import Computed, Experiment, header
from ntk_air.lab.run_folder import RunFolder

if TYPE_CHECKING:
    from ntk_air._base.typing import AnyArray
    from ntk_air.dynamics.label_noise.schedule_comparison import Validation

    Kernels = tuple[na.Problem, Validation]

VALIDATION_SHARE = 0.2
N_CLUSTERS = 8


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of self_distillation."""

    noise_rates: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6)
    """Shares of flipped labels besides --noise; those without signal are left out."""
    phase_diagram: bool = False
    """Follow self-distillation on clusters of many spreads and noise rates too: takes twice as long
    as all else, whatever the data."""
    phase_rates: tuple[float, ...] = (0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.48, 0.52, 0.6)
    """Noise rates of the phase diagram."""
    phase_spreads: tuple[float, ...] = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6)
    """Cluster spreads of the phase diagram, in units of the sphere's radius."""
    phase_classes: int = 2
    """Classes of the phase diagram."""
    phase_points: int = 50
    """Points in each of its 8 clusters."""

    def __post_init__(self):
        check_fractions("noise_rates", self.noise_rates)
        check_fractions("phase_rates", self.phase_rates)
        for spread in self.phase_spreads:
            check_at_least("phase_spreads", spread, 0)
        for name in ("phase_rates", "phase_spreads"):
            if self.phase_diagram and not getattr(self, name):
                raise ValueError(f"{name} must not be empty for a phase diagram; got ()")
        if self.phase_diagram:
            self.kernel.require_any_inputs("phase_diagram")
        check_whole_number("phase_classes", self.phase_classes, minimum=2)
        check_whole_number("phase_points", self.phase_points, minimum=1)

    def smoke(self) -> "Config":
        """A small subset, two rates, two seeds and a coarse phase diagram."""
        return dataclasses.replace(
            self,
            data=dataclasses.replace(self.data, n_train=min(self.data.n_train or 120, 120)),
            noise_rates=(),
            phase_rates=(0.2, 0.6),
            phase_spreads=(0.05, 0.8),
            phase_points=8,
            run=dataclasses.replace(self.run, seeds=2),
        )


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.dynamics.label_noise.schedule_comparison import TIMES
    from ntk_air.lab.report.schedule_results import comparison_numbers, phase_numbers

    rates, seeds = rates_for(config, dataset), config.run.noise_seeds()
    draws = []
    for done, seed in enumerate(seeds):
        # The kernels of a seed are made once, and not at all where all its stages are resumed.
        kernels = functools.cache(functools.partial(kernels_for, config, seed))
        for rate in rates:
            stage = functools.partial(compared, config, seed, rate, kernels)
            draws.append(run.stage(f"seed-{seed}-rate-{rate:g}", stage))
        progress("comparing schedules", done + 1, len(seeds))
    phase = {}
    if config.phase_diagram:
        phase = run.stage("phase-diagram", functools.partial(phase_diagram, config, progress))
    shape = (len(seeds), len(rates))
    arrays = {
        name: np.reshape([draw[name] for draw in draws], (*shape, *draws[0][name].shape))
        for name in draws[0]
    }
    results = {
        **header(dataset),
        "noise_kind": noise_kind(config, dataset),
        "kernel": config.kernel.run_name(),
        "seeds": seeds,
        **comparison_numbers(arrays),
        "phase_diagram": phase_numbers(phase, n_classes=config.phase_classes) if phase else None,
    }
    return results, arrays | {"times": TIMES} | {f"phase_{key}": phase[key] for key in phase}


def rates_for(config: Config, dataset: "na.Dataset") -> list[float]:
    """The noise rates at which labels still carry signal; that of labels given with the data."""
    if dataset.label_noise is not None:
        return [dataset.noise_fraction]
    bound = (dataset.n_classes - 1) / dataset.n_classes
    rates = sorted({config.noise.noise, *config.noise_rates})
    if rates[-1] >= bound and config.noise.noise >= bound:
        raise ValueError(
            f"noise must lie below {bound:.3g}, where labels of {dataset.n_classes} classes "
            f"still carry signal; got {config.noise.noise}"
        )
    return [rate for rate in rates if rate < bound]


def noise_kind(config: Config, dataset: "na.Dataset") -> str:
    """The kind of the data set's own label noise, or else the configured one."""
    noise = dataset.label_noise
    return config.noise.noise_kind if noise is None else noise.kind


def kernels_for(config: Config, seed: int) -> "Kernels":
    """The problem of a seed, with clean labels unless it has noisy ones, and validation split."""
    from ntk_air.dynamics.label_noise.schedule_comparison import Validation, split_rows

    dataset = config.kernel.prepare(config.data.load(seed=seed))
    precision, memory = config.run.precision, parse_bytes(config.run.max_memory)
    kernel, _ = config.kernel.build(dataset, seed=seed, precision=precision)
    problem = na.make_problem(dataset, kernel, precision=precision, max_memory_bytes=memory)
    fitted, held_back = split_rows(dataset.n_train, VALIDATION_SHARE, seed=seed)
    gram = problem.theta
    validation = Validation(
        spectrum=na.decompose(
            gram[np.ix_(fitted, fitted)], precision=precision, max_memory_bytes=memory
        ),
        cross_kernel=gram[np.ix_(held_back, fitted)],
        fitted=fitted,
        held_back=held_back,
    )
    return problem, validation


def compared(
    config: Config, seed: int, rate: float, kernels: "Callable[[], Kernels]"
) -> "Mapping[str, AnyArray]":
    """All methods on one draw of noise, and what the spectrum makes of it, as arrays."""
    from ntk_air.dynamics.label_noise.schedule_comparison import compare_schedules
    from ntk_air.lab.report.schedule_results import air_arrays, comparison_arrays

    problem, validation = kernels()
    if problem.dataset.label_noise is None and rate > 0:
        problem = problem.with_label_noise(config.noise.build(rate), seed=seed)
    comparison = compare_schedules(problem, validation=validation, seed=seed)
    arrays = comparison_arrays(comparison) | air_arrays(na.air_summary(problem))
    return arrays | {"noise_rate": np.array(problem.dataset.noise_fraction)}


def phase_diagram(config: Config, progress: Progress) -> "Mapping[str, AnyArray]":
    """How the default schedule ends on clusters, and the error predicted for early stopping."""
    from ntk_air.data.raw import Sample
    from ntk_air.data.synthetic import clusters

    spreads, rates = config.phase_spreads, config.phase_rates
    points = []
    for done, spread in enumerate(spreads):
        dataset = clusters(
            Sample(n_train=N_CLUSTERS * config.phase_points, n_test=0, seed=config.run.seed),
            n_clusters=N_CLUSTERS,
            spread=spread,
            n_classes=config.phase_classes,
        )
        kernel, _ = config.kernel.build(dataset, seed=0, precision=config.run.precision)
        problem = na.make_problem(dataset, kernel, precision=config.run.precision)
        points += [phase_point(config, problem, rate) for rate in rates]
        progress("phase diagram", done + 1, len(spreads))
    shape = (len(spreads), len(rates))
    phase = {name: np.reshape([point[name] for point in points], shape) for name in points[0]}
    return phase | {"spreads": np.array(spreads), "rates": np.array(rates)}


def phase_point(config: Config, problem: "na.Problem", rate: float) -> dict[str, float]:
    """One noise rate on clusters of one spread, exactly that share flipped in each."""
    from ntk_air.dynamics.label_noise.schedule_comparison import TIMES, training_outcome
    from ntk_air.dynamics.predictions.error import predicted_error

    noise, seed = na.SymmetricNoise(rate=rate, exact=True), config.run.seed
    problem = problem.with_label_noise(noise, seed=seed)
    outcome = training_outcome(problem, seed=seed)
    noisy = problem.dataset
    predicted = predicted_error(
        problem.spectrum,
        noisy.clean_labels,
        noisy.noise_probabilities,
        steps=TIMES,
        groups=noisy.groups,
    )
    eigenvalues = problem.spectrum.eigenvalues
    return {
        **vars(outcome),
        "predicted_error": float(np.min(predicted)),
        "gap": float(eigenvalues[N_CLUSTERS - 1] / eigenvalues[N_CLUSTERS]),
    }


EXPERIMENT = Experiment("self_distillation", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
