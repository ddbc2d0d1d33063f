"""Heavy ball in closed form, mode by mode: powers of a 2 × 2 companion matrix.

f_{t+1} = f_t − ηΘ(f_t − ỹ) + β(f_t − f_{t−1}), f_{−1} = f_0 (Polyak 1964). With x = ηλ a mode's
residual obeys p_{t+1} = a·p_t − β·p_{t−1}, a = 1 + β − x, whose characteristic roots z₁, z₂ meet
at x = (1 ± √β)². Everything is built from S_t = Σ_{k<t} z₁^{t−1−k} z₂^k, which has no pole there.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ntk_air._base.checks import as_float, check_fraction, check_positive
from ntk_air.dynamics.filters.spectral import (
    Response,
    SpectralFilter,
    Values,
    as_values,
    check_descent,
    decay,
    geometric_sum,
)

# Roots nearer to each other than this share of 1 − β leave the difference of two geometric sums
# with too few digits; the other form of the dual weight is exact there to about ε/(1 − β).
_NEARLY_DOUBLE = 1e-3


class _Roots(eqx.Module):
    """The characteristic roots, known by 1 − z where that is small.

    Attributes:
        gap: √|a² − 4β| = |z₁ − z₂|.
        real: whether the roots are real.
        slow: 1 − z₁, z₁ being the larger real root.
        fast: 1 − z₂.
    """

    gap: Float[Array, "..."]
    real: Bool[Array, "..."]
    slow: Float[Array, "..."]
    fast: Float[Array, "..."]


class HeavyBall(SpectralFilter):
    """Gradient descent with momentum, exact at every step.

    Args:
        learning_rate: η, absolute; stable for ηλ₁ < 2(1 + β).
        momentum: β in [0, 1); 0 is plain descent.

    Raises:
        ValueError: for a momentum outside [0, 1).
    """

    learning_rate: float = eqx.field(converter=as_float)
    momentum: float = eqx.field(converter=as_float)

    def __check_init__(self):
        check_positive("learning_rate", self.learning_rate)
        check_fraction("momentum", self.momentum)
        if self.momentum == 1:
            raise ValueError("momentum must lie below 1: at 1 no mode ever comes to rest")

    def check(self, steps: np.ndarray, largest_eigenvalue: float, allow_divergence: bool) -> None:
        """Whole steps, ηλ₁ < 2(1 + β); see ``SpectralRule.check``."""
        check_descent(
            self.learning_rate,
            steps,
            largest_eigenvalue,
            allow_divergence,
            momentum=self.momentum,
        )

    @property
    def description(self) -> str:
        """The rule in words."""
        return f"heavy ball (momentum {float(self.momentum):g}), exact"

    def response(self, eigenvalues: Values, steps: Values) -> Response:
        """Residual p_t and dual weight η Σ_{s=1}^t S_s; see ``SpectralFilter.response``."""
        rate = self.learning_rate * jnp.maximum(as_values(eigenvalues), 0)
        rate, steps = jnp.broadcast_arrays(rate, as_values(steps).astype(rate.dtype))
        momentum = jnp.asarray(self.momentum, rate.dtype)
        roots = _roots(rate, momentum)
        now, after = _impulse(rate, momentum, roots, jnp.stack([steps, steps + 1]))
        residual = after - momentum * now
        return Response(
            residual=residual,
            dual=self.learning_rate
            * _impulse_sum(rate, momentum, roots, steps=steps, residual=residual),
        )


def _roots(rate: Float[Array, "..."], momentum: Float[Array, ""]) -> _Roots:
    """Both roots by w = 1 − z: w² − (1 − β + x)w + x = 0, the smaller one without cancellation."""
    middle = 1 - momentum + rate
    root = jnp.sqrt(momentum)
    # a² − 4β, factored at the two double roots so that it keeps its sign and digits near them.
    discriminant = (rate - (1 - root) ** 2) * (rate - (1 + root) ** 2)
    gap = jnp.sqrt(jnp.abs(discriminant))
    fast = (middle + gap) / 2
    return _Roots(gap=gap, real=discriminant >= 0, slow=rate / fast, fast=fast)


def _impulse(
    rate: Float[Array, "..."], momentum: Float[Array, ""], roots: _Roots, steps: Float[Array, "..."]
) -> Float[Array, "..."]:
    """S_t for t ≥ 0, over real and complex roots; S_0 = 0, S_1 = 1."""
    before = jnp.maximum(steps - 1, 0)
    linear = 1 + momentum - rate
    # Real: powers of the larger root times a geometric sum of the ratio of the roots.
    larger = jnp.where(linear >= 0, roots.slow, roots.fast)
    ratio_rate = roots.gap / jnp.where(larger == 1, 1, jnp.abs(1 - larger))
    real = decay(larger, before) * geometric_sum(ratio_rate, steps)
    # Complex: √β e^{±iθ}; θ is taken from the nearer end of [0, π], with the sign put back.
    angle = jnp.arctan2(roots.gap, jnp.abs(linear))
    sine = jnp.sin(angle)
    ratio = jnp.where(sine > 0, jnp.sin(steps * angle) / jnp.where(sine > 0, sine, 1), steps)
    alternating = jnp.where((linear < 0) & (jnp.mod(steps, 2) == 0), -ratio, ratio)
    root_size = jnp.sqrt(momentum)
    complex_ = decay(1 - root_size, before) * alternating
    return jnp.where(steps == 0, 0.0, jnp.where(roots.real, real, complex_))


def _impulse_sum(
    rate: Float[Array, "..."],
    momentum: Float[Array, ""],
    roots: _Roots,
    *,
    steps: Float[Array, "..."],
    residual: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Σ_{s=1}^t S_s = (1 − p_t)/x: f's dual weight over η.

    For small x the quotient would cancel; there the roots are real and apart, and the sum is
    (z₁ Σ_{s<t} z₁ˢ − z₂ Σ_{s<t} z₂ˢ)/(z₁ − z₂).
    """
    apart = roots.real & (roots.gap > _NEARLY_DOUBLE * (1 - momentum))
    both = jnp.stack([roots.slow, roots.fast])
    slow_sum, fast_sum = (1 - both) * geometric_sum(both, steps)
    by_roots = (slow_sum - fast_sum) / jnp.where(apart, roots.gap, 1)
    by_residual = (1 - residual) / jnp.where(rate > 0, rate, 1)
    return jnp.where(steps == 0, 0.0, jnp.where(apart, by_roots, by_residual))
