"""Procedures from the literature for training on noisy labels: targets, selection, stopping.

Those that are self-distillation or plain descent in other words return a ``Supervision``, to train
with ``CrossEntropy()``.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ntk_air._base.checks import as_float, check_at_least, check_fraction, check_whole_number
from ntk_air._base.typing import Parameters
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.dynamics.supervision import (
    Constant,
    CurrentStep,
    Hard,
    LastEpoch,
    Linear,
    Sharpened,
    Supervision,
)
from ntk_air.dynamics.supervision.label_functions import LabelFunction, Rows
from ntk_air.networks.noisy_labels.losses import (
    class_logits,
    cross_entropies,
    label_probabilities,
)
from ntk_air.networks.training.training_rules import Batch, BatchNetwork, BatchRule, RuleState


class NoOpinion(LabelFunction):
    """h(f) = 0: all classes alike, whatever the outputs."""

    def __call__(self, outputs: Rows) -> Float[Array, "rows n_out"]:
        """Zeros, (rows, n_out)."""
        return jnp.zeros_like(outputs)


def label_smoothing(share: float = 0.1) -> Supervision:
    """Target (1 − ε)·e_ỹ + ε/C (Szegedy et al. 2016, arXiv 1512.00567, section 7).

    In the target coding that is (1 − ε)ỹ: the teacher has no opinion.

    Args:
        share: share ε of a label that is given to all classes alike, in [0, 1]; 0.1 in the paper.

    Returns:
        The supervision, for training with ``CrossEntropy()``.

    Raises:
        ValueError: for a share outside [0, 1].

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import ntk_air as na
    >>> na.noisy_labels.label_smoothing(0.1).weights([0, 1000]).tolist()
    [0.9, 0.9]
    """
    check_fraction("share", share)
    return Supervision(NoOpinion(), Constant(1.0 - share))


def hard_bootstrapping(weight: float = 0.8) -> Supervision:
    """Target β·e_ỹ + (1 − β)·e_argmax q (Reed et al. 2015, arXiv 1412.6596, equation 7).

    In theory.md's words: hard self-distillation by the current step at constant weight α = β.

    Args:
        weight: weight β of the given label, in [0, 1]; 0.8 in the paper.

    Returns:
        The supervision, for training with ``CrossEntropy()``.

    Raises:
        ValueError: for a weight outside [0, 1].

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import ntk_air as na
    >>> na.noisy_labels.hard_bootstrapping().weights([0, 1000]).tolist()
    [0.8, 0.8]
    """
    check_fraction("weight", weight)
    return Supervision(Hard(), Constant(weight), CurrentStep())


def progressive_self_distillation(
    n_epochs: int, steps_per_epoch: int, *, final_share: float = 0.8
) -> Supervision:
    """Target (1 − α_e)·e_ỹ + α_e·softmax(f_{e−1}), α_e = α_T·e/T (Kim et al. 2021, equation 5).

    Epochs e count from 1 to T; f_{e−1} are the outputs at the end of the last epoch (arXiv
    2006.12000, section 3.1). The first epoch has no teacher and learns the given labels. In the
    words of theory.md: sharpened labels at temperature 1 from the last epoch, at a weight that
    falls linearly with the epoch, after a warm-up of one.

    Args:
        n_epochs: number T of epochs, at least 3.
        steps_per_epoch: number of optimiser steps in a pass through the training set.
        final_share: share α_T of the network's own prediction in the last epoch, in [0, 1]; 0.8
            in the paper.

    Returns:
        The supervision, for training with ``CrossEntropy()`` for ``n_epochs`` epochs.

    Raises:
        ValueError: for numbers out of range.

    >>> import ntk_air as na
    >>> supervision = na.noisy_labels.progressive_self_distillation(10, steps_per_epoch=5)
    >>> [round(float(weight), 2) for weight in supervision.weights([0, 5, 10, 45])]
    [1.0, 0.84, 0.76, 0.2]
    """
    check_whole_number("n_epochs", n_epochs, minimum=3)
    check_whole_number("steps_per_epoch", steps_per_epoch, minimum=1)
    check_fraction("final_share", final_share)
    ramp = Linear(
        float(n_epochs - 2),
        start=1.0 - 2.0 * final_share / n_epochs,
        end=1.0 - final_share,
    )
    return Supervision(Sharpened(1.0), ramp, LastEpoch(steps_per_epoch), warm_up=steps_per_epoch)


class CoTeaching(BatchRule):
    """Each of two networks learns the share R(T) of a batch that the other has the least losses on.

    Han et al. 2018 (arXiv 1804.06872), algorithm 1: R(T) = 1 − min(T·τ/T_k, τ), T the epochs
    completed, so that both networks see all of the first epoch. The parameters of training are a
    pair: the problem's network, which is measured, and its peer.

    Args:
        peer: parameters of the second network at its start, of the first one's shapes, from another
            initialisation.
        forget_rate: share τ of a batch that is left out in the end, in [0, 1): the noise rate,
            known or estimated.
        gradual_epochs: number T_k of epochs over which the share grows to τ, at least 1; 10 in the
            paper.

    Raises:
        ValueError: for numbers out of range.

    >>> import jax.numpy as jnp
    >>> import ntk_air as na
    >>> rule = na.noisy_labels.CoTeaching(jnp.zeros(3), 0.4, gradual_epochs=5)
    >>> [round(float(rule.remembered_share(jnp.asarray(epoch))), 2) for epoch in (0, 1, 5, 9)]
    [1.0, 0.92, 0.6, 0.6]
    """

    peer: Parameters
    forget_rate: float = eqx.field(converter=as_float)
    gradual_epochs: float = eqx.field(default=10.0, converter=as_float)

    def __check_init__(self):
        check_fraction("forget_rate", self.forget_rate)
        if self.forget_rate == 1:
            raise ValueError("forget_rate must lie below 1: at 1 nothing is left to learn from")
        check_at_least("gradual_epochs", self.gradual_epochs, 1)

    def first_params(self, params: Parameters) -> Parameters:
        """Both networks'."""
        return params, self.peer

    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> RuleState:
        """Nothing to remember."""
        return None

    def remembered_share(self, epoch: Int[Array, "..."]) -> Float[Array, "..."]:
        """R(T) after ``epoch`` completed epochs."""
        ramp = jnp.minimum(epoch.astype(float) / self.gradual_epochs, 1.0)
        return 1.0 - self.forget_rate * ramp

    def loss(
        self, network: BatchNetwork, params: Parameters, state: RuleState, batch: Batch
    ) -> tuple[Float[Array, ""], RuleState]:
        """The sum of both networks' mean losses on what their peers selected, in nats."""
        labels = label_probabilities(batch.noisy)
        first, second = (
            cross_entropies(class_logits(network(one, batch)), labels) for one in params
        )
        share = self.remembered_share(batch.epoch)
        kept = jnp.maximum(jnp.floor(share * len(batch.rows) + 1e-4), 1.0).astype(int)
        chosen_by_first, chosen_by_second = (_smallest(losses, kept) for losses in (first, second))
        return _mean_where(first, chosen_by_second) + _mean_where(second, chosen_by_first), state

    def measured(self, params: Parameters) -> Parameters:
        """The first network's."""
        return params[0]


def noisy_validation_stop(trajectory: Trajectory) -> int:
    """The recorded time with the best accuracy on the held-out labels; the first of equals.

    Symmetric noise leaves the order of classifiers by accuracy as it is on clean labels, up to the
    validation set's own chance (theory.md section 3: E[ỹ | y] = s·y).

    Args:
        trajectory: training on a part of the given labels, its held-out inputs the others with
            their noisy labels.

    Returns:
        The index into ``trajectory.times``.

    Raises:
        ValueError: for a trajectory without held-out labels.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> theta, held_out = np.eye(2), na.HeldOut(np.array([[0.5, 0.0]]), np.array([[1.0]]))
    >>> problem = na.Problem(na.Labels(np.array([[1.0], [-1.0]])), theta, held_out=held_out)
    >>> run = na.solve(problem, na.Descent(0.5), [0, 1, 2])
    >>> na.noisy_labels.noisy_validation_stop(run)  # f_0 = 0 is not right
    1
    """
    if trajectory.held_out is None:
        raise ValueError("trajectory must have held-out labels to stop by; it has none")
    return int(np.argmax(np.asarray(trajectory.held_out.accuracy)))


def _smallest(losses: Float[Array, " rows"], count: Int[Array, ""]) -> Bool[Array, " rows"]:
    """Which rows have the ``count`` smallest losses; ties go to the earlier row."""
    ranks = jnp.argsort(jnp.argsort(jax.lax.stop_gradient(losses)))
    return ranks < count


def _mean_where(values: Float[Array, " rows"], chosen: Bool[Array, " rows"]) -> Float[Array, ""]:
    return jnp.mean(values, where=chosen)
