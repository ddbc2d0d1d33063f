"""AIR depends on where the network starts: a kernel of pixels, and kernels that see.

The same noisy labels of images under kernels of pixels (dense, convolutional), of features of a
network that was trained on ImageNet (dense, linear), and the empirical NTK of that whole network:
AIR curve, where the energy of clean labels lies, and what self-distillation by its default schedule
gains over early stopping. Slow kernels are measured on --few of the images, beside the others.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_whole_number
from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.lab.config import DataConfig, ExperimentConfig, KernelConfig, NoiseConfig, RunConfig
from ntk_air.lab.harness import Computed, Experiment, header
from ntk_air.lab.run_folder import RunFolder

if TYPE_CHECKING:
    from ntk_air._base.typing import AnyArray

LARGER_RUN = (
    "A larger run: on two cores features take 0.05 s an image, a dense kernel and its schedules "
    "10 s at 1,000 inputs, growing as n_train³; the convolutional kernel grows as few² × side⁴, "
    "the whole network's as few² after some minutes of compilation."
)


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of pretrained_features."""

    data: DataConfig = dataclasses.field(
        default_factory=lambda: DataConfig(n_train=1000, n_test=359)
    )
    noise: NoiseConfig = dataclasses.field(default_factory=lambda: NoiseConfig(noise=0.4))
    run: RunConfig = dataclasses.field(default_factory=lambda: RunConfig(seeds=3))
    features: str = "efficientnet_lite0"
    """efficientnet_lite0 (extra pretrained), with :SIZE for another size of images than 160, or
    MODULE:FUNCTION, from images (n, height, width, channels) to features (n, ...)."""
    few: int = 300
    """Training images, and at most as many held-out ones, for kernels that are slow."""
    side: int = 8
    """Height and width of the images of the convolutional kernel."""
    network_size: int = 0
    """Height and width of the images of the whole network's kernel, such as 64; 0 leaves it out."""

    def __post_init__(self):
        if self.kernel.takes_images or self.kernel.is_finite:
            raise ValueError(f"kernel must be dense or nngp; got {self.kernel.kernel!r}")
        self.kernel.require_any_inputs("pretrained_features, on pixels and on features of them,")
        check_whole_number("few", self.few, minimum=20)
        check_whole_number("side", self.side, minimum=2)
        check_whole_number("network_size", self.network_size)

    def smoke(self) -> "Config":
        """A small subset of small images, two seeds."""
        return dataclasses.replace(
            self,
            data=dataclasses.replace(self.data, n_train=60, n_test=60),
            run=dataclasses.replace(self.run, seeds=2),
            features="efficientnet_lite0:32",
            few=60,
            side=4,
        )

    def load(self) -> "na.Dataset":
        """The images as they are: every kernel prepares its own."""
        dataset = self.data.load(seed=self.run.seed)
        if dataset.inputs.ndim != 4:
            raise ValueError(
                f"dataset must hold images (n, height, width, channels); got {dataset.name!r} "
                f"with inputs {dataset.inputs.shape}"
            )
        return dataset


class Row(NamedTuple):
    """A kernel on a number of images: how its problem is made, with clean or human labels."""

    name: str
    n_train: int
    problem: "Callable[[], na.Problem]"


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.lab.report.pretrained_features import SHARES
    from ntk_air.lab.report.quality_results import quality_numbers
    from ntk_air.lab.report.seeds import over_seeds

    rows, draws, noise = rows_of(config, dataset, run, progress), [], dataset.label_noise
    for done, row in enumerate(rows, start=1):
        stage = functools.partial(measured, config, row)
        draws.append(run.stage(f"{row.name}-{row.n_train}", stage))
        progress("kernels", done, len(rows))
    arrays = {name: np.stack([draw[name] for draw in draws], axis=1) for name in draws[0]}
    results = {
        **header(dataset),
        "noise_kind": noise.kind if noise is not None else config.noise.noise_kind,
        "features": config.features,
        "precision": config.run.precision,
        "seeds": config.run.noise_seeds(),
        "kernels": [row.name for row in rows],
        "kernel_n_train": [row.n_train for row in rows],
        "side": config.side,
        "network_size": config.network_size,
        "larger_run": LARGER_RUN,
        **quality_numbers(arrays),
        **over_seeds("energy_clean_top_tenth", arrays["energy_clean_top_tenth"]),
    }
    return results, arrays | {"shares": SHARES}


def rows_of(config: Config, images: "na.Dataset", run: RunFolder, progress: Progress) -> list[Row]:
    """All kernels on all images, and on few of them with those that are slow."""
    seen = featured(config, images, run)
    few = {"n_train": min(config.few, images.n_train), "n_test": min(config.few, images.n_test)}
    some, some_seen = (data.subset(**few, seed=config.run.seed) for data in (images, seen))
    dense, linear = config.kernel, KernelConfig(depth=1)
    convolutional = KernelConfig("convolutional", blocks=(1, 1))
    small = some.resized(config.side, config.side)

    def row(name: str, kernel: KernelConfig, data: "na.Dataset") -> Row:
        return Row(name, data.n_train, functools.partial(problem_of, config, kernel, data))

    rows = [
        row("pixels", dense, images),
        row("features", dense, seen),
        row("features_linear", linear, seen),
        row("pixels", dense, some),
        row("convolutional", convolutional, small),
        row("features", dense, some_seen),
        row("features_linear", linear, some_seen),
    ]
    if config.network_size:
        whole = functools.partial(whole_network, config, some, progress)
        rows.append(Row("whole_network", some.n_train, whole))
    return list({(row.name, row.n_train): row for row in rows}.values())


def featured(config: Config, images: "na.Dataset", run: RunFolder) -> "na.Dataset":
    """The data with features for images, made once."""
    from ntk_air.lab.features import features_from_text

    def made() -> "Mapping[str, AnyArray]":
        memory = parse_bytes(config.run.max_memory)
        features = features_from_text(config.features, max_memory_bytes=memory)
        data = images.with_inputs(features)
        return {"train": data.inputs, "test": data.test_inputs}

    kept = run.stage("features", made)
    return images.with_inputs(lambda x: kept["train" if x is images.inputs else "test"])


def problem_of(config: Config, kernel: KernelConfig, data: "na.Dataset") -> "na.Problem":
    """The problem of a kernel of infinite width."""
    precision, prepared = config.run.precision, kernel.prepare(data)
    built, _ = kernel.build(prepared, seed=config.run.seed, precision=precision)
    memory = parse_bytes(config.run.max_memory)
    return na.make_problem(prepared, built, precision=precision, max_memory_bytes=memory)


def whole_network(config: Config, data: "na.Dataset", progress: Progress) -> "na.Problem":
    """The problem of the whole network's empirical NTK, of one output and in float32."""
    import jax

    from ntk_air.problem.labels import HeldOut, dataset_labels

    features = na.PretrainedFeatures(size=config.network_size)
    model = features.network(1, jax.random.key(config.run.seed))
    # Per-example Jacobians are estimated to be faster here, and fit in tiles of one image alone.
    kernel = na.EmpiricalNTK(*model, method="layerwise")
    train, test = (part.astype(np.float32) for part in (data.inputs, data.test_inputs))
    memory = parse_bytes(config.run.max_memory)
    theta, cross = (
        na.gram_matrix(kernel, *x, max_memory_bytes=memory, progress=progress).astype(float)
        for x in ((train,), (test, train))
    )
    held_out = HeldOut(cross, data.test_targets())
    spectrum = na.decompose(theta)
    return na.Problem(dataset_labels(data), theta, spectrum, held_out=held_out, dataset=data)


def measured(config: Config, row: Row) -> "Mapping[str, AnyArray]":
    """What becomes of each draw of noise, (n_seed, …) each."""
    from ntk_air.lab.kernel_quality import kernel_quality
    from ntk_air.lab.report.pretrained_features import curves
    from ntk_air.lab.report.quality_results import quality_arrays

    problem, draws = row.problem(), []
    for seed in config.run.noise_seeds():
        noisy = problem.replace(seed=seed)
        if problem.dataset.label_noise is None:
            noisy = noisy.with_label_noise(config.noise.build(), seed=seed)
        draws.append(quality_arrays(kernel_quality(noisy)) | curves(noisy))
    return {name: np.stack([draw[name] for draw in draws]) for name in draws[0]}


EXPERIMENT = Experiment("pretrained_features", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
