"""The label-weighted spectral measure, known by bounds (docs/theory.md, section 9)."""

from collections.abc import Iterator
from typing import Literal, TypeAlias

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ntk_air._base.checks import check_choice, check_positive
from ntk_air.spectrum.krylov.enclosure import Enclosure, enclosure_within_one, residual_bounds
from ntk_air.spectrum.krylov.jacobi import Jacobi, Rule
from ntk_air.spectrum.krylov.space import EPSILON
from ntk_air.spectrum.scaling import scaled_back

Dynamics: TypeAlias = Literal["descent", "flow"]

_TIMES_AT_ONCE = 256
_RATIO = 1.2
_FIRST_STEPS = 16
_LAST_TIME = 1e18

Times = Float[np.ndarray, " n_time"]


class SpectralMeasure(eqx.Module):
    """Shares of ‖u‖² over the spectrum of Θ, u being the columns of a label matrix.

    Numbers in units of Θ are divided by 2^``exponent``, which is 1 unless squares of them would
    leave floating point; what methods take and ``largest_eigenvalue`` are of Θ itself. Every bound
    is one for a kernel within ``uncertainty`` of Θ, which is then allowed for.
    """

    columns: tuple[Jacobi, ...]
    """One recurrence for each column of the labels that is not 0."""
    modes: Rule
    """The Gauss rule of the whole block, descending: all columns share its nodes, the Ritz values.
    The best estimate; bounded by what leaves the space."""
    amplitudes: Float[np.ndarray, "n_node n_column"]
    """The columns in the basis of the Ritz vectors: their squares make the weights of ``modes``."""
    leaving: Float[np.ndarray, "n_left n_node"]
    """What Θ makes of each Ritz vector outside the space; no rows where nothing leaves it."""
    n_products: int = eqx.field(static=True)
    """m, the passes over the kernel behind it."""
    uncertainty: float
    """‖Θ′ − Θ‖, Θ′ being the kernel that all this is exact of. Its part from rounding of the
    products is measured, not proven: see ``LabelQuadrature.measures``."""
    exponent: int = eqx.field(static=True, default=0)
    """The power of two that Θ is divided by."""

    @property
    def energy(self) -> float:
        """‖u‖²."""
        return sum(column.energy for column in self.columns)

    @property
    def largest_eigenvalue(self) -> float:
        """The largest Ritz value, from below; exact to rounding after a few products."""
        return float(scaled_back(self.modes.nodes[0], self.exponent))

    @property
    def default_learning_rate(self) -> float:
        """1/λ₁."""
        return 1 / self.largest_eigenvalue

    def rate_of_nodes(self, learning_rate: float) -> float:
        """η·2^``exponent``: what the nodes are multiplied by."""
        return float(scaled_back(learning_rate, self.exponent))

    def decay(
        self,
        steps: Times,
        *,
        learning_rate: float | None = None,
        dynamics: Dynamics = "descent",
    ) -> Enclosure:
        """uᵀ(I − ηΘ)ᵏu/‖u‖² for each k, which k = 2t makes ‖(I − ηΘ)ᵗu‖²/‖u‖².

        This is the whole training curve of gradient descent: no eigenvectors, and any number of
        steps at the price of evaluating a sum. Of two pairs of bounds the better one counts:

        - Gauss from below and Gauss–Radau with a node at 0 from above, column by column
          (``jacobi.py``);
        - the block's rule, more or less what its residual allows for (``enclosure.py``).

        Two kernels that differ by δ have decays that differ by at most kηδ(√decay(2k) + kηδ):
        (H′ᵏ − Hᵏ) = Σ H′ˢ(H′ − H)Hᵏ⁻¹⁻ˢ, and ‖H′ˢu‖‖Hᵏ⁻¹⁻ˢu‖ is largest at its ends. Θ′ is moved
        up by δ = ``uncertainty``, so that it has no negative eigenvalue: 2δ are allowed for. Then
        it is scaled so that none is above 1/η, which moves decays by at most 2ηδ. Decays fall with
        k: a bound at one step holds at those behind, or before it.

        Args:
            steps: Times k ≥ 0, whole numbers for descent (other powers have derivatives that
                change sign); ∞ is allowed.
            learning_rate: Learning rate η, at most 1/λ₁ for descent, where derivatives alternate
                in sign; ``None`` is 1/λ₁.
            dynamics: ``"descent"``, or ``"flow"`` for e^{−kηΘ} at any k.

        Raises:
            ValueError: Steps that are negative, NaN or, for descent, no whole numbers; a learning
                rate that is not positive or, for descent, above 1/λ₁.
        """
        rate = self._checked_rate(learning_rate, dynamics)
        steps = _checked_steps(steps, dynamics)
        grid = self._grid(steps, rate, dynamics)
        lower, upper, estimate = self._bounds(grid, rate, dynamics)
        # Of the end nothing is known but what is at most left by then.
        at = np.searchsorted(grid, steps)
        last = np.sum(self.modes.weights[self.modes.nodes <= 0]) / self.energy
        return enclosure_within_one(
            np.append(lower, 0.0)[at],
            np.append(upper, upper[-1])[at],
            np.append(estimate, last)[at],
        )

    def estimate_error(
        self,
        steps: Times,
        *,
        learning_rate: float | None = None,
        dynamics: Dynamics = "descent",
    ) -> Times:
        """A bound on |estimate − decay| that never falls with k: by the residual alone.

        Args:
            steps: Times k ≥ 0, finite; whole numbers for descent.
            learning_rate: Learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
            dynamics: ``"descent"``, or ``"flow"`` for e^{−kηΘ} at any k.

        Raises:
            ValueError: Steps that are negative, NaN or, for descent, no whole numbers; a learning
                rate that is not positive or, for descent, above 1/λ₁.
        """
        rate = self._checked_rate(learning_rate, dynamics)
        steps = _checked_steps(steps, dynamics)
        grid = self._grid(steps, rate, dynamics)
        nodes = self._moved_nodes(rate)
        left = remaining(nodes, grid, rate, dynamics)
        moves = 2 * grid * rate * self.uncertainty
        error = self._residual_bounds(grid, nodes, left, rate=rate, dynamics=dynamics)
        # The estimate is that of nodes which are not moved: they differ by as much again.
        error += 2 * (moves * (1 + moves) + self._rounding(rate))
        return error[np.searchsorted(grid, steps)]

    def energy_from(self, thresholds: Float[np.ndarray, " n_value"]) -> Enclosure:
        """The share of u's energy in eigenvalues at or above each threshold.

        By the inequalities of Chebyshev, Markov and Stieltjes (``jacobi.py``), column by column.
        They hold for a kernel within ``uncertainty`` of Θ: an eigenvalue that lies closer to a
        threshold than that may count on either side.

        Args:
            thresholds: Eigenvalues in units of Θ, above 0.

        Raises:
            ValueError: A threshold that is not above 0.
        """
        thresholds = np.asarray(thresholds, np.float64)
        for threshold in thresholds:
            check_positive("thresholds", float(threshold))
        thresholds = scaled_back(thresholds, -self.exponent)
        estimate = np.array([np.sum(self.modes.weights[self.modes.nodes >= x]) for x in thresholds])
        if len(self.leaving) == 0:
            bounds = np.stack([estimate, estimate], axis=1)
        else:
            bounds = np.array(
                [np.sum([j.mass_from(x) for j in self.columns], axis=0) for x in thresholds]
            )
        slack = EPSILON * len(self.modes.nodes)
        return enclosure_within_one(
            bounds[:, 0] / self.energy - slack,
            bounds[:, 1] / self.energy + slack,
            estimate / self.energy,
        )

    def _checked_rate(self, learning_rate: float | None, dynamics: Dynamics) -> float:
        """The learning rate of the nodes."""
        check_choice("dynamics", dynamics, ("descent", "flow"))
        if learning_rate is None and self.largest_eigenvalue == 0:
            raise ValueError("learning_rate must be given: the labels lie in Θ's null space")
        rate = self.default_learning_rate if learning_rate is None else learning_rate
        check_positive("learning_rate", rate)
        of_nodes = self.rate_of_nodes(rate)
        if dynamics == "descent" and of_nodes * float(self.modes.nodes[0]) > 1 + 1e-6:
            raise ValueError(
                f"learning_rate must be at most 1/λ₁ = {self.default_learning_rate:.6g}, where "
                f"derivatives alternate in sign; got {rate:.6g}"
            )
        return of_nodes

    def _grid(self, steps: Times, rate: float, dynamics: Dynamics) -> Float[np.ndarray, " n_grid"]:
        """Finite steps, among times from 0 in small ratios until the slowest mode has gone."""
        slowest = rate * max(self.uncertainty, float(np.min(self.modes.nodes)))
        first = _FIRST_STEPS if dynamics == "descent" else 1e-2
        last = max(50 / max(slowest, 50 / _LAST_TIME), 2.0 * first)
        later = np.geomspace(first, last, 2 + int(np.log(last / first) / np.log(_RATIO)))
        early = np.zeros(1)
        if dynamics == "descent":
            early, later = np.arange(float(_FIRST_STEPS)), np.round(later)
        return np.unique(np.concatenate([early, later, steps[np.isfinite(steps)]]))

    def _rounding(self, rate: float) -> float:
        """What scaling moves decays by, and the rounding of a rule's weights."""
        return 2 * rate * self.uncertainty + len(self.modes.nodes) * EPSILON

    def _moved_nodes(self, rate: float) -> Float[np.ndarray, " n_node"]:
        return (self.modes.nodes + self.uncertainty) / (1 + 2 * rate * self.uncertainty)

    def _bounds(self, steps: Times, rate: float, dynamics: Dynamics) -> tuple[Times, Times, Times]:
        """Lower bound, upper bound and estimate, rounding allowed for."""
        scale = 1 / (1 + 2 * rate * self.uncertainty)
        moved = [column.moved(self.uncertainty, scale) for column in self.columns]
        gauss, radau = _joined(c.gauss() for c in moved), _joined(c.radau(0.0) for c in moved)
        nodes = self._moved_nodes(rate)
        left = remaining(nodes, steps, rate, dynamics)
        block = left @ self.modes.weights / self.energy
        error = self._residual_bounds(steps, nodes, left, rate=rate, dynamics=dynamics)
        lower = np.maximum(self._value(gauss, steps, rate, dynamics), block - error)
        upper = np.minimum(self._value(radau, steps, rate, dynamics), block + error)
        upper = np.minimum.accumulate(np.minimum(upper, 1))
        at_twice = upper[np.searchsorted(steps, 2 * steps, side="right") - 1]
        moves = 2 * steps * rate * self.uncertainty
        allowance = moves * (np.sqrt(np.maximum(at_twice, 0)) + moves) + self._rounding(rate)
        lower[0], upper[0], allowance[0] = 1, 1, 0  # nothing has happened yet
        return (
            np.maximum.accumulate((lower - allowance)[::-1])[::-1],
            np.minimum.accumulate(upper + allowance),
            self._value(self.modes, steps, rate, dynamics),
        )

    def _residual_bounds(
        self,
        steps: Times,
        nodes: Float[np.ndarray, " n_node"],
        left: Float[np.ndarray, "n_time n_node"],
        *,
        rate: float,
        dynamics: Dynamics,
    ) -> Times:
        scaled = rate * nodes
        speeds = scaled[:, None] + scaled
        if dynamics == "descent":
            speeds = speeds - scaled[:, None] * scaled
        leaving = rate * self.leaving
        residuals = (leaving.T @ leaving) * (self.amplitudes @ self.amplitudes.T)
        return residual_bounds(steps, left, speeds, residuals) / self.energy

    def _value(self, rule: Rule, steps: Times, rate: float, dynamics: Dynamics) -> Times:
        parts = [
            remaining(rule.nodes, steps[start : start + _TIMES_AT_ONCE], rate, dynamics)
            @ rule.weights
            for start in range(0, len(steps), _TIMES_AT_ONCE)
        ]
        return np.concatenate(parts) / self.energy


def remaining(
    nodes: Float[np.ndarray, " n_node"], steps: Times, rate: float, dynamics: Dynamics
) -> Float[np.ndarray, "n_time n_node"]:
    """(1 − ηλ)ᵏ or e^{−kηλ} at each node; nodes beyond rounding of [0, 1/η] count as its ends."""
    scaled = np.clip(rate * nodes, 0, 1 if dynamics == "descent" else None)
    with np.errstate(divide="ignore"):
        logarithm = np.log1p(-scaled) if dynamics == "descent" else -scaled
    nothing = (steps[:, None] == 0) | (logarithm == 0)
    return np.exp(np.where(nothing, 0, np.where(nothing, 1, steps[:, None]) * logarithm))


def _checked_steps(steps: Times, dynamics: Dynamics) -> Times:
    """Require steps at least 0, and whole ones for descent."""
    steps = np.asarray(steps, np.float64)
    if not (steps >= 0).all():
        raise ValueError(f"steps must be at least 0; the smallest is {steps.min()}")
    finite = steps[np.isfinite(steps)]
    if dynamics == "descent" and (finite != np.floor(finite)).any():
        first = finite[finite != np.floor(finite)][0]
        raise ValueError(f"steps must be whole numbers for descent; got {first}")
    return steps


def _joined(rules: Iterator[Rule]) -> Rule:
    parts = list(rules)
    return Rule(
        nodes=np.concatenate([rule.nodes for rule in parts]),
        weights=np.concatenate([rule.weights for rule in parts]),
    )
