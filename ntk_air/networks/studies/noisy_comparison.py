"""Self-distillation by its default schedule beside methods from the literature, on one network.

All methods begin with the same functions: one dense network, in NTK parametrisation for
self-distillation and in standard parametrisation for the others, drawn with the same key.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from ntk_air._base.checks import check_callable, check_choice, check_positive, check_whole_number
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import Parameters
from ntk_air.data.dataset import Dataset
from ntk_air.data.noise import average_by_class
from ntk_air.dynamics.label_noise.schedule_comparison import split_rows
from ntk_air.dynamics.rounds import Rounds
from ntk_air.dynamics.run.losses import CrossEntropy
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.supervision import (
    Constant,
    Identity,
    Pretrained,
    Supervision,
    plain_descent,
)
from ntk_air.networks import noisy_labels
from ntk_air.networks.models.dense import DenseNetwork
from ntk_air.networks.models.layers import Parametrisation
from ntk_air.networks.studies import LITERATURE
from ntk_air.networks.training.minibatches import Minibatches
from ntk_air.networks.training.network_problem import HeldOutInputs, NetworkProblem
from ntk_air.networks.training.optimisers import Adam
from ntk_air.networks.training.train import train
from ntk_air.networks.training.train_rounds import FlowTimeSchedule, train_rounds
from ntk_air.networks.training.training_rules import TrainingRule
from ntk_air.problem import Labels

VALIDATION_SHARE = 0.2

RIDGES = (0.0005, 0.0015, 0.005, 0.015)
"""λ²/n that the penalty on the distance to initialisation is chosen from, on noisy labels."""

_CONTROL_RECORDS = 40


class TrainingPlan(eqx.Module):
    """What all methods train with.

    Args:
        widths: widths of the network's hidden layers.
        activation: name of its nonlinearity.
        n_epochs: passes of each method from the literature, at least 10.
        batch_size: number of examples in a step.
        learning_rate: learning rate of Adam, with which those methods train (Han et al. 2018:
            0.001).
        least_passes: fewest passes of self-distillation in each round.
        methods: methods from the literature to train, by name.

    Raises:
        ValueError: for numbers out of range and an unknown method.
    """

    widths: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    n_epochs: int = 40
    batch_size: int = 100
    learning_rate: float = 1e-3
    least_passes: int = 4
    methods: Collection[str] = LITERATURE

    def __check_init__(self):
        for name in self.methods:
            check_choice("methods", name, LITERATURE)
        check_whole_number("n_epochs", self.n_epochs, minimum=10)
        check_whole_number("batch_size", self.batch_size, minimum=1)
        check_positive("learning_rate", self.learning_rate)

    @property
    def schedule(self) -> FlowTimeSchedule:
        """How self-distillation walks."""
        return FlowTimeSchedule(self.batch_size, least_passes=self.least_passes)


class MethodRun(eqx.Module):
    """How one method went.

    Attributes:
        trajectory: its metrics at each record.
        passes: passes through the training set until each, (n_time,).
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


class Guidance(eqx.Module):
    """What a kernel of infinite width says of the labels before a network is trained on them.

    Args:
        rounds: rounds of self-distillation, from ``default_schedule``.
        largest_eigenvalue: λ₁ of the kernel that they were made for.
        posterior: probabilities of the clean labels, (n_train, n_class), from ``clean_labels``;
            ``None`` trains no network on them.
    """

    rounds: Rounds
    largest_eigenvalue: float
    posterior: Float[np.ndarray, "n_train n_class"] | None = None


def compare_methods(
    dataset: Dataset,
    guidance: Guidance,
    plan: TrainingPlan | None = None,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, MethodRun]:
    """Train the network by every method on the same noisy labels.

    Nothing is chosen by clean labels, but two methods are told what noise there is: forward
    correction the transition matrix, co-teaching the noise rate. ``early_stopping`` is
    cross-entropy on all labels up to the epoch with the best accuracy on a fifth of the noisy
    labels, held back in a run of its own; the ridge of ``distance`` is chosen by accuracy on these.
    ``cleaned_labels`` is cross-entropy on the kernel's probabilities of the clean labels.
    Controls: ``warm_up``, self-distillation's own warm-up; ``square_loss``, plain descent for as
    many passes and as much time as its rounds take.

    Args:
        dataset: data set with noisy labels and held-out inputs; features in one axis.
        guidance: rounds of self-distillation, and probabilities of the clean labels.
        plan: network, batches, epochs and methods; ``None`` is ``TrainingPlan()``.
        seed: seed of networks, batches and the validation split.
        progress: callback after each method.

    Returns:
        The run of each method by name, self-distillation first, the controls last.

    Raises:
        ValueError: without held-out inputs, and for fewer examples than make a batch.
    """
    check_callable("progress", progress)
    plan = TrainingPlan() if plan is None else plan
    if dataset.n_test == 0:
        raise ValueError("dataset must have held-out inputs to compare methods on; got none")
    comparison = _Comparison(dataset, plan, seed)
    own = comparison.self_distillation(guidance)
    runs = {"self_distillation": own}
    if guidance.posterior is not None:
        runs["cleaned_labels"] = comparison.cleaned_labels(guidance.posterior)
    for done, name in enumerate(name for name in LITERATURE if name in plan.methods):
        runs[name] = comparison.by_name(name, runs)
        progress(f"training by {name}", done + 1, len(plan.methods))
    control = comparison.square_loss(guidance, float(own.passes[-1]))
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
        inputs, test_inputs, noisy, clean, test_targets = (
            np.asarray(part, np.float32)
            for part in (
                dataset.inputs,
                dataset.test_inputs,
                dataset.noisy_targets(),
                dataset.clean_targets(),
                dataset.test_targets(),
            )
        )
        network_key, peer_key, self._batch_key = jax.random.split(jax.random.key(seed), 3)
        kinds: tuple[Parametrisation, Parametrisation] = ("ntk", "standard")
        ntk, standard = (
            DenseNetwork(
                plan.widths,
                n_out=dataset.n_out,
                activation=plan.activation,
                parametrisation=parametrisation,
            )
            for parametrisation in kinds
        )

        def start(network: DenseNetwork, key: PRNGKeyArray) -> Parameters:
            return network.init(key, inputs.shape[1], precision="float32")

        self._peer = start(standard, peer_key)
        self._problem = NetworkProblem(
            standard.apply,
            start(standard, network_key),
            inputs,
            Labels(noisy, clean),
            HeldOutInputs(test_inputs, test_targets),
        )
        self._in_kernel_regime = dataclasses.replace(
            self._problem,
            apply_fn=ntk.apply,
            params=start(ntk, network_key),
            subtract_initial=True,
        )

    def by_name(self, name: str, before: Mapping[str, MethodRun]) -> MethodRun:
        """The run of a method from the literature, given those before it."""
        if name == "early_stopping":
            stop = noisy_labels.noisy_validation_stop(self._validate(plain_descent()))
            return (before.get("cross_entropy") or self.by_name("cross_entropy", {})).until(stop)
        return self._by_epochs(self._rule(name))

    def cleaned_labels(self, posterior: Float[np.ndarray, "n_train n_class"]) -> MethodRun:
        """Cross-entropy on probabilities of the clean labels, in place of the given labels."""
        logits = np.log(np.maximum(posterior, np.finfo(np.float32).tiny))
        if self._dataset.n_out == 1:
            logits = logits[:, 1:] - logits[:, :1]
        teacher = Pretrained(logits.astype(np.float32))
        return self._by_epochs(Supervision(Identity(), Constant(0.0), teacher))

    def self_distillation(self, guidance: Guidance) -> MethodRun:
        """The rounds of the default schedule."""
        run = train_rounds(
            self._in_kernel_regime,
            guidance.rounds,
            self._plan.schedule,
            largest_eigenvalue=guidance.largest_eigenvalue,
            key=self._batch_key,
        )
        return MethodRun(run.trajectory, run.passes)

    def square_loss(self, guidance: Guidance, passes: float) -> MethodRun:
        """The control: plain descent with the loss, network and schedule of self-distillation."""
        n_train = self._problem.n_train
        batches = Minibatches(self._plan.batch_size, self._batch_key)
        time = float(guidance.rounds.n_steps)
        schedule = FlowTimeSchedule(self._plan.batch_size, least_passes=max(1, round(passes)))
        steps = schedule.n_steps(time, n_train)
        times = np.unique(np.round(np.linspace(0, steps, _CONTROL_RECORDS + 1)[1:])).astype(int)
        run = train(
            self._in_kernel_regime,
            plain_descent(),
            times.tolist(),
            schedule.optimiser(time, n_train, guidance.largest_eigenvalue),
            method=batches,
        )
        return MethodRun(run, np.asarray(run.times) / batches.steps_per_pass(n_train))

    def _by_epochs(self, rule: TrainingRule | Supervision) -> MethodRun:
        run = self._fit(rule, self._problem)
        return MethodRun(run, np.arange(1.0, 1 + len(run.times)))

    def _rule(self, name: str) -> TrainingRule | Supervision:
        """A method from the literature at its paper's setting."""
        n_train = self._problem.n_train
        if name == "distance":
            return self._penalised(self._best_ridge(), n_train)
        if name == "forward_correction":
            dataset = self._dataset
            return noisy_labels.ForwardCorrection(
                average_by_class(dataset.clean_labels, dataset.noise_probabilities)
            )
        if name == "co_teaching":
            kept = np.take_along_axis(
                self._dataset.noise_probabilities, self._dataset.clean_labels[:, None], axis=1
            )
            return noisy_labels.CoTeaching(self._peer, float(1 - kept.mean()))
        if name == "progressive":
            per_epoch = n_train // self._plan.batch_size
            return noisy_labels.progressive_self_distillation(self._plan.n_epochs, per_epoch)
        return _FIXED_RULES[name]()

    def _penalised(self, ridge: float, n_train: int) -> TrainingRule:
        start = self._problem.params
        return noisy_labels.DistanceToInitialisation(CrossEntropy(), start, ridge * n_train)

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
        return split_rows(self._problem.n_train, VALIDATION_SHARE, seed=self._seed)

    def _validate(self, rule: TrainingRule | Supervision) -> Trajectory:
        """Training on four fifths of the noisy labels, measured on the others."""
        fitted, held_back = self._split()
        inputs, labels = self._problem.inputs, self._problem.labels
        problem = dataclasses.replace(
            self._problem,
            inputs=inputs[fitted],
            labels=jax.tree.map(lambda array: array[fitted], labels),
            held_out=HeldOutInputs(inputs[held_back], labels.noisy[held_back]),
        )
        return self._fit(rule, problem)

    def _fit(self, rule: TrainingRule | Supervision, problem: NetworkProblem) -> Trajectory:
        """Adam on cross-entropy, recorded after each epoch."""
        plan = self._plan
        batches = Minibatches(
            plan.batch_size, self._batch_key, reduction="mean", loss=CrossEntropy()
        )
        per_epoch = batches.steps_per_pass(problem.n_train)
        times = [per_epoch * epoch for epoch in range(1, plan.n_epochs + 1)]
        return train(problem, rule, times, Adam(plan.learning_rate), method=batches)
