"""Self-distillation by its default schedule beside methods from the literature, on one network.

All methods begin with the same functions: one dense network, in NTK parametrisation for
self-distillation and in standard parametrisation for the others, drawn with the same key.
"""

from collections.abc import Callable, Collection, Mapping

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from ntk_air._base.checks import check_at_least, check_choice, check_positive
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import Parameters
from ntk_air.data.dataset import Dataset
from ntk_air.data.noise import average_by_class
from ntk_air.dynamics.label_noise.schedule_comparison import split_rows
from ntk_air.dynamics.rounds import Rounds
from ntk_air.dynamics.run.losses import CrossEntropy
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.supervision import Supervision, plain_descent
from ntk_air.networks import noisy_labels
from ntk_air.networks.models.dense import DenseNetwork
from ntk_air.networks.training.optimisers import Adam
from ntk_air.networks.training.rounds import FlowTimeSchedule, train_rounds
from ntk_air.networks.training.rules import TrainingRule
from ntk_air.networks.training.train import HeldOutInputs, train

VALIDATION_SHARE = 0.2

RIDGES = (0.0005, 0.0015, 0.005, 0.015)
"""λ²/n that the penalty on the distance to initialisation is chosen from, on noisy labels."""

LITERATURE = (
    "early_learning",
    "co_teaching",
    "forward_correction",
    "distance",
    "hard_bootstrapping",
    "soft_bootstrapping",
    "progressive",
    "label_smoothing",
    "cross_entropy",
    "early_stopping",
)
"""The methods that self-distillation is compared with, by name."""

_CONTROL_RECORDS = 40


class TrainingPlan(eqx.Module):
    """What all methods train with.

    Args:
        widths: hidden layers of the network.
        activation: its nonlinearity.
        n_epochs: passes of each method from the literature, at least 10.
        batch_size: examples in a step.
        learning_rate: of Adam, with which those methods train (Han et al. 2018: 0.001).
        least_passes: of self-distillation in each round.

    Raises:
        ValueError: for numbers out of range.
    """

    widths: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    n_epochs: int = 40
    batch_size: int = 100
    learning_rate: float = 1e-3
    least_passes: int = 4

    def __check_init__(self):
        check_at_least("n_epochs", self.n_epochs, 10)
        check_at_least("batch_size", self.batch_size, 1)
        check_positive("learning_rate", self.learning_rate)

    @property
    def schedule(self) -> FlowTimeSchedule:
        """Of self-distillation."""
        return FlowTimeSchedule(self.batch_size, least_passes=self.least_passes)


class MethodRun(eqx.Module):
    """How one method went.

    Attributes:
        trajectory: its metrics at each record.
        passes: through the training set until each, (n_time,).
    """

    trajectory: Trajectory
    passes: Float[np.ndarray, " n_time"]

    def until(self, index: int) -> "MethodRun":
        """The same run, had it ended at the record ``index``."""
        run = self.trajectory
        times, train_curves, held_out = jax.tree.map(
            lambda curve: np.asarray(curve)[: index + 1], (run.times, run.train, run.held_out)
        )
        ended = eqx.tree_at(
            lambda r: (r.times, r.train, r.held_out), run, (times, train_curves, held_out)
        )
        return MethodRun(ended, self.passes[: index + 1])


def compare_methods(
    dataset: Dataset,
    rounds: Rounds,
    *,
    largest_eigenvalue: float,
    plan: TrainingPlan | None = None,
    seed: int = 0,
    methods: Collection[str] = LITERATURE,
    progress: Progress = no_progress,
) -> dict[str, MethodRun]:
    """Train the network by every method on the same noisy labels.

    Nothing is chosen by clean labels, but two methods are told what noise there is: forward
    correction the transition matrix, co-teaching the noise rate. ``early_stopping`` is
    cross-entropy on all labels up to the epoch with the best accuracy on a fifth of the noisy
    labels, held back in a run of its own; the ridge of ``distance`` is chosen by accuracy on these.
    Controls: ``warm_up``, self-distillation's own warm-up; ``square_loss``, plain descent for as
    many passes and as much time as its rounds take.

    Args:
        dataset: with noisy labels and held-out inputs; features in one axis.
        rounds: of self-distillation, from ``default_schedule``.
        largest_eigenvalue: λ₁ of the kernel that ``rounds`` was made for.
        plan: network, batches and epochs; ``None`` is ``TrainingPlan()``.
        seed: of networks, batches and the validation split.
        methods: which of ``LITERATURE`` to train.
        progress: called after each method.

    Returns:
        The run of each method by name, self-distillation first, the controls last.

    Raises:
        ValueError: for an unknown method, without held-out inputs, and for fewer examples than
            make a batch.
    """
    for name in methods:
        check_choice("methods", name, LITERATURE)
    plan = TrainingPlan() if plan is None else plan
    if dataset.n_test == 0:
        raise ValueError("dataset must have held-out inputs to compare methods on; got none")
    comparison = _Comparison(dataset, plan, seed)
    own = comparison.self_distillation(rounds, largest_eigenvalue)
    runs = {"self_distillation": own}
    for done, name in enumerate(name for name in LITERATURE if name in methods):
        runs[name] = comparison.by_name(name, runs)
        progress(f"training by {name}", done + 1, len(methods))
    control = comparison.square_loss(rounds, largest_eigenvalue, float(own.passes[-1]))
    return runs | {"warm_up": own.until(0), "square_loss": control}


_FIXED_RULES: dict[str, Callable[[], TrainingRule | Supervision]] = {
    "cross_entropy": plain_descent,
    "label_smoothing": noisy_labels.label_smoothing,
    "soft_bootstrapping": noisy_labels.SoftBootstrapping,
    "hard_bootstrapping": noisy_labels.hard_bootstrapping,
    "early_learning": noisy_labels.EarlyLearningRegularisation,
}


class _Comparison:
    """The data in single precision, and the networks at their start."""

    def __init__(self, dataset: Dataset, plan: TrainingPlan, seed: int):
        self._plan, self._seed = plan, seed
        self._dataset = dataset
        self._inputs, test_inputs, self._noisy, self._clean, test_targets = (
            np.asarray(part, np.float32)
            for part in (
                dataset.inputs,
                dataset.test_inputs,
                dataset.noisy_targets(),
                dataset.clean_targets(),
                dataset.test_targets(),
            )
        )
        self._held_out = HeldOutInputs(test_inputs, test_targets)
        options = {"n_out": dataset.n_out, "activation": plan.activation}
        self._ntk = DenseNetwork(plan.widths, parametrisation="ntk", **options)
        self._standard = DenseNetwork(plan.widths, parametrisation="standard", **options)
        network_key, peer_key, self._batch_key = jax.random.split(jax.random.key(seed), 3)
        self._ntk_start = self._start(self._ntk, network_key)
        self._begin, self._peer = (
            self._start(self._standard, key) for key in (network_key, peer_key)
        )

    def by_name(self, name: str, before: Mapping[str, MethodRun]) -> MethodRun:
        """The run of a method from the literature, given those before it."""
        if name == "early_stopping":
            stop = noisy_labels.noisy_validation_stop(self._validate(plain_descent()))
            return (before.get("cross_entropy") or self.by_name("cross_entropy", {})).until(stop)
        start = (self._begin, self._peer) if name == "co_teaching" else self._begin
        run = self._fit(self._rule(name), start, np.arange(len(self._inputs)), self._held_out)
        return MethodRun(run, np.arange(1.0, 1 + len(run.times)))

    def _start(self, network: DenseNetwork, key: PRNGKeyArray) -> Parameters:
        return network.init(key, self._inputs.shape[1], precision="float32")

    def _rule(self, name: str) -> TrainingRule | Supervision:
        """A method from the literature at its paper's setting."""
        if name == "distance":
            return self._penalised(self._best_ridge(), len(self._inputs))
        if name == "forward_correction":
            dataset = self._dataset
            return noisy_labels.ForwardCorrection(
                average_by_class(dataset.clean_labels, dataset.noise_probabilities)
            )
        if name == "co_teaching":
            kept = np.take_along_axis(
                self._dataset.noise_probabilities, self._dataset.clean_labels[:, None], axis=1
            )
            return noisy_labels.CoTeaching(float(1 - kept.mean()))
        if name == "progressive":
            per_epoch = len(self._inputs) // self._plan.batch_size
            return noisy_labels.progressive_self_distillation(self._plan.n_epochs, per_epoch)
        return _FIXED_RULES[name]()

    def _penalised(self, ridge: float, n_train: int) -> TrainingRule:
        return noisy_labels.DistanceToInitialisation(CrossEntropy(), self._begin, ridge * n_train)

    def _best_ridge(self) -> float:
        """The λ²/n with the best last accuracy on noisy labels that were held back."""
        fitted, _ = self._split()
        scores = []
        for ridge in RIDGES:
            run = self._validate(self._penalised(ridge, len(fitted)))
            assert run.held_out is not None
            scores.append(float(np.asarray(run.held_out.accuracy)[-1]))
        return RIDGES[int(np.argmax(scores))]

    def _split(self) -> tuple[np.ndarray, np.ndarray]:
        return split_rows(len(self._inputs), VALIDATION_SHARE, seed=self._seed)

    def _validate(self, rule: TrainingRule | Supervision) -> Trajectory:
        """Training on four fifths of the noisy labels, measured on the others."""
        fitted, held_back = self._split()
        others = HeldOutInputs(self._inputs[held_back], self._noisy[held_back])
        return self._fit(rule, self._begin, fitted, others)

    def _fit(
        self,
        rule: TrainingRule | Supervision,
        params: Parameters,
        rows: np.ndarray,
        held_out: HeldOutInputs,
    ) -> Trajectory:
        """Adam on cross-entropy, recorded after each epoch."""
        plan = self._plan
        per_epoch = len(rows) // plan.batch_size
        if per_epoch == 0:
            raise ValueError(
                f"batch_size must be at most the {len(rows)} examples trained on; "
                f"got {plan.batch_size}"
            )
        return train(
            self._standard.apply,
            params,
            self._inputs[rows],
            self._noisy[rows],
            rule,
            Adam(plan.learning_rate),
            times=[per_epoch * epoch for epoch in range(1, plan.n_epochs + 1)],
            loss=CrossEntropy(),
            batch_size=plan.batch_size,
            reduction="mean",
            key=self._batch_key,
            clean=self._clean[rows],
            held_out=held_out,
        )

    def self_distillation(self, rounds: Rounds, largest_eigenvalue: float) -> MethodRun:
        """The rounds of the default schedule."""
        run = train_rounds(
            self._ntk.apply,
            self._ntk_start,
            self._inputs,
            self._noisy,
            rounds,
            largest_eigenvalue=largest_eigenvalue,
            key=self._batch_key,
            schedule=self._plan.schedule,
            clean=self._clean,
            held_out=self._held_out,
        )
        return MethodRun(run.trajectory, run.passes)

    def square_loss(self, rounds: Rounds, largest_eigenvalue: float, passes: float) -> MethodRun:
        """The control: plain descent with the loss, network and schedule of self-distillation."""
        n_train = len(self._inputs)
        per_epoch = n_train // self._plan.batch_size
        time = float(rounds.n_steps)
        schedule = FlowTimeSchedule(self._plan.batch_size, least_passes=max(1, round(passes)))
        steps = schedule.n_steps(time, n_train)
        times = np.unique(np.round(np.linspace(0, steps, _CONTROL_RECORDS + 1)[1:])).astype(int)
        run = train(
            self._ntk.apply,
            self._ntk_start,
            self._inputs,
            self._noisy,
            plain_descent(),
            schedule.optimiser(time, n_train, largest_eigenvalue=largest_eigenvalue),
            times=times.tolist(),
            batch_size=schedule.batch_size,
            subtract_initial=True,
            key=self._batch_key,
            clean=self._clean,
            held_out=self._held_out,
        )
        return MethodRun(run, np.asarray(run.times) / per_epoch)
