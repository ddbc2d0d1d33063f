"""Numbers over seeds: mean, standard deviation, and who is ahead in how many."""

import numpy as np

from ntk_air._base.typing import AnyArray


def over_seeds(
    name: str, values: AnyArray, *, may_be_infinite: bool = False
) -> dict[str, list[float]]:
    """Mean and standard deviation over the leading axis; a single seed has spread 0.

    Args:
        name: name of the mean; the deviation's ends in ``_std``.
        values: numbers of each seed, (n_seed, n).
        may_be_infinite: whether spread is 0 where a value is not finite, instead of NaN.
    """
    values = np.asarray(values)
    with np.errstate(invalid="ignore"):  # what is infinite has no spread
        spread = np.std(values, axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    if may_be_infinite:
        spread = np.where(np.isfinite(values).all(axis=0), spread, 0.0)
    return {name: np.mean(values, axis=0).tolist(), f"{name}_std": spread.tolist()}


def paired(name: str, differences: AnyArray) -> dict[str, list[float]]:
    """Differences seed by seed: mean, spread, and in how many seeds they are above 0."""
    return over_seeds(name, differences) | {
        f"{name}_seeds_ahead": np.sum(np.asarray(differences) > 0, axis=0).tolist()
    }
