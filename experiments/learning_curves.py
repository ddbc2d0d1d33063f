"""The test error that spectrum and labels foretell, beside the measured one.

The training inputs are the population. From its kernel's spectrum and its clean labels the error of
ridge regression on n of its points is predicted before any training, and measured on random draws.
"""

import dataclasses

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_positive, check_whole_number
from ntk_air._base.progress import Progress
from ntk_air.lab.config import ExperimentConfig, NoiseConfig
from ntk_air.lab.harness import Computed, Experiment, header, make_run_problem
from ntk_air.lab.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of learning_curves."""

    noise: NoiseConfig = dataclasses.field(default_factory=lambda: NoiseConfig(noise=0.0))
    ridge: float = 0.01
    """Penalty, a share of the mean of Θ's diagonal."""
    sizes: int = 10
    """Numbers of training points, from 10 to half of the population."""

    def __post_init__(self):
        check_positive("ridge", self.ridge)
        check_whole_number("sizes", self.sizes, minimum=2)
        if self.noise.noise:
            raise ValueError(f"noise must be 0: labels are clean here; got {self.noise.noise}")

    def smoke(self) -> "Config":
        """A small population, few sizes and draws."""
        data = dataclasses.replace(self.data, n_train=min(self.data.n_train or 120, 120))
        run = dataclasses.replace(self.run, seeds=2)
        return dataclasses.replace(self, data=data, run=run, sizes=4)


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.data.draws import generator, shuffled
    from ntk_air.dynamics.predictions.learning_curve import predicted_risk
    from ntk_air.lab.report.seeds import over_seeds

    if dataset.n_train < 40:
        raise ValueError(f"n_train must be at least 40, the population; got {dataset.n_train}")
    if dataset.label_noise is not None:
        raise ValueError(f"dataset must have clean labels alone; got {dataset.label_noise.kind}")
    problem, kernel_name = make_run_problem(config, dataset, run, progress)
    theta, target, spectrum = np.asarray(problem.theta), problem.noisy, problem.spectrum
    ridge = config.ridge * float(np.mean(np.diag(theta)))
    population = len(theta)
    sizes = np.unique(np.round(np.geomspace(10, population // 2, config.sizes)).astype(int))
    energies = np.sum((np.asarray(spectrum.eigenvectors).T @ target) ** 2, axis=1) / population
    values = np.maximum(np.asarray(spectrum.eigenvalues), 0) / population
    measured = []
    for seed in config.run.noise_seeds():
        rng = generator(seed, "points of a learning curve")
        errors = []
        for size in sizes:
            rows = shuffled(np.arange(population), rng)[:size]
            damped = theta[np.ix_(rows, rows)] + ridge * np.eye(size)
            outputs = theta[:, rows] @ np.linalg.solve(damped, target[rows])
            errors.append(np.sum((outputs - target) ** 2) / population)
        measured.append(errors)
    predicted = [predicted_risk(values, energies, int(size), ridge=ridge) for size in sizes]
    results = {
        **header(dataset),
        "kernel": kernel_name,
        "precision": spectrum.precision,
        "seeds": config.run.noise_seeds(),
        "ridge": ridge,
        "sizes": sizes.tolist(),
        "predicted": predicted,
        **over_seeds("measured", np.array(measured)),
    }
    return results, {
        "sizes": sizes,
        "predicted": np.array(predicted),
        "measured": np.array(measured),
    }


EXPERIMENT = Experiment("learning_curves", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
