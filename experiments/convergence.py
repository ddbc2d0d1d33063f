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
from ntk_air.dynamics.certificates.run_certificate import first_certified_step
from ntk_air.dynamics.certificates.tail_bounds import tail_basis
from ntk_air.dynamics.closed_form.exact import exact_trajectory
from ntk_air.dynamics.closed_form.filters import GradientDescent
from ntk_air.dynamics.closed_form.scheduled_filters import IdentityDistillation
from ntk_air.dynamics.event_driven.event_driven import simulate_by_jumps
from ntk_air.dynamics.label_noise.noise_estimate import estimate_noise
from ntk_air.dynamics.predictions.distance import early_stopping_floor, memorisation_level
from ntk_air.dynamics.stepwise.simulate import simulate
from ntk_air.dynamics.supervision import (
    Hard,
    Identity,
    LabelFunction,
    Power,
    Sharpened,
    Supervision,
    plain_descent,
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
    """Steps of the exact curves and of the jumps."""
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
    common: dict[str, Any] = {
        "noisy": problem.noisy,
        "clean": problem.clean,
        "held_out": problem.held_out,
    }
    runs = {
        "gradient_descent": exact_trajectory(
            problem.spectrum,
            rule=GradientDescent(rate),
            times=[*times, MEMORISED_STEPS],
            **common,
        ),
        "self_distillation_identity": exact_trajectory(
            problem.spectrum, rule=IdentityDistillation(rate, weights), times=times, **common
        ),
        "self_distillation_hard": simulate_by_jumps(
            problem.spectrum,
            supervision=hard,
            times=times,
            learning_rate=rate,
            store_at=times,
            progress=progress,
            **common,
        ),
    }

    def plain_steps(supervision: Supervision, at: np.ndarray) -> Any:
        return simulate(
            problem.theta,
            supervision=supervision,
            times=at,
            learning_rate=rate,
            largest_eigenvalue=problem.spectrum.lambda_max,
            progress=progress,
            **common,
        )

    points = np.intersect1d(
        times, times[np.linspace(0, np.sum(times <= config.plain_steps) - 1, N_POINTS).astype(int)]
    )
    simulated = {
        "gradient_descent": plain_steps(plain_descent(), points),
        "self_distillation_identity": plain_steps(supervise(Identity()), points),
        "self_distillation_hard": plain_steps(hard, points),
    }
    runs["self_distillation_sharpened"] = plain_steps(
        supervise(Sharpened(config.temperature)), times[times <= config.plain_steps]
    )
    stored = runs["self_distillation_hard"].stored
    assert stored is not None  # asked for above
    certificate = first_certified_step(
        tail_basis(problem.spectrum),
        stored,
        problem.noisy,
        hard,
        learning_rate=rate,
        clean=problem.clean,
    )
    noise = noisy_dataset.label_noise
    signal = None if noise is None else noise.signal_scale(dataset.n_classes)
    results = {
        "dataset": dataset.name,
        "n_train": dataset.n_train,
        "n_classes": dataset.n_classes,
        "noise_kind": "none" if noise is None else noise.kind,
        "noise_rate": noisy_dataset.noise_fraction,
        "kernel": kernel_name,
        "precision": problem.spectrum.precision,
        "learning_rate": rate,
        "warm_up_steps": warm_up,
        "floor_predicted": None
        if signal is None
        else early_stopping_floor(problem.clean, signal=signal),
        "memorised_predicted": memorisation_level(problem.clean, problem.noisy),
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


EXPERIMENT = Experiment(
    name="convergence",
    compute=compute,
    save_figures=report.save_figures,
    summary=report.summary,
)

if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    sys.exit(main(EXPERIMENT, Config, __doc__ or ""))
