"""PS-KD: the last epoch's own predictions, trusted more from epoch to epoch."""

from ntk_air._base.checks import check_at_least, check_fraction
from ntk_air.dynamics.supervision import LastEpoch, Linear, Sharpened, Supervision


def progressive_self_distillation(
    n_epochs: int, steps_per_epoch: int, *, final_share: float = 0.8
) -> Supervision:
    """Target (1 − α_e)·e_ỹ + α_e·softmax(f_{e−1}), α_e = α_T·e/T (Kim et al. 2021, equation 5).

    Epochs e count from 1 to T; f_{e−1} are the outputs at the end of the last epoch (arXiv
    2006.12000, section 3.1). The first epoch has no teacher and learns the given labels. In the
    words of theory.md: sharpened labels at temperature 1 from the last epoch, at a weight that
    falls linearly with the epoch, after a warm-up of one.

    Args:
        n_epochs: T, at least 3.
        steps_per_epoch: optimiser steps in a pass through the training set.
        final_share: α_T, in [0, 1]; 0.8 in the paper.

    Returns:
        The supervision, for training with ``CrossEntropy()`` for ``n_epochs`` epochs.

    Raises:
        ValueError: for numbers out of range.
    """
    check_at_least("n_epochs", n_epochs, 3)
    check_at_least("steps_per_epoch", steps_per_epoch, 1)
    check_fraction("final_share", final_share)
    ramp = Linear(
        float(n_epochs - 2),
        start=1.0 - 2.0 * final_share / n_epochs,
        end=1.0 - final_share,
    )
    return Supervision(Sharpened(1.0), ramp, LastEpoch(steps_per_epoch), warm_up=steps_per_epoch)
