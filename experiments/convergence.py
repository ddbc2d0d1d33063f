"""Self-distillation reaches the clean labels in ℓ2; early stopping only has their signs right.

Follows gradient descent and self-distillation with identity, sharpened and hard labels: RMS
distance to the clean labels, zero–one error and smallest margin against steps, with the predicted
floor and memorisation level, exact curves over simulated points, and the certified step.
"""

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ntk_air._base.progress import Progress
from ntk_air.data.dataset import Dataset
from ntk_air.dynamics.certificates.run_certificate import certify
from ntk_air.dynamics.event_driven.event_driven import EventDriven
from ntk_air.dynamics.filters import IdentityDistillation
from ntk_air.dynamics.label_noise.noise_estimate import estimate_noise
from ntk_air.dynamics.predictions.distance import early_stopping_floor, memorisation_level
from ntk_air.dynamics.rules import Descent
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.solve import solve
from ntk_air.dynamics.stepwise.simulate import Stepwise
from ntk_air.dynamics.supervision import (
    Hard,
    Identity,
    LabelFunction,
    Power,
    Sharpened,
    Supervision,
)
from ntk_air.lab.config import DataConfig, ExperimentConfig, KernelConfig, NoiseConfig
from ntk_air.lab.harness import Experiment, main, make_run_problem
from ntk_air.lab.report import convergence as report
from ntk_air.lab.report.trajectory_results import (
    certificate_numbers,
    curves,
    largest_difference,
    run_numbers,
)
from ntk_air.lab.run_folder import RunFolder
from ntk_air.problem import Problem

MEMORISED_STEPS = 1e15
N_TIMES = 200
N_POINTS = 13


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of convergence."""

    data: DataConfig = dataclasses.field(default_factory=lambda: DataConfig(dataset="clusters"))
    noise: NoiseConfig = dataclasses.field(
        default_factory=lambda: NoiseConfig(noise=0.2, exact=True)
    )
    kernel: KernelConfig = dataclasses.field(default_factory=lambda: KernelConfig(depth=2))
    steps: int = 1_000_000
    """Steps of the exact curves and of the event-driven run."""
    plain_steps: int = 10_000
    """Steps taken one by one: the sharpened labels, and the points over the exact curves."""
    warm_up: int | None = None
    """Plain steps before self-distillation; by default estimated from the noisy labels."""
    exponent: float = 1.5
    """Of the weight on the noisy labels, (1 + t/warm_up)^−exponent after the warm-up."""
    temperature: float = 0.3
    """Of the sharpened labels, in label units."""

    def smoke(self) -> "Config":
        """Few inputs and steps."""
        data = dataclasses.replace(self.data, n_train=80)
        return dataclasses.replace(self, data=data, steps=20_000, plain_steps=500)


def compute(
    config: Config, dataset: Dataset, run: RunFolder, progress: Progress
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The numbers of results.json and the curves of arrays.npz."""
    noisy_dataset = config.noise.draws(dataset, seeds=[config.run.seed])[0]
    problem, kernel_name = make_run_problem(config, noisy_dataset, run, progress)
    warm_up = config.warm_up or estimate_noise(problem.spectrum, problem.noisy).steps
    schedule = Power(exponent=config.exponent, scale=float(warm_up))

    def supervise(label_function: LabelFunction) -> Supervision:
        return Supervision(label_function, schedule, warm_up=warm_up)

    hard, rate = supervise(Hard()), problem.learning_rate
    times = np.unique(np.round(np.geomspace(1, config.steps, N_TIMES)))
    weights = hard.weights(np.arange(config.steps))
    runs = {
        "gradient_descent": solve(problem, Descent(), [*times, MEMORISED_STEPS]),
        "self_distillation_identity": solve(problem, IdentityDistillation(rate, weights), times),
        "self_distillation_hard": solve(
            problem, hard, times, EventDriven(progress=progress), store_at=times
        ),
    }

    def plain_steps(rule: Descent | Supervision, at: np.ndarray) -> Trajectory:
        return solve(problem, rule, at, Stepwise(progress=progress))

    points = np.intersect1d(
        times, times[np.linspace(0, np.sum(times <= config.plain_steps) - 1, N_POINTS).astype(int)]
    )
    simulated = {
        "gradient_descent": plain_steps(Descent(), points),
        "self_distillation_identity": plain_steps(supervise(Identity()), points),
        "self_distillation_hard": plain_steps(hard, points),
    }
    runs["self_distillation_sharpened"] = plain_steps(
        supervise(Sharpened(config.temperature)), times[times <= config.plain_steps]
    )
    certificate = certify(problem, hard, runs["self_distillation_hard"])
    results = {
        **predicted(problem),
        "kernel": kernel_name,
        "precision": problem.spectrum.precision,
        "learning_rate": rate,
        "warm_up_steps": warm_up,
        **{name: run_numbers(trajectory) for name, trajectory in runs.items()},
        "certificate": certificate_numbers(certificate),
        "closed_form_max_abs_error": max(
            largest_difference(runs[name], steps) for name, steps in simulated.items()
        ),
    }
    arrays = {}
    for name, trajectory in runs.items():
        arrays |= curves(name, trajectory)
    for name, trajectory in simulated.items():
        arrays |= curves(f"simulated_{name}", trajectory)
    return results, arrays


def predicted(problem: Problem) -> dict[str, Any]:
    """The data set, and the distances that the theory predicts for its labels."""
    dataset, noise = problem.dataset, problem.dataset.label_noise
    signal = None if noise is None else noise.signal_scale(dataset.n_classes)
    floor = None if signal is None else early_stopping_floor(problem.clean, signal=signal)
    return {
        "dataset": dataset.name,
        "n_train": dataset.n_train,
        "n_classes": dataset.n_classes,
        "noise_kind": "none" if noise is None else noise.kind,
        "noise_rate": dataset.noise_fraction,
        "floor_predicted": floor,
        "memorised_predicted": memorisation_level(problem.clean, problem.noisy),
    }


EXPERIMENT = Experiment(
    name="convergence",
    compute=compute,
    save_figures=report.save_figures,
    summary=report.summary,
)

if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    sys.exit(main(EXPERIMENT, Config, __doc__ or ""))
