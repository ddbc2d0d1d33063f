"""Losses from the literature for training on noisy labels, each a rule of a batch."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import as_float, check_at_least, check_fraction
from ntk_air._base.typing import Parameters
from ntk_air.data.noise import check_transition_matrix
from ntk_air.dynamics.run.losses import Loss
from ntk_air.dynamics.supervision.label_functions import Rows
from ntk_air.networks.training.training_rules import Batch, BatchNetwork, BatchRule, RuleState

_LEAST_PROBABILITY = 1e-4


class SoftBootstrapping(BatchRule):
    """Loss −Σ_k [β t_k + (1 − β) q_k] log q_k (Reed et al. 2015, arXiv 1412.6596, equation 6).

    q is the network's own prediction, and the gradient goes through both of its places: the loss
    is β times cross-entropy plus 1 − β times the entropy of q, as in entropy minimisation.

    Args:
        weight: weight β of the given label, in [0, 1]; 0.95 in the paper.

    Raises:
        ValueError: for a weight outside [0, 1].

    >>> import ntk_air as na
    >>> na.noisy_labels.SoftBootstrapping().weight
    0.95
    """

    weight: float = eqx.field(default=0.95, converter=as_float)

    def __check_init__(self):
        check_fraction("weight", self.weight)

    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> RuleState:
        """Nothing to remember."""
        return None

    def loss(
        self, network: BatchNetwork, params: Parameters, state: RuleState, batch: Batch
    ) -> tuple[Float[Array, ""], RuleState]:
        """The mean over the batch, in nats."""
        logits = class_logits(network(params, batch))
        predicted = jax.nn.softmax(logits, axis=1)
        target = self.weight * label_probabilities(batch.noisy) + (1.0 - self.weight) * predicted
        return jnp.mean(cross_entropies(logits, target)), state


class ForwardCorrection(BatchRule):
    """Loss −log (Tᵀ softmax(f))_ỹ (Patrini et al. 2017, arXiv 1609.03683, section 3.2).

    Its minimiser on noisy labels is that of cross-entropy on clean ones (theorem 2).

    Args:
        transition_matrix: probabilities T[a, b] = P(ỹ = b | y = a), (C, C), known beforehand.

    Raises:
        ValueError: for a matrix that is not square, or whose rows are no probabilities; at the
            start of training, for one of another number of classes.

    >>> import ntk_air as na
    >>> rule = na.noisy_labels.ForwardCorrection([[0.9, 0.1], [0.4, 0.6]])
    >>> rule.transition_matrix.shape
    (2, 2)
    """

    transition_matrix: Float[Array, "n_classes n_classes"]

    def __init__(self, transition_matrix: object):
        given = np.array(transition_matrix, dtype=np.float64)
        self.transition_matrix = jnp.asarray(check_transition_matrix("transition_matrix", given))

    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> RuleState:
        """Nothing to remember."""
        if len(self.transition_matrix) != n_classes_of(n_out):
            raise ValueError(
                f"transition_matrix must have a row for each of {n_classes_of(n_out)} classes; "
                f"got {len(self.transition_matrix)}"
            )
        return None

    def loss(
        self, network: BatchNetwork, params: Parameters, state: RuleState, batch: Batch
    ) -> tuple[Float[Array, ""], RuleState]:
        """The mean over the batch, in nats."""
        log_clean = jax.nn.log_softmax(class_logits(network(params, batch)), axis=1)
        with jax.default_matmul_precision("highest"):
            # P(ỹ | y = a) of each row's own label, so that the sum runs over clean classes a.
            matrix = self.transition_matrix.astype(log_clean.dtype)
            likelihood = label_probabilities(batch.noisy) @ matrix.T
        log_noisy = jax.nn.logsumexp(log_clean, axis=1, b=likelihood)
        return -jnp.mean(log_noisy), state


class EarlyLearningRegularisation(BatchRule):
    """Loss CE(p, ỹ) + λ log(1 − ⟨p, t⟩), t ← βt + (1 − β)p (Liu et al. 2020, arXiv 2007.00151).

    Equations 6 and 8 there. t, one row a training example, starts at 0 and takes in the current p
    before the loss is read; no gradient goes through it. As in the authors' code p is kept within
    [1e-4, 1 − 1e-4] where it meets t, which bounds the logarithm.

    Args:
        strength: strength λ of the regularisation, at least 0; 3 in the paper on CIFAR-10.
        decay: decay β of the running mean t, in [0, 1]; 0.7 there.

    Raises:
        ValueError: for numbers out of range.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> rule = na.noisy_labels.EarlyLearningRegularisation(strength=3.0)
    >>> rule.init(100, 10, np.dtype("float32")).shape  # t, remembered of each example
    (100, 10)
    """

    strength: float = eqx.field(default=3.0, converter=as_float)
    decay: float = eqx.field(default=0.7, converter=as_float)

    def __check_init__(self):
        check_at_least("strength", self.strength, 0.0)
        check_fraction("decay", self.decay)

    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> Float[Array, "n_train n_classes"]:
        """t = 0."""
        return jnp.zeros((n_train, n_classes_of(n_out)), dtype)

    def loss(
        self,
        network: BatchNetwork,
        params: Parameters,
        state: Float[Array, "n_train n_classes"],
        batch: Batch,
    ) -> tuple[Float[Array, ""], Float[Array, "n_train n_classes"]]:
        """The mean over the batch, in nats, and t with the batch's rows moved on."""
        logits = class_logits(network(params, batch))
        predicted = jnp.clip(
            jax.nn.softmax(logits, axis=1), _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY
        )
        fixed = jax.lax.stop_gradient(predicted)
        fixed = fixed / jnp.sum(fixed, axis=1, keepdims=True)
        target = self.decay * state[batch.rows] + (1.0 - self.decay) * fixed
        agreement = jnp.sum(predicted * target, axis=1)
        losses = cross_entropies(logits, label_probabilities(batch.noisy))
        losses = losses + self.strength * jnp.log1p(-agreement)
        return jnp.mean(losses), state.at[batch.rows].set(target)


class DistanceToInitialisation(BatchRule):
    """Loss Σ_i ℓ(f(x_i), ỹ_i) + (λ²/2)‖θ − θ_0‖² (Hu, Li, Yu 2020, arXiv 1905.11368, equation 2).

    With the square loss and in the kernel regime it ends at kernel ridge regression with ridge λ²
    (theory.md section 8). Training divides all of it by n, as it does every loss; ``reduction=
    "sum"`` takes that back.

    Args:
        loss_function: loss ℓ of an example, ``SquareLoss()`` or ``CrossEntropy()``.
        initial: parameters θ_0 that training starts from.
        ridge: ridge λ², at least 0, in the unit of the loss's sum over examples.

    Raises:
        ValueError: for a negative ridge.

    >>> import jax
    >>> import numpy as np
    >>> import ntk_air as na
    >>> labels = na.Labels(np.array([[1.0], [-1.0]]))
    >>> problem = na.networks.NetworkProblem(
    ...     lambda params, x: x @ params, np.zeros((2, 1)), np.eye(2), labels
    ... )
    >>> rule = na.noisy_labels.DistanceToInitialisation(na.losses.SquareLoss(), problem.params, 1.0)
    >>> method = na.networks.Minibatches(key=jax.random.key(0))
    >>> run = na.networks.train(problem, rule, [200], na.Descent(0.4), method=method)
    >>> run.final.predictions.round(4).tolist()  # y/(1 + ridge), as the kernel is the identity
    [[0.5], [-0.5]]
    """

    loss_function: Loss
    initial: Parameters
    ridge: float = eqx.field(converter=as_float)

    def __check_init__(self):
        check_at_least("ridge", self.ridge, 0.0)

    def init(self, n_train: int, n_out: int, dtype: np.dtype) -> Float[Array, ""]:
        """1/n, which the penalty is divided by as the mean of the losses is."""
        return jnp.asarray(1.0 / n_train, dtype)

    def loss(
        self,
        network: BatchNetwork,
        params: Parameters,
        state: Float[Array, ""],
        batch: Batch,
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The mean over the batch with the penalty's share."""
        outputs = network(params, batch)
        data = self.loss_function.value(outputs, batch.noisy) / outputs.shape[0]
        moved = jax.tree.map(lambda now, start: jnp.sum((now - start) ** 2), params, self.initial)
        penalty = 0.5 * self.ridge * jax.tree.reduce(jnp.add, moved)
        return data + state * penalty, state


def class_logits(outputs: Rows) -> Float[Array, "rows n_classes"]:
    """The logits of each class: the outputs themselves; (0, f) of a single column f.

    Args:
        outputs: outputs of a network, (rows, n_out).

    Returns:
        The logits, (rows, C); a single column is class 1 against class 0, as its target +1 is
        class 1.
    """
    outputs = jnp.asarray(outputs)
    if outputs.shape[1] > 1:
        return outputs
    return jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=1)


def label_probabilities(labels: Rows) -> Float[Array, "rows n_classes"]:
    """The probabilities of each class: target + 1/C; (1 ∓ target)/2 of a single column.

    Args:
        labels: labels in the target coding, (rows, n_out).

    Returns:
        The probabilities, (rows, C).
    """
    labels = jnp.asarray(labels)
    if labels.shape[1] > 1:
        return labels + 1.0 / labels.shape[1]
    return jnp.concatenate([1.0 - labels, 1.0 + labels], axis=1) / 2.0


def cross_entropies(
    logits: Float[Array, "rows n_classes"], probabilities: Float[Array, "rows n_classes"]
) -> Float[Array, " rows"]:
    """−Σ_c q_c log softmax(logits)_c of each row, in nats."""
    return -jnp.sum(probabilities * jax.nn.log_softmax(logits, axis=1), axis=1)


def n_classes_of(n_out: int) -> int:
    """C: two classes have one output."""
    return max(n_out, 2)
