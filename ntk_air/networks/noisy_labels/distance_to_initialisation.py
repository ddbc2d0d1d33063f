"""A penalty on how far the parameters have moved."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_at_least
from ntk_air._base.typing import Parameters
from ntk_air.dynamics.run.losses import Loss
from ntk_air.networks.training.rules import Batch, BatchNetwork, BatchRule


class DistanceToInitialisation(BatchRule):
    """Loss Σ_i ℓ(f(x_i), ỹ_i) + (λ²/2)‖θ − θ_0‖² (Hu, Li, Yu 2020, arXiv 1905.11368, equation 2).

    With the square loss and in the kernel regime it ends at kernel ridge regression with ridge λ²
    (theory.md section 8). Training divides all of it by n, as it does every loss; ``reduction=
    "sum"`` takes that back.

    Args:
        loss_function: ℓ, ``SquareLoss()`` or ``CrossEntropy()``.
        initial: θ_0, the parameters that training starts from.
        ridge: λ², at least 0, in the unit of the loss's sum over examples.

    Raises:
        ValueError: a negative ridge.
    """

    loss_function: Loss
    initial: Parameters
    ridge: float = eqx.field(converter=float)

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
