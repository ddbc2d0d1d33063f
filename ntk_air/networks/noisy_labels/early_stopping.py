"""Early stopping where labels that were held back, noisy as they are, are predicted best."""

import numpy as np

from ntk_air.dynamics.run.trajectory import Trajectory


def noisy_validation_stop(trajectory: Trajectory) -> int:
    """The recorded time with the best accuracy on the held-out labels; the first of equals.

    Symmetric noise leaves the order of classifiers by accuracy as it is on clean labels, up to the
    validation set's own chance (theory.md section 3: E[ỹ | y] = s·y).

    Args:
        trajectory: of training on a part of the given labels, its ``held_out`` inputs the others
            with their noisy labels.

    Returns:
        The index into ``trajectory.times``.

    Raises:
        ValueError: a trajectory without held-out labels.
    """
    if trajectory.held_out is None:
        raise ValueError("trajectory must have held-out labels to stop by; it has none")
    return int(np.argmax(np.asarray(trajectory.held_out.accuracy)))
