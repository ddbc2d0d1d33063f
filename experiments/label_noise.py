"""Label noise of any kind, found and undone without a clean label, beside oracles and cleanlab.

For each kind of noise and seed: ``clean_labels``, which knows neither matrix nor rate; the default
schedule; early stopping, on noisy validation labels and by an oracle; the best schedule of a grid
and training on the clean labels, which are oracles too. Where cleanlab is installed, its ranking of
suspects and its cleaned classifier, on the same inputs.
"""

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

import ntk_air as na
from ntk_air._base.checks import check_choice, check_fraction
from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.lab.config import DataConfig, FeaturesConfig
from ntk_air.lab.harness import Computed, Experiment, header
from ntk_air.lab.run_folder import RunFolder

if TYPE_CHECKING:
    from ntk_air._base.typing import AnyArray
    from ntk_air.data.noise import LabelNoise

VALIDATION_SHARE = 0.2
KINDS = ("symmetric", "pair", "asymmetric", "instance", "none", "given")


@dataclasses.dataclass(frozen=True)
class Config(FeaturesConfig):
    """Options of label_noise."""

    data: DataConfig = dataclasses.field(default_factory=lambda: DataConfig(n_train=1000))
    noises: tuple[str, ...] = (
        "symmetric:0.2",
        "symmetric:0.4",
        "symmetric:0.6",
        "pair:0.2",
        "pair:0.4",
        "pair:0.45",
        "asymmetric:0.4",
        "instance:0.3",
        "none",
    )
    """Kinds of noise with their rates: symmetric, pair, asymmetric (even classes are taken for the
    next at this rate, odd ones for any at half of it), instance, none; given, for labels that come
    with the data."""
    all_schedules: bool = True
    """Early stopping on noisy validation labels, the grid and clean labels too, beside the default
    schedule and early stopping by an oracle: most of the time."""

    def __post_init__(self):
        super().__post_init__()
        if not self.noises:
            raise ValueError("noises must not be empty; got ()")
        for text in self.noises:
            kind, _, rate = text.partition(":")
            check_choice("noises", kind, KINDS)
            if kind in ("none", "given"):
                continue
            try:
                check_fraction("noises", float(rate))
            except ValueError as error:
                raise ValueError(f"noises must be KIND:RATE; got {text!r}") from error

    def smoke(self) -> "Config":
        """A small subset, two kinds, one seed."""
        return dataclasses.replace(
            self,
            data=dataclasses.replace(self.data, n_train=min(self.data.n_train or 100, 100)),
            all_schedules=False,
            noises=self.noises[:2] if "given" in self.noises else ("symmetric:0.2", "pair:0.4"),
            run=dataclasses.replace(self.run, seeds=1),
        )


def compute(config: Config, dataset: "na.Dataset", run: RunFolder, progress: Progress) -> Computed:
    """The numbers of results.json and the curves of arrays.npz."""
    from ntk_air.lab.report.label_noise_results import label_noise_numbers, scores_shape

    seeds, draws = config.run.noise_seeds(), []
    for done, seed in enumerate(seeds):
        # The kernel of a seed is made once, and not at all where all its stages are resumed.
        clean = functools.cache(functools.partial(clean_problem, config, seed))
        for noise in config.noises:
            name = f"seed-{seed}-{noise.replace(':', '-')}"
            stage = functools.partial(compared, config, seed, noise, clean)
            draws.append(run.stage(name, stage))
        progress("label noise", done + 1, len(seeds))
    arrays = scores_shape(draws, n_seeds=len(seeds), n_noises=len(config.noises))
    results = {
        **header(dataset),
        "kernel": config.kernel.run_name(),
        "features": config.features,
        "seeds": seeds,
        "noises": list(config.noises),
        **label_noise_numbers(arrays),
    }
    return results, arrays


def clean_problem(config: Config, seed: int) -> "na.Problem":
    """The kernel on the data of a seed, and the clean labels unless noisy ones come with them."""
    dataset = config.kernel.prepare(config.load_features(seed))
    precision, memory = config.run.precision, parse_bytes(config.run.max_memory)
    kernel, _ = config.kernel.build(dataset, seed=seed, precision=precision)
    return na.make_problem(dataset, kernel, precision=precision, max_memory_bytes=memory)


def compared(config: Config, seed: int, noise: str, clean) -> "dict[str, AnyArray]":
    """All methods on one draw of noise."""
    from ntk_air.dynamics.label_noise.schedule_comparison import (
        Validation,
        compare_schedules,
        compare_with_descent,
        split_rows,
    )
    from ntk_air.lab.noise_scores import cleaned_scores, peer_scores
    from ntk_air.lab.report.label_noise_results import METHODS

    problem: na.Problem = clean()
    kind, _, rate = noise.partition(":")
    if kind == "none":
        problem = problem.replace(
            dataset=(bare := problem.dataset.without_label_noise()),
            labels=na.Labels(bare.clean_targets(), bare.clean_targets()),
        )
    elif kind != "given":
        rule = noise_rule(kind, float(rate), problem.dataset.n_classes)
        problem = problem.with_label_noise(rule, seed=seed)
    if config.all_schedules:
        fitted, held_back = split_rows(problem.n_train, VALIDATION_SHARE, seed=seed)
        validation = Validation(
            spectrum=na.decompose(problem.theta[np.ix_(fitted, fitted)]),
            cross_kernel=problem.theta[np.ix_(held_back, fitted)],
            fitted=fitted,
            held_back=held_back,
        )
        comparison = compare_schedules(problem, validation=validation, seed=seed)
    else:
        comparison = compare_with_descent(problem, seed=seed)
    found = na.clean_labels(problem, seed=seed)
    air = float("nan")
    if np.any(problem.noise != 0):
        air = na.air_summary(problem).auc
    scores = {name: np.full(2, np.nan) for name in METHODS if name != "noise_aware"}
    scores |= {
        name: np.array([score.test_accuracy, score.rms_distance])
        for name, score in comparison.scores.items()
        if name in METHODS
    }
    return {
        **{f"accuracy_{name}": value[0] for name, value in scores.items()},
        **{f"distance_{name}": value[1] for name, value in scores.items()},
        "air_auc": np.array(air),
        **cleaned_scores(found, problem),
        **peer_scores(found, problem, seed=seed),
    }


def noise_rule(kind: str, rate: float, n_classes: int) -> "LabelNoise":
    """The noise of a kind and a rate."""
    if kind == "symmetric":
        return na.SymmetricNoise(rate)
    if kind == "pair":
        return na.PairFlipNoise(rate)
    if kind == "instance":
        return na.InstanceDependentNoise(rate)
    matrix = np.zeros((n_classes, n_classes))
    for label in range(n_classes):
        if label % 2 == 0:
            matrix[label, (label + 1) % n_classes] = rate
        else:
            matrix[label] = rate / 2 / (n_classes - 1)
        matrix[label, label] = 0
        matrix[label, label] = 1 - matrix[label].sum()
    return na.TransitionNoise(matrix)


EXPERIMENT = Experiment("label_noise", Config, compute)

if __name__ == "__main__":
    EXPERIMENT.run_as_script()
