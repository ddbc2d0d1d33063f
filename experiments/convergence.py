"""Self-distillation reaches the clean labels in ℓ2; early stopping only has their signs right.

Follows gradient descent and self-distillation with identity, sharpened and hard labels: RMS
distance to the clean labels, zero–one error and smallest margin against steps, with the predicted
floor and memorisation level, exact curves over simulated points, and the certified step.
"""

import dataclasses

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_at_least, check_positive, check_whole_number
from ntk_air._base.progress import Progress
from ntk_air.lab.config import DataConfig, ExperimentConfig, KernelConfig, NoiseConfig
from ntk_air.lab.harness import Computed, Experiment, header, make_run_problem
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
    """Steps of the exact curves and of the event-driven run."""
    plain_steps: int = 10_000
    """Steps taken one by one: the sharpened labels, and the points over the exact curves."""
    warm_up: int | None = None
    """Plain steps before self-distillation; by default estimated from the noisy labels."""
    exponent: float = 1.5
    """Of the weight on the noisy labels, (1 + t/warm_up)^−exponent after the warm-up."""
    temperature: float = 0.3
    """Of the sharpened labels, in label units."""

    def __post_init__(self):
        for name in ("steps", "plain_steps", "warm_up"):
            if getattr(self, name) is not None:
                check_whole_number(name, getattr(self, name), minimum=1)
        check_at_least("exponent", self.exponent, 0)
        check_positive("temperature", self.temperature)

    def smoke(self) -> "Config":
        """Few inputs and steps."""
        data = dataclasses.replace(self.data, n_train=80)
        return dataclasses.replace(self, data=data, steps=20_000, plain_steps=500)


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.dynamics.label_noise.noise_estimate import estimate_noise
    from ntk_air.lab.report.trajectory_results import (
        certificate_numbers,
        curves,
        largest_difference,
        run_numbers,
    )

    noisy_dataset = config.noise.draws(dataset, seeds=[config.run.seed])[0]
    problem, kernel_name = make_run_problem(config, noisy_dataset, run, progress)
    warm_up = config.warm_up or estimate_noise(problem.spectrum, problem.noisy).steps
    schedule = na.weights.Power(exponent=config.exponent, scale=float(warm_up))

    def supervise(label_function: "na.label_functions.LabelFunction") -> "na.Supervision":
        return na.Supervision(label_function, schedule, warm_up=warm_up)

    hard, rate = supervise(na.label_functions.Hard()), problem.learning_rate
    times = np.unique(np.round(np.geomspace(1, config.steps, N_TIMES)))
    weights = hard.weights(np.arange(config.steps))
    runs = {
        "gradient_descent": na.solve(problem, na.Descent(), [*times, MEMORISED_STEPS]),
        "self_distillation_identity": na.solve(
            problem, na.filters.IdentityDistillation(rate, weights), times
        ),
        "self_distillation_hard": na.solve(
            problem, hard, times, na.EventDriven(progress=progress), store_at=times
        ),
    }

    def plain_steps(rule: "na.Descent | na.Supervision", at: np.ndarray) -> "na.Trajectory":
        return na.solve(problem, rule, at, na.Stepwise(progress=progress))

    points = np.intersect1d(
        times, times[np.linspace(0, np.sum(times <= config.plain_steps) - 1, N_POINTS).astype(int)]
    )
    simulated = {
        "gradient_descent": plain_steps(na.Descent(), points),
        "self_distillation_identity": plain_steps(supervise(na.label_functions.Identity()), points),
        "self_distillation_hard": plain_steps(hard, points),
    }
    runs["self_distillation_sharpened"] = plain_steps(
        supervise(na.label_functions.Sharpened(config.temperature)),
        times[times <= config.plain_steps],
    )
    certificate = na.certify(problem, hard, runs["self_distillation_hard"])
    results = {
        **header(dataset, noisy_dataset),
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


def predicted(problem: "na.Problem") -> dict[str, float | None]:
    """The distances that the theory predicts for these labels."""
    from ntk_air.dynamics.predictions.distance import early_stopping_floor, memorisation_level

    noise = problem.dataset.label_noise
    signal = None if noise is None else noise.signal_scale(problem.dataset.n_classes)
    floor = None if signal is None else early_stopping_floor(problem.clean, signal=signal)
    return {
        "floor_predicted": floor,
        "memorised_predicted": memorisation_level(problem.clean, problem.noisy),
    }


EXPERIMENT = Experiment("convergence", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
