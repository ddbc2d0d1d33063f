"""Activations and architectures: how anisotropic each kernel is, and what that is good for.

For each architecture and seed: AIR-AUC, eigengap, and the test accuracy of self-distillation by its
default schedule beside plain descent, stopped by an oracle and not stopped. On image sets
convolutional kernels are compared too; tables and texts (--dataset wine, breast_cancer, sms_spam)
have the dense ones.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

import ntk_air as na
from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.lab.config import DataConfig, ExperimentConfig, KernelConfig, NoiseConfig, RunConfig
from ntk_air.lab.harness import Computed, Experiment, header
from ntk_air.lab.run_folder import RunFolder

if TYPE_CHECKING:
    from ntk_air._base.typing import AnyArray

DENSE = (
    "dense:1",
    "dense:relu:2",
    "dense:relu:3",
    "dense:relu:5",
    "dense:erf:2",
    "dense:erf:3",
    "dense:erf:5",
    "dense:gelu:3",
    "dense:sine:3",
    "dense:abs:3",
    "nngp:relu:3",
    "empirical:relu:3",
    "empirical:relu:3:standard",
)
ON_IMAGES = ("convolutional:relu", "convolutional:erf")

LARGER_RUN = (
    "A larger run: time grows as n_train³ × seeds × architectures for dense kernels, 2 s each at "
    "300 inputs; convolutional kernels add n_train² × pixels², 15 s a seed for 300 + 300 inputs of "
    "8 × 8 (stax:resnet: a minute), so 150 times that for 28 × 28."
)


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of architectures."""

    data: DataConfig = dataclasses.field(
        default_factory=lambda: DataConfig(n_train=300, n_test=300)
    )
    noise: NoiseConfig = dataclasses.field(default_factory=lambda: NoiseConfig(noise=0.4))
    run: RunConfig = dataclasses.field(default_factory=lambda: RunConfig(seeds=3))
    architectures: tuple[str, ...] = ()
    """Each as KERNEL:ACTIVATION:DEPTH, such as dense:erf:3, empirical_residual:relu:standard or
    stax:resnet, with --kernel's names; by default a dozen dense ones, and convolutional ones on
    images."""

    def __post_init__(self):
        if self.kernel != KernelConfig():
            raise ValueError("kernel options must be left out: name kernels by architectures")
        for text in self.architectures:
            KernelConfig.from_text(text)

    def smoke(self) -> "Config":
        """A small subset, two architectures, two seeds."""
        return dataclasses.replace(
            self,
            data=dataclasses.replace(self.data, n_train=60, n_test=60),
            run=dataclasses.replace(self.run, seeds=2),
            architectures=("dense:1", "empirical:relu:2"),
        )

    def load(self) -> "na.Dataset":
        """The data set in the shape it has: every architecture prepares its own."""
        return self.data.load(seed=self.run.seed)

    def run_name(self, dataset: "na.Dataset") -> str:
        """Data and noise, for the default folder."""
        chosen = f"-{len(self.architectures)}chosen" if self.architectures else ""
        return f"{self.data.run_name()}-{self.noise.run_name(dataset)}{chosen}"

    def kernels(self, dataset: "na.Dataset") -> dict[str, KernelConfig]:
        """Each architecture by its text."""
        default = DENSE + (ON_IMAGES if dataset.inputs.ndim == 4 else ())
        return {text: KernelConfig.from_text(text) for text in self.architectures or default}


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.lab.report.quality_results import quality_numbers, rank_correlations

    kernels, seeds = config.kernels(dataset), config.run.noise_seeds()
    for kernel in kernels.values():
        kernel.prepare(dataset)  # refuse what cannot be before anything is computed
    draws = []
    for seed in seeds:
        for kernel in kernels.values():
            stage = f"seed-{seed}-{kernel.run_name()}"
            draws.append(run.stage(stage, lambda s=seed, k=kernel: measured(config, s, k)))
            progress("architectures", len(draws), len(seeds) * len(kernels))
    shape = (len(seeds), len(kernels))
    arrays = {name: np.reshape([draw[name] for draw in draws], shape) for name in draws[0]}
    numbers = quality_numbers(arrays)
    results = {
        **header(dataset),
        "noise_kind": config.noise.noise_kind if dataset.label_noise is None else "human",
        "precision": config.run.precision,
        "seeds": seeds,
        "architectures": list(kernels),
        "larger_run": LARGER_RUN,
        **numbers,
        "rank_correlation": rank_correlations(numbers),
    }
    return results, arrays


def measured(config: Config, seed: int, kernel: KernelConfig) -> "Mapping[str, AnyArray]":
    """One architecture on one draw of data and noise."""
    from ntk_air.lab.kernel_quality import kernel_quality
    from ntk_air.lab.report.quality_results import quality_arrays

    dataset = kernel.prepare(config.data.load(seed=seed))
    if dataset.label_noise is None:
        dataset = dataset.with_label_noise(config.noise.build(), seed=seed)
    precision = config.run.precision
    built, _ = kernel.build(dataset, seed=seed, precision=precision)
    memory = parse_bytes(config.run.max_memory)
    problem = na.make_problem(dataset, built, precision=precision, max_memory_bytes=memory)
    return quality_arrays(kernel_quality(problem.replace(seed=seed)))


EXPERIMENT = Experiment("architectures", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
