"""Losses: the gradient by the outputs, its curvature, and labels in the target coding.

A target is ±1 (binary) or a centred one-hot row (theory.md section 0), or a mixture of such.
Cross-entropy reads it as a probability, (1 + target)/2 or target + 1/C, and compares it with that
of its outputs, which are logits; in the target coding these are tanh(f/2) and softmax(f) − 1/C.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air.dynamics.supervision.label_functions import Identity, Rows, Sharpened
from ntk_air.dynamics.supervision.supervision import Supervision


class Loss(eqx.Module):
    """A sum over rows and outputs, no 1/n."""

    @abc.abstractmethod
    def value(self, outputs: Rows, target: Rows) -> Float[Array, ""]:
        """The loss itself, summed over the rows."""

    @abc.abstractmethod
    def gradient(self, outputs: Rows, target: Rows) -> Float[Array, "rows n_out"]:
        """The loss's gradient by the outputs, (rows, n_out)."""

    @abc.abstractmethod
    def curvature(self, n_out: int) -> float:
        """The largest second derivative by the outputs of one row: the run's κ."""

    @abc.abstractmethod
    def predictions(self, outputs: Rows) -> Float[Array, "rows n_out"]:
        """What the outputs say in the target coding."""

    @abc.abstractmethod
    def supervise(self, supervision: Supervision) -> Supervision:
        """The same supervision with a label function that maps outputs to the target coding."""

    @abc.abstractmethod
    def check_targets(self, name: str, targets: Rows) -> None:
        """Refuse labels that the loss cannot read."""


class SquareLoss(Loss):
    """½‖f − target‖²_F."""

    def value(self, outputs: Rows, target: Rows) -> Float[Array, ""]:
        """½‖f − target‖²_F."""
        return 0.5 * jnp.sum((jnp.asarray(outputs) - target) ** 2)

    def gradient(self, outputs: Rows, target: Rows) -> Float[Array, "rows n_out"]:
        """f − target."""
        return jnp.asarray(outputs) - target

    def curvature(self, n_out: int) -> float:
        """1."""
        return 1.0

    def predictions(self, outputs: Rows) -> Float[Array, "rows n_out"]:
        """The outputs themselves."""
        return jnp.asarray(outputs)

    def supervise(self, supervision: Supervision) -> Supervision:
        """As it is."""
        return supervision

    def check_targets(self, name: str, targets: Rows) -> None:
        """Any numbers will do."""


class CrossEntropy(Loss):
    """−Σ p_target·log softmax(f); binary −Σ p log σ(f) + (1 − p) log(1 − σ(f)).

    A gradient step with the kernel is f ← f − ηΘ(softmax(f) − p_target). A row's second
    derivative is at most 1/2 (binary: 1/4), which bounds the rate (Böhning 1992, section 2):
    below 2/(κλ₁) the loss on a fixed target falls at every step; above it may still do so.
    The label function ``Identity`` stands for the student's own probabilities.
    """

    def value(self, outputs: Rows, target: Rows) -> Float[Array, ""]:
        """−Σ p_target·log softmax(f); binary of the logits (f, 0)."""
        outputs = jnp.asarray(outputs)
        n_out = outputs.shape[1]
        if n_out > 1:
            return -jnp.sum((target + 1.0 / n_out) * jax.nn.log_softmax(outputs, axis=1))
        share = 0.5 * (1.0 + target)
        log_yes, log_no = jax.nn.log_sigmoid(outputs), jax.nn.log_sigmoid(-outputs)
        return -jnp.sum(share * log_yes + (1.0 - share) * log_no)

    def gradient(self, outputs: Rows, target: Rows) -> Float[Array, "rows n_out"]:
        """softmax(f) − p_target; binary σ(f) − p_target, half the difference in the coding."""
        difference = self.predictions(outputs) - target
        return 0.5 * difference if difference.shape[1] == 1 else difference

    def curvature(self, n_out: int) -> float:
        """1/2, binary 1/4."""
        return 0.25 if n_out == 1 else 0.5

    def predictions(self, outputs: Rows) -> Float[Array, "rows n_out"]:
        """softmax(f) − 1/C; binary tanh(f/2)."""
        return Sharpened(1.0)(outputs)

    def supervise(self, supervision: Supervision) -> Supervision:
        """``Identity`` becomes the student's own probabilities; logits are no labels."""
        if not isinstance(supervision.label_function, Identity):
            return supervision
        return eqx.tree_at(lambda s: s.label_function, supervision, Sharpened(1.0))

    def check_targets(self, name: str, targets: Rows) -> None:
        """Require probabilities in the target coding, to a thousandth."""
        values = np.asarray(targets)
        n_out = values.shape[1]
        low, high = (-1.0, 1.0) if n_out == 1 else (-1 / n_out, 1 - 1 / n_out)
        total = np.zeros(()) if n_out == 1 else values.sum(axis=1)
        slack = 1e-3
        if values.min() < low - slack or values.max() > high + slack or np.abs(total).max() > slack:
            coding = "±1 or between" if n_out == 1 else "rows of probabilities less 1/C"
            raise ValueError(
                f"{name} must be {coding} for cross-entropy, in [{low:.3g}, {high:.3g}]; got "
                f"values in [{values.min():.3g}, {values.max():.3g}], "
                f"row sums up to {np.abs(values.sum(axis=1)).max():.3g}"
            )
