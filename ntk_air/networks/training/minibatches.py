"""How training walks: batches, loss, evaluation, and where it goes on from."""

import equinox as eqx
from jaxtyping import PRNGKeyArray, Shaped

from ntk_air._base.checks import check_callable, check_choice, check_whole_number
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray
from ntk_air.dynamics.run.losses import Loss, SquareLoss
from ntk_air.dynamics.run.trajectory import Trajectory
from ntk_air.networks.training.train_checkpoints import Checkpoints
from ntk_air.networks.training.train_step import Reduction


class Minibatches(eqx.Module):
    """The batches that a network is trained on, and all else that decides how training walks.

    Args:
        size: number of examples in a step, drawn without return, in another order in each pass;
            what does not fill a batch is left out of a pass. ``None`` is all examples.
        key: PRNG key that orders the batches and feeds a rule's own randomness; ``None`` where
            nothing is drawn, as on full batches under supervision.
        reduction: ``"sum"`` over the training examples as in theory.md section 0 (a batch stands
            for all of them, × n_train/size), or ``"mean"``.
        loss: meaning of the outputs under supervision: ``SquareLoss()``, or ``CrossEntropy()``,
            whose outputs are logits and are measured as probabilities.
        evaluation_rows: largest number of examples that are evaluated at once for a record.
        resume: trajectory of this very run, to go on from where it ended.
        checkpoints: folder where the run keeps its state, and goes on from what it finds there.
        progress: callback ``progress(what, done, total)`` after each stretch.

    Raises:
        ValueError: for numbers out of range, and for ``resume`` beside ``checkpoints``.

    >>> import jax
    >>> import ntk_air as na
    >>> na.networks.Minibatches(100, jax.random.key(0), reduction="mean").size
    100
    """

    size: int | None = None
    key: PRNGKeyArray | Shaped[AnyArray, "2"] | None = None
    reduction: Reduction = eqx.field(default="sum", kw_only=True)
    loss: Loss = eqx.field(default=SquareLoss(), kw_only=True)
    evaluation_rows: int = eqx.field(default=1024, kw_only=True)
    resume: Trajectory | None = eqx.field(default=None, kw_only=True)
    checkpoints: Checkpoints | None = eqx.field(default=None, kw_only=True)
    progress: Progress = eqx.field(default=no_progress, kw_only=True)

    def __check_init__(self):
        if self.size is not None:
            check_whole_number("size", self.size, minimum=1)
        check_choice("reduction", self.reduction, ("sum", "mean"))
        check_callable("progress", self.progress)
        check_whole_number("evaluation_rows", self.evaluation_rows, minimum=1)
        if self.resume is not None and self.checkpoints is not None:
            raise ValueError("resume must be left out where checkpoints say what to go on from")

    def steps_per_pass(self, n_train: int) -> int:
        """Steps in a pass through ``n_train`` examples.

        Raises:
            ValueError: for fewer examples than make a batch.
        """
        if self.size is None:
            return 1
        if self.size > n_train:
            raise ValueError(
                f"size must lie in 1 … {n_train}, the training inputs; got {self.size}"
            )
        return n_train // self.size

    @property
    def words(self) -> str:
        """The batches, for a reader."""
        return "full batches" if self.size is None else f"batches of {self.size}"


FULL_BATCHES = Minibatches()
"""All examples in every step, on the square loss, summed."""
