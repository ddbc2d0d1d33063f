"""Clean labels live in the top eigenspaces of the neural tangent kernel; label noise does not.

Decomposes the kernel of a data set and measures Anisotropic Information Retrieval: energies of
clean labels and of centred noise by eigenspace, half-lives, the AIR curve with its area, and the
share of the labels in the top five eigenspaces against the noise rate.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_fraction
from ntk_air._base.progress import Progress
from ntk_air.lab.config import ExperimentConfig
from ntk_air.lab.harness import Computed, Experiment, header, make_run_problem
from ntk_air.lab.run_folder import RunFolder

if TYPE_CHECKING:
    from ntk_air._base.typing import Targets

NOISE_RATES = tuple(rate / 10 for rate in range(9))
TOP = 5
N_ROUNDS = 10


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of eigen_spectrum."""

    delta: float = 0.2
    """The AIR window holds the times with 1 − δ of the signal and at most δ of the noise."""

    def __post_init__(self):
        check_fraction("delta", self.delta)

    def smoke(self) -> "Config":
        """A small subset, two seeds and every fourth noise rate."""
        return dataclasses.replace(
            self,
            data=dataclasses.replace(self.data, n_train=min(self.data.n_train or 200, 200)),
            run=dataclasses.replace(self.run, seeds=2),
        )


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.air import air_over_draws, random_label_control, random_labels
    from ntk_air.lab.report.air_results import air_arrays, air_numbers, spectrum_numbers

    problem, kernel_name = make_run_problem(config, dataset.subset(n_test=0), run, progress)
    spectrum = problem.spectrum
    draws = config.noise.draws(dataset, seeds=config.run.noise_seeds())
    noisy = np.stack([draw.noisy_targets() for draw in draws])
    expected = np.stack([draw.expected_noisy_targets() for draw in draws])
    clean = dataset.clean_targets()
    labels = na.Labels(noisy[0], clean, expected_noisy=expected[0])
    summary = na.air_summary(problem.replace(labels=labels), delta=config.delta)
    over_draws = air_over_draws(spectrum, clean, expected, noisy)
    control, control_curve = None, None
    if summary.curve is not None:
        # Labels of one's own are a single draw; the random labels beside them are still many.
        noise = np.resize(noisy - expected, (config.run.seeds, *clean.shape))
        seed = config.run.seed
        control = random_label_control(spectrum, clean, noise, seed=seed)
        control_labels = random_labels(clean, n_draw=1, seed=seed)[0]
        control_curve = na.air_curve(spectrum, control_labels, noise[0])
    arrays = air_arrays(spectrum.eigenvalues, summary, over_draws, control_curve)
    results = {
        **header(dataset, draws[0]),
        "noise_rate": float(np.mean([draw.noise_fraction for draw in draws])),
        "seeds": config.run.noise_seeds(),
        "kernel": kernel_name,
        **spectrum_numbers(spectrum),
        **air_numbers(summary, over_draws, control, n_mode=spectrum.n_mode),
        "kernel_target_alignment": na.kernel_target_alignment(spectrum, clean),
        "top5_energy_by_noise": top_energy_by_noise(config, dataset, spectrum, progress),
    }
    return results, arrays


def top_energy_by_noise(
    config: Config, dataset: "na.Dataset", spectrum: "na.Spectrum", progress: Progress
) -> dict[str, Any]:
    """The share of noisy and of self-distilled labels in the top eigenspaces, by noise rate."""
    from ntk_air.air.summary import spread
    from ntk_air.lab.report.air_results import spread_numbers

    clean = dataset.without_label_noise()
    rates = NOISE_RATES[::4] if config.run.smoke else NOISE_RATES
    columns: dict[str, list[Any]] = {"noise_rate": list(rates)}
    for done, rate in enumerate(rates):
        progress("noise rates", done, len(rates))
        noise = config.noise.build(rate)
        seeds = config.run.noise_seeds()
        labels = [clean.with_label_noise(noise, seed=seed).noisy_targets() for seed in seeds]
        shares = {
            "noisy": [top_energy(spectrum, noisy) for noisy in labels],
            # A run takes a second: one draw of each rate.
            "self_distilled": [top_energy(spectrum, self_distilled(spectrum, labels[0]))],
        }
        for name, values in shares.items():
            for key, value in spread_numbers(name, spread(np.array(values))).items():
                columns.setdefault(key, []).append(value)
    progress("noise rates", len(rates), len(rates))
    return {"k": TOP, "clean": top_energy(spectrum, dataset.clean_targets())} | columns


def self_distilled(spectrum: "na.Spectrum", noisy: "Targets") -> "Targets":
    """The labels that self-distillation makes of noisy ones, which alone it looks at."""
    from ntk_air.dynamics.label_noise.default_schedule import WEIGHT
    from ntk_air.dynamics.label_noise.noise_estimate import estimate_noise

    noise = estimate_noise(spectrum, noisy)
    sharpened = na.label_functions.Sharpened(noise.temperature)
    teacher = na.teachers.Restart(2 * noise.steps)
    supervision = na.Supervision(
        sharpened, na.weights.Constant(WEIGHT), teacher, warm_up=noise.steps
    )
    rounds = na.Rounds(supervision, N_ROUNDS, finish=sharpened)
    problem = na.Problem(na.Labels(noisy), spectrum=spectrum)
    return na.solve(problem, rounds).final.predictions


def top_energy(spectrum: "na.Spectrum", labels: "Targets") -> float:
    """The share of labels in the top eigenspaces."""
    return float(na.energy_in_top(spectrum, labels)[TOP - 1])


EXPERIMENT = Experiment("eigen_spectrum", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
