"""How networks of finite width approach their kernel: in the kernel itself and in what they learn.

Trains dense networks of several widths by gradient descent and by each kind of self-distillation
beside the kernel prediction, and fits how kernel distance, drift in training and function gap fall
with the width. A larger run costs in proportion to widths × seeds × steps.
"""

import dataclasses
from typing import Any

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_at_least, check_choice, check_positive, check_whole_number
from ntk_air._base.progress import Progress
from ntk_air.lab.config import DataConfig, ExperimentConfig, KernelConfig, NoiseConfig
from ntk_air.lab.harness import Computed, Experiment, header, make_run_problem
from ntk_air.lab.run_folder import RunFolder

N_TIMES = 24
KINDS = ("gradient_descent", "identity", "sharpened", "hard", "last_epoch", "restart")


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of finite_width."""

    data: DataConfig = dataclasses.field(
        default_factory=lambda: DataConfig(dataset="clusters", n_train=80, n_test=8)
    )
    noise: NoiseConfig = dataclasses.field(
        default_factory=lambda: NoiseConfig(noise=0.2, exact=True)
    )
    kernel: KernelConfig = dataclasses.field(default_factory=lambda: KernelConfig(depth=2))
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048, 4096)
    """Widths of the hidden layers."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of training: gradient_descent, and self-distillation as identity, sharpened, hard,
    last_epoch, restart."""
    steps: int = 300
    """Steps of gradient descent."""
    warm_up: int = 10
    """Plain steps before self-distillation, and the early horizon of the fitted gap."""
    exponent: float = 1.5
    """Exponent of the weight on the noisy labels, (1 + t/warm_up)^−exponent after the warm-up."""
    temperature: float = 0.3
    """Temperature of the sharpened labels, in label units."""

    def __post_init__(self):
        if self.kernel.kernel != "dense" or self.kernel.is_own:
            raise ValueError(
                "kernel must be 'dense', the limit of dense networks as their width grows, which "
                "are trained here at each width: one network or matrix has no such family; got "
                f"{self.kernel.own_name or repr(self.kernel.kernel)}"
            )
        check_whole_number("warm_up", self.warm_up, minimum=2)
        check_whole_number("steps", self.steps, minimum=self.warm_up + 1)
        check_at_least("exponent", self.exponent, 0)
        check_positive("temperature", self.temperature)
        for width in self.widths:
            check_whole_number("widths", width, minimum=1)
        for kind in self.kinds:
            check_choice("kinds", kind, KINDS)
        if len(set(self.widths)) < 2:
            raise ValueError(f"widths must be two or more; got {self.widths}")

    def smoke(self) -> "Config":
        """Two narrow widths, two seeds, two kinds of training."""
        return dataclasses.replace(
            self,
            data=dataclasses.replace(self.data, n_train=24),
            run=dataclasses.replace(self.run, seeds=2),
            widths=(16, 64),
            kinds=("gradient_descent", "hard"),
            steps=30,
        )

    def supervisions(self) -> "dict[str, na.Supervision]":
        """Gradient descent and each kind of self-distillation."""
        from ntk_air.dynamics.supervision import plain_descent

        late = self.warm_up
        schedule = na.weights.Power(self.exponent, scale=float(late))
        every = {
            "gradient_descent": plain_descent(),
            "identity": na.Supervision(na.label_functions.Identity(), schedule, warm_up=late),
            "sharpened": na.Supervision(
                na.label_functions.Sharpened(self.temperature), schedule, warm_up=late
            ),
            "hard": na.Supervision(na.label_functions.Hard(), schedule, warm_up=late),
            "last_epoch": na.Supervision(
                na.label_functions.Hard(), schedule, na.teachers.LastEpoch(late), warm_up=late
            ),
            "restart": na.Supervision(
                na.label_functions.Hard(), schedule, na.teachers.Restart(5 * late), warm_up=late
            ),
        }
        return {kind: every[kind] for kind in self.kinds}


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    import jax

    from ntk_air.lab.report.width_results import width_arrays, width_numbers
    from ntk_air.networks.studies.finite_width import compare_with_kernel, network_problem

    noisy_dataset = config.noise.draws(dataset, seeds=[config.run.seed])[0]
    problem, kernel_name = make_run_problem(config, noisy_dataset, run, progress)
    times = np.unique(np.round(np.geomspace(1, config.steps, N_TIMES)))
    times = np.union1d(times, [0, config.warm_up])
    depth = config.kernel.depth or 3
    seeds = config.run.noise_seeds()

    inputs = problem.dataset.inputs.astype(config.run.precision)
    kernel = problem.replace(held_out=None)

    def train_all(name: str, supervision: "na.Supervision") -> dict[str, np.ndarray]:
        runs = []
        for index, width in enumerate(config.widths):
            network = na.networks.DenseNetwork(
                (width,) * (depth - 1),
                n_out=dataset.n_out,
                activation=config.kernel.activation,
                weight_variance=config.kernel.weight_variance,
                bias_variance=config.kernel.bias_variance,
            )
            keys = (jax.random.fold_in(jax.random.key(seed), width) for seed in seeds)
            starts = (network_problem(network, key, inputs, kernel.labels) for key in keys)
            runs.append(
                [
                    compare_with_kernel(start, kernel, supervision, times, descent=na.Descent())
                    for start in starts
                ]
            )
            progress(name, index + 1, len(config.widths))
        return width_arrays(runs)

    arrays: dict[str, Any] = {"steps": times, "widths": np.asarray(config.widths)}
    results: dict[str, Any] = {
        **header(dataset, noisy_dataset),
        "kernel": kernel_name,
        "precision": config.run.precision,
        "learning_rate": problem.learning_rate,
        "widths": list(config.widths),
        "seeds": seeds,
        "early_steps": config.warm_up,
        "late_steps": config.steps,
        "runs": {},
    }
    for name, supervision in config.supervisions().items():
        measured = run.stage(name, lambda n=name, s=supervision: train_all(n, s))
        results["runs"][name] = width_numbers(arrays, measured, early=config.warm_up)
        arrays |= {f"{name}_{key}": array for key, array in measured.items()}
    return results, arrays


EXPERIMENT = Experiment("finite_width", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
