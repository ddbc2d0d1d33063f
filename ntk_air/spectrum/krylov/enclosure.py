"""Numbers between two bounds, and the bounds that the residual of a block Krylov space gives.

Let V be the space with ΘV = VT + V′K, and x(k) = (I − ηΘ)ᵏu. The space's own x̂(k) = V(I − ηT)ᵏc,
with u = Vc, leaves ηV′K(I − ηT)ᵏc each step, of the norm ρ_k. As ‖I − ηΘ‖ ≤ 1, the errors of x̂
add up to ‖x(k) − x̂(k)‖ ≤ Σ_{j<k} ρ_j. V′ is orthogonal to V, so that errors of uᵀx̂(k) meet a
residual twice:

    uᵀx(k) − uᵀx̂(k) = Σ_{j<k} (x − x̂)(k−1−j)ᵀ·(residual j),  at most (Σ_{j<k} ρ_j)².

For flow, sums are integrals (residuals of the exponential: Botchev, Grimm, Hochbruck 2013). This
uses the whole space, all columns of the labels at once. A column's own Gauss and Gauss–Radau rules
know its own 2m moments alone; their bounds hold better where ρ falls slowly.

The sum over a panel of times is at most √(length · Σρ²), and Σρ² over all times from j on is a
quadratic form in (1 − ηθ)ʲ, a geometric series in each pair of Ritz values.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ntk_air.spectrum.krylov.space import EPSILON


class Enclosure(eqx.Module):
    """Numbers that lie between two bounds, with the best guess between them.

    Attributes:
        lower: Lower bounds, shape (n_value,).
        upper: Upper bounds, shape (n_value,).
        estimate: Best guesses, shape (n_value,): not proven, and far closer to the truth than the
            bounds are to each other.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> found = na.Enclosure(np.array([0.2]), np.array([0.4]), np.array([0.31]))
        >>> found.contains(np.array([0.3])), found.width.round(12).tolist()
        (True, [0.2])
    """

    lower: Float[np.ndarray, " n_value"]
    upper: Float[np.ndarray, " n_value"]
    estimate: Float[np.ndarray, " n_value"]

    @property
    def width(self) -> Float[np.ndarray, " n_value"]:
        """upper − lower."""
        return self.upper - self.lower

    def contains(self, values: Float[np.ndarray, " n_value"]) -> bool:
        """Whether every value lies within its bounds."""
        return bool(np.all((self.lower <= values) & (values <= self.upper)))


def enclosure_within_one(
    lower: Float[np.ndarray, " n_value"],
    upper: Float[np.ndarray, " n_value"],
    estimate: Float[np.ndarray, " n_value"],
) -> Enclosure:
    """The enclosure of shares, which lie in [0, 1], with the estimate moved into it."""
    lower, upper = np.clip(lower, 0, 1), np.clip(upper, 0, 1)
    return Enclosure(lower=lower, upper=upper, estimate=np.clip(estimate, lower, upper))


def residual_bounds(
    times: Float[np.ndarray, " n_time"],
    left: Float[np.ndarray, "n_time n_node"],
    speeds: Float[np.ndarray, "n_node n_node"],
    residuals: Float[np.ndarray, "n_node n_node"],
) -> Float[np.ndarray, " n_time"]:
    """(Σ_{j<k} ρ_j)² for each time k.

    Args:
        times: ascending from 0, close enough that ρ changes little between neighbours.
        left: (1 − ηθ)ᵏ or e^{−kηθ} of each Ritz value at each time.
        speeds: 1 − (1 − ηθ_a)(1 − ηθ_b) or ηθ_a + ηθ_b of each pair.
        residuals: η²(KᵀK)_ab Σ c_a c_b of each pair, over the columns of the labels.
    """
    # KᵀK vanishes with the Ritz values of a positive semi-definite kernel, as fast as these.
    series = residuals / np.maximum(speeds, np.finfo(np.float64).tiny)
    ahead = np.einsum("ta,ta->t", left @ series, left)
    lost = EPSILON * len(speeds) * np.einsum("ta,ta->t", left @ np.abs(series), left)
    squares = np.maximum(ahead[:-1] - ahead[1:], 0) + lost[:-1]
    sums = np.cumsum(np.sqrt(np.diff(times) * squares))
    return np.append(0.0, sums) ** 2
