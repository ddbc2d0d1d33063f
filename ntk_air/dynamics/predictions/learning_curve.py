"""The test error of kernel ridge regression before any training (theory.md, 11-simon)."""

import numpy as np
from scipy.optimize import root_scalar

from ntk_air._base.checks import check_at_least, check_finite, check_floating, check_whole_number
from ntk_air._base.typing import AnyArray


def predicted_risk(
    eigenvalues: AnyArray, energies: AnyArray, n_points: int, *, ridge: float = 0.0
) -> float:
    """E_0 Σ(1 − L_i)²v_i², L_i = λ_i/(λ_i + κ), with Σ L_i + δ/κ = n and E_0 = n/(n − ΣL_i²).

    The mean square error, over a population, of a fit of n points drawn from it: exact for many
    Gaussian features, an approximation for others (Canatar, Bordelon, Pehlevan 2021, arXiv
    2006.13198; Simon et al. 2023, arXiv 2110.03922).

    Args:
        eigenvalues: spectrum λ of the kernel's operator, (n_mode,), none negative: that of Θ on M
            points of the population, divided by M.
        energies: squared coefficients v² of the labels along the modes, (n_mode,), their mean
            square in all: ‖Vᵀy‖² by mode, divided by M.
        n_points: number of training points n, below the number of positive eigenvalues.
        ridge: penalty δ added to the diagonal of Θ, in its unit, at least 0.

    Returns:
        The risk, in the labels' unit squared.

    Raises:
        ValueError: arrays that are not finite, negative or of two shapes, an n out of range.

    >>> import numpy as np
    >>> from ntk_air.dynamics.predictions.learning_curve import predicted_risk
    >>> round(predicted_risk(np.ones(4) / 4, np.ones(4) / 4, 2), 6)  # half of four points are seen
    0.5
    """
    for name, array in (("eigenvalues", eigenvalues), ("energies", energies)):
        check_floating(name, array)
        check_finite(name, array)
        if array.ndim != 1 or np.any(np.asarray(array) < 0):
            raise ValueError(f"{name} must be a list of numbers, none negative; got {array.shape}")
    if eigenvalues.shape != energies.shape:
        raise ValueError(
            f"energies must have eigenvalues' shape {eigenvalues.shape}; got {energies.shape}"
        )
    values, energies = np.asarray(eigenvalues), np.asarray(energies)
    check_at_least("ridge", ridge, 0)
    most = int(np.sum(values > 0)) - 1
    check_whole_number("n_points", n_points, minimum=1, maximum=None if ridge else most)

    def excess(log: float) -> float:
        kappa = np.exp(log)
        return float(np.sum(values / (values + kappa)) + ridge / kappa) - n_points

    largest = float(np.log(np.sum(values) + ridge))
    kappa = np.exp(root_scalar(excess, bracket=(largest - 700, largest + 1), xtol=1e-13).root)
    learnt = values / (values + kappa)
    return float(n_points / (n_points - np.sum(learnt**2)) * np.sum((1 - learnt) ** 2 * energies))
