"""Self-distillation on real networks beside methods from the literature, under label noise.

For each kind and rate of noise and each seed: a dense network trained by self-distillation with
the default schedule, chosen from the infinite-width kernel's spectrum on the same inputs and the
noisy labels alone; and by ten methods from the literature. Test accuracy against epochs; last,
best and last-ten-epoch mean; what is right and what is memorised of the training labels.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_choice, check_fractions, check_whole_number
from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.lab.config import FeaturesConfig, NoiseConfig, RunConfig
from ntk_air.lab.harness import Computed, Experiment, header
from ntk_air.lab.run_folder import RunFolder
from ntk_air.networks.studies import LITERATURE

if TYPE_CHECKING:
    from ntk_air._base.typing import AnyArray
    from ntk_air.networks.studies.noisy_comparison import TrainingPlan

LARGER_RUN = (
    "A larger run: time grows as n_train × network_epochs × weights of the network for training, "
    "and as n_train³ for the spectrum, which ends near 30,000 inputs."
)


@dataclasses.dataclass(frozen=True)
class Config(FeaturesConfig):
    """Options of noisy_networks."""

    run: RunConfig = dataclasses.field(default_factory=lambda: RunConfig(seeds=3))
    noise_rates: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    """Rates of symmetric noise besides --noise."""
    pair_rates: tuple[float, ...] = (0.4,)
    """Rates of pair noise besides --noise."""
    network_width: int = 256
    """Width of the hidden layers; depth and activation are the kernel's."""
    network_epochs: int = 40
    """Epochs of the methods from the literature."""
    batch_size: int = 100
    """Examples in a step."""
    round_passes: int = 4
    """The fewest passes of self-distillation in warm-up, round or finish: large steps can throw a
    narrow network out of its kernel's regime where λ₁ stands far above the other eigenvalues."""
    methods: tuple[str, ...] = LITERATURE
    """The methods from the literature to train."""
    cleaned: bool = True
    """Train on the kernel's probabilities of the clean labels, too (clean_labels)."""

    def __post_init__(self):
        super().__post_init__()
        if self.kernel.kernel != "dense" or self.kernel.is_own:
            raise ValueError(
                "kernel must be 'dense', the limit of the dense networks that every method here "
                f"trains; got {self.kernel.own_name or repr(self.kernel.kernel)}"
            )
        check_fractions("noise_rates", self.noise_rates)
        check_fractions("pair_rates", self.pair_rates)
        for name in ("network_width", "network_epochs", "batch_size", "round_passes"):
            check_whole_number(name, getattr(self, name), minimum=1)
        for name in self.methods:
            check_choice("methods", name, LITERATURE)

    def smoke(self) -> "Config":
        """A small subset and network, one rate, two seeds, one method."""
        return dataclasses.replace(
            self,
            data=dataclasses.replace(self.data, n_train=120, n_test=100),
            noise_rates=(),
            pair_rates=(),
            kernel=dataclasses.replace(self.kernel, depth=2),
            methods=("early_learning",),
            network_width=32,
            network_epochs=10,
            batch_size=20,
            run=dataclasses.replace(self.run, seeds=2),
        )


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.lab.report.network_results import comparison_numbers

    settings, seeds = settings_for(config, dataset), config.run.noise_seeds()
    draws = []
    for done, seed in enumerate(seeds):
        # The kernel of a seed is made once, and not at all where all its stages are resumed.
        kernel = functools.cache(functools.partial(kernel_for, config, seed))
        for name, noise in settings.items():
            stage = functools.partial(compared, config, seed, noise, kernel)
            draws.append(run.stage(f"seed-{seed}-{name.replace(' ', '-')}", stage))
        progress("comparing methods", done + 1, len(seeds))
    shape = (len(seeds), len(settings))
    arrays = {
        name: np.reshape([draw[name] for draw in draws], (*shape, *draws[0][name].shape))
        for name in draws[0]
    }
    widths = plan_for(config).widths
    results = {
        **header(dataset),
        "kernel": config.kernel.run_name(),
        "network": f"dense, {' – '.join(map(str, widths))} {config.kernel.activation} units",
        **({} if config.features is None else {"features": config.features}),
        "network_epochs": config.network_epochs,
        "batch_size": config.batch_size,
        "seeds": seeds,
        "larger_run": LARGER_RUN,
        **comparison_numbers(arrays, list(settings)),
    }
    return results, arrays


def settings_for(config: Config, dataset: "na.Dataset") -> dict[str, NoiseConfig | None]:
    """Each kind and rate of noise by name; ``None`` keeps the labels given with the data."""
    if dataset.label_noise is not None:
        return {f"{dataset.label_noise.kind} noise": None}
    rates = {"symmetric": config.noise_rates, "pair_flip": config.pair_rates}
    chosen = {(config.noise.noise_kind, config.noise.noise)}
    chosen |= {(kind, rate) for kind, some in rates.items() for rate in some}
    order = ("symmetric", "pair_flip", "instance_dependent")
    return {
        f"{rate:.0%} {kind}": dataclasses.replace(config.noise, noise_kind=kind, noise=rate)
        for kind, rate in sorted(chosen, key=lambda pair: (order.index(pair[0]), pair[1]))
    }


def plan_for(config: Config) -> "TrainingPlan":
    """What all methods train with."""
    from ntk_air.networks.studies.noisy_comparison import TrainingPlan

    depth = 3 if config.kernel.depth is None else config.kernel.depth
    return TrainingPlan(
        widths=(config.network_width,) * (depth - 1),
        activation=config.kernel.activation,
        n_epochs=config.network_epochs,
        batch_size=config.batch_size,
        least_passes=config.round_passes,
        methods=config.methods,
    )


def kernel_for(config: Config, seed: int) -> "na.Problem":
    """The problem of a seed at infinite width, with clean labels unless it has noisy ones."""
    dataset = config.kernel.prepare(config.load_features(seed))
    precision, memory = config.run.precision, parse_bytes(config.run.max_memory)
    kernel, _ = config.kernel.build(dataset, seed=seed, precision=precision)
    return na.make_problem(dataset, kernel, precision=precision, max_memory_bytes=memory)


def compared(
    config: Config, seed: int, noise: NoiseConfig | None, kernel: "Callable[[], na.Problem]"
) -> "Mapping[str, AnyArray]":
    """All methods on one draw of noise, as arrays."""
    from ntk_air.lab.report.network_results import run_arrays
    from ntk_air.networks.studies.noisy_comparison import Guidance, compare_methods

    problem = kernel()
    if noise is not None:
        problem = problem.with_label_noise(noise.build(), seed=seed)
    schedule = na.default_schedule(problem, seed=seed)
    kernel_run = na.solve(problem, schedule.rounds)
    posterior = na.clean_labels(problem).posterior if config.cleaned else None
    runs = compare_methods(
        problem.dataset,
        Guidance(schedule.rounds, problem.largest_eigenvalue, posterior),
        plan_for(config),
        seed=seed,
    )
    end = kernel_run.last().held_out
    assert end is not None
    return run_arrays(runs, length=max(config.network_epochs, 40)) | {
        "noise_rate": np.array(problem.dataset.noise_fraction),
        "infinite_width_final": np.array(float(end.accuracy)),
        "noise_rate_estimate": np.array(schedule.noise.noise_rate),
        "warm_up_steps": np.array(float(schedule.noise.steps)),
        "epoch_steps": np.array(float(schedule.rounds.epoch_length)),
        "rounds": np.array(float(schedule.rounds.n_rounds)),
    }


EXPERIMENT = Experiment("noisy_networks", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
