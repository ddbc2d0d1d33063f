"""A student trained to convergence: the kernel interpolant of its targets."""

import numpy as np
import scipy.linalg
from jaxtyping import Float

from ntk_air._base.checks import check_finite
from ntk_air._base.typing import AnyArray, CrossKernel, KernelMatrix


def interpolant(
    theta: KernelMatrix, cross_kernel: CrossKernel, targets: Float[AnyArray, "n_train k"]
) -> Float[np.ndarray, "n_test k"]:
    """f(x) = Θ(x, X)Θ⁻¹·targets: what descent from f_0 = 0 tends to on new inputs (5a).

    Solved by Cholesky factorisation, without the eigenbasis that trajectories are followed in.

    Args:
        theta: Θ, (n_train, n_train), positive definite.
        cross_kernel: Θ(x, X), (n_test, n_train).
        targets: what the student is trained on, (n_train, k), any unit.

    Returns:
        Outputs at the new inputs, (n_test, k), in the targets' unit.

    Raises:
        ValueError: a kernel that is not positive definite to working precision, for which there
            is no interpolant of any targets.
    """
    check_finite("targets", targets)
    try:
        factor = scipy.linalg.cho_factor(np.asarray(theta))
    except scipy.linalg.LinAlgError as error:
        raise ValueError(
            f"theta must be positive definite to have an interpolant of any targets; got {error}"
        ) from error
    return np.asarray(cross_kernel) @ scipy.linalg.cho_solve(factor, np.asarray(targets))
