"""The kernel of a network that is not at random initialisation.

Trains a network for some epochs, on the same noisy labels or on another data set, and takes its
empirical NTK along the way: how far it moves from initialisation, how it aligns with clean labels
and with noise, its AIR-AUC against the noise it was trained on and against noise it never saw, and
what self-distillation gains that starts in the regime of that kernel.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_positive, check_whole_number
from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.lab.config import DataConfig, ExperimentConfig, KernelConfig, NoiseConfig, RunConfig
from ntk_air.lab.harness import Computed, Experiment, header
from ntk_air.lab.run_folder import RunFolder

if TYPE_CHECKING:
    from ntk_air._base.typing import AnyArray

FRESH_DRAWS = 5
"""Draws of noise that no network was trained on, for each seed."""

LARGER_RUN = (
    "A larger run: time grows as seeds × snapshots × n_train³ for spectra and as n_train² × "
    "parameters for kernels; at 300 inputs and width 256 a snapshot takes 2 s on two cores."
)


@dataclasses.dataclass(frozen=True)
class Config(ExperimentConfig):
    """Options of pretrained."""

    data: DataConfig = dataclasses.field(
        default_factory=lambda: DataConfig(n_train=300, n_test=300)
    )
    noise: NoiseConfig = dataclasses.field(default_factory=lambda: NoiseConfig(noise=0.4))
    kernel: KernelConfig = dataclasses.field(
        default_factory=lambda: KernelConfig("empirical", width=256, parametrisation="standard")
    )
    run: RunConfig = dataclasses.field(default_factory=lambda: RunConfig(seeds=3))
    pretrain_dataset: str | None = None
    """Another data set to train on, with clean labels; its images are resized to those of
    --dataset. By default the network is trained on the set itself."""
    pretrain_n: int = 2000
    """Training inputs of that other data set."""
    pretrain_labels: Literal["noisy", "clean"] = "noisy"
    """What is learnt on the set itself."""
    epochs: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 32, 64, 128)
    """When the kernel is taken; from 0, the random initialisation."""
    batch_size: int = 50
    """Examples in a step of the training."""
    learning_rate: float = 1e-3
    """Learning rate of Adam, in the training."""

    def __post_init__(self):
        if not self.kernel.is_finite and self.kernel.model is None:
            raise ValueError(
                "kernel must be empirical, empirical_convolutional or empirical_residual, or there "
                "must be a model, for what is trained here is a network; got "
                f"{self.kernel.own_name or repr(self.kernel.kernel)}"
            )
        check_whole_number("batch_size", self.batch_size, minimum=1)
        check_positive("learning_rate", self.learning_rate)
        check_whole_number("pretrain_n", self.pretrain_n, minimum=self.batch_size)
        if self.epochs[:1] != (0,) or any(np.diff(self.epochs) <= 0):
            raise ValueError(f"epochs must ascend from 0; got {self.epochs}")

    def smoke(self) -> "Config":
        """A small subset and network, three snapshots, two seeds."""
        return dataclasses.replace(
            self,
            data=dataclasses.replace(self.data, n_train=60, n_test=60),
            kernel=dataclasses.replace(self.kernel, width=32, depth=2),
            run=dataclasses.replace(self.run, seeds=2),
            pretrain_n=100,
            batch_size=20,
            epochs=(0, 2, 20),
        )

    def run_name(self, dataset: "na.Dataset") -> str:
        """Data, noise, network, and what it is trained on, for the default folder."""
        return f"{super().run_name(dataset)}-on-{self.pretrain_dataset or self.pretrain_labels}"


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.lab.report import pretrained as report
    from ntk_air.lab.report.quality_results import quality_numbers
    from ntk_air.lab.report.seeds import over_seeds

    seeds = config.run.noise_seeds()
    draws = []
    for seed in seeds:
        draws.append(run.stage(f"seed-{seed}", lambda s=seed: along_training(config, s, progress)))
        progress("seeds", len(draws), len(seeds))
    arrays = {name: np.stack([draw[name] for draw in draws]) for name in draws[0]}
    results: dict[str, Any] = {
        **header(dataset),
        "network": config.kernel.run_name().removeprefix("empirical").lstrip("-_"),
        "trained_on": config.pretrain_dataset or f"same inputs, {config.pretrain_labels} labels",
        "trained_on_another_set": config.pretrain_dataset is not None,
        "precision": config.run.precision,
        "seeds": seeds,
        "epochs": list(config.epochs),
        "larger_run": LARGER_RUN,
        **quality_numbers(arrays),
    }
    for name in report.ALONG:
        results |= over_seeds(name, arrays[name], may_be_infinite=True)
    return results, arrays


def along_training(config: Config, seed: int, progress: Progress) -> "Mapping[str, AnyArray]":
    """What becomes of one network's kernel, (n_epoch,) each."""
    from ntk_air.lab.kernel_quality import kernel_quality
    from ntk_air.lab.report.quality_results import quality_arrays

    dataset = config.kernel.prepare(config.data.load(seed=seed))
    noise = config.noise.build()
    if dataset.label_noise is None:
        dataset = dataset.with_label_noise(noise, seed=seed)
    else:
        noise = na.TransitionNoise(dataset.transition_matrix())
    fresh = [
        dataset.without_label_noise().with_label_noise(noise, seed=seed + 1000 * (1 + draw))
        for draw in range(FRESH_DRAWS)
    ]
    snapshots, apply_fn = pretrain(config, dataset, seed)
    start, records = None, []
    for done, snapshot in enumerate(snapshots, start=1):
        problem = na.make_problem(
            dataset,
            na.EmpiricalNTK(apply_fn, snapshot.params),
            precision=config.run.precision,
            max_memory_bytes=parse_bytes(config.run.max_memory),
        ).replace(seed=seed)
        start = problem.theta if start is None else start
        motion = na.networks.kernel_motion(problem.theta, start)
        records.append(
            quality_arrays(kernel_quality(problem))
            | {"drift": np.array(motion.drift), "turn": np.array(motion.turn)}
            | against_noise(problem, fresh)
            | network_scores(snapshot)
        )
        progress(f"kernels along training, seed {seed}", done, len(snapshots))
    return {name: np.stack([record[name] for record in records]) for name in records[0]}


def pretrain(
    config: Config, dataset: "na.Dataset", seed: int
) -> "tuple[list[na.networks.NetworkSnapshot], Any]":
    """The network at each epoch, and its function."""
    import jax

    from ntk_air.dynamics.supervision import plain_descent

    taught, labels = dataset, dataset.noisy_targets()
    if config.pretrain_dataset is not None:
        taught = other_dataset(config, dataset, seed)
        labels = taught.clean_targets()
    elif config.pretrain_labels == "clean":
        labels = dataset.clean_targets()
    precision = config.run.precision
    network_key, batch_key = jax.random.split(jax.random.key(seed))
    if config.kernel.model is not None:
        kernel: Any = config.kernel.build(taught, seed=seed, precision=precision)[0]
        apply_fn, params = kernel.apply_fn, kernel.params
    else:
        network = config.kernel.network(taught)
        params = network.init(network_key, taught.inputs.shape[-1], precision=precision)
        apply_fn = network.apply
    inputs, test_inputs = (part.astype(precision) for part in (taught.inputs, taught.test_inputs))
    problem = na.networks.NetworkProblem(
        apply_fn,
        params,
        inputs,
        na.Labels(labels.astype(precision), taught.clean_targets().astype(precision)),
        na.networks.HeldOutInputs(test_inputs, taught.test_targets().astype(precision)),
    )
    batches = na.networks.Minibatches(
        config.batch_size, batch_key, reduction="mean", loss=na.losses.CrossEntropy()
    )
    snapshots = na.networks.snapshots_along_training(
        problem,
        plain_descent(),
        config.epochs,
        na.networks.Adam(config.learning_rate),
        method=batches,
    )
    return snapshots, apply_fn


def other_dataset(config: Config, dataset: "na.Dataset", seed: int) -> "na.Dataset":
    """The other data set, as the network takes inputs of the first."""
    assert config.pretrain_dataset is not None
    data = DataConfig(
        config.pretrain_dataset,
        data_dir=config.data.data_dir,
        n_train=config.pretrain_n,
        n_test=config.data.n_test,
    )
    other, own = data.load(seed=seed), config.data.load(seed=seed)
    if own.inputs.ndim == other.inputs.ndim == 4:
        other = other.resized(*own.inputs.shape[1:3])
    other = config.kernel.prepare(other)
    if other.inputs.shape[1:] != dataset.inputs.shape[1:]:
        raise ValueError(
            f"pretrain_dataset must have inputs of shape {dataset.inputs.shape[1:]}, as "
            f"{dataset.name!r} has; got {other.inputs.shape[1:]}"
        )
    return other


def against_noise(problem: "na.Problem", fresh: "list[na.Dataset]") -> "dict[str, AnyArray]":
    """Alignment with the noise of these labels, and AIR-AUC against noise of other draws."""
    from ntk_air.air import auc_over_draws

    dataset = problem.dataset
    noise = problem.noisy - dataset.expected_noisy_targets()
    others = [other.noisy_targets() - other.expected_noisy_targets() for other in fresh]
    auc = auc_over_draws(problem.spectrum, problem.clean[None], np.stack(others))
    return {
        "alignment_noise": np.array(na.kernel_target_alignment(problem.spectrum, noise)),
        "air_auc_fresh": np.array(float(auc.mean)),
    }


def network_scores(
    snapshot: "na.networks.NetworkSnapshot",
) -> "dict[str, AnyArray]":
    """The trained network's own test accuracy and memorised share; NaN before it is trained."""
    run = snapshot.trajectory
    scores = {"network_accuracy": np.nan, "memorised_share": np.nan}
    if run is not None and run.held_out is not None:
        scores["network_accuracy"] = float(run.held_out.accuracy[-1])
        scores["memorised_share"] = float(run.train.memorised_share[-1])
    return {name: np.array(score) for name, score in scores.items()}


EXPERIMENT = Experiment("pretrained", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
