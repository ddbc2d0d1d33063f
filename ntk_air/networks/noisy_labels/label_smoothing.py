"""Label smoothing: a share of each label is given to all classes alike."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air._base.checks import check_fraction
from ntk_air.dynamics.supervision import Constant, Supervision
from ntk_air.dynamics.supervision.label_functions import LabelFunction, Rows


class NoOpinion(LabelFunction):
    """h(f) = 0: all classes alike, whatever the outputs."""

    def __call__(self, outputs: Rows) -> Float[Array, "rows n_out"]:
        """Zeros, (rows, n_out)."""
        return jnp.zeros_like(outputs)


def label_smoothing(share: float = 0.1) -> Supervision:
    """Target (1 − ε)·e_ỹ + ε/C (Szegedy et al. 2016, arXiv 1512.00567, section 7).

    In the target coding that is (1 − ε)ỹ: the teacher has no opinion.

    Args:
        share: ε, in [0, 1); 0.1 in the paper.

    Returns:
        The supervision, for training with ``CrossEntropy()``.

    Raises:
        ValueError: a share outside [0, 1].
    """
    check_fraction("share", share)
    return Supervision(NoOpinion(), Constant(1.0 - share))
