"""A number between two bounds."""

import equinox as eqx
import numpy as np
from jaxtyping import Float


class Enclosure(eqx.Module):
    """Numbers that lie between two bounds, with the best guess between them."""

    lower: Float[np.ndarray, " n_value"]
    upper: Float[np.ndarray, " n_value"]
    estimate: Float[np.ndarray, " n_value"]
    """Not proven, and far closer to the truth than the bounds are to each other."""

    @property
    def width(self) -> Float[np.ndarray, " n_value"]:
        """upper − lower."""
        return self.upper - self.lower

    def contains(self, values: Float[np.ndarray, " n_value"]) -> bool:
        """Whether every value lies within its bounds."""
        return bool(np.all((self.lower <= values) & (values <= self.upper)))


def bracket(
    lower: Float[np.ndarray, " n_value"],
    upper: Float[np.ndarray, " n_value"],
    estimate: Float[np.ndarray, " n_value"],
) -> Enclosure:
    """A bracket within [0, 1], with the estimate moved into it."""
    lower, upper = np.clip(lower, 0, 1), np.clip(upper, 0, 1)
    return Enclosure(lower=lower, upper=upper, estimate=np.clip(estimate, lower, upper))
