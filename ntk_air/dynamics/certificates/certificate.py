"""The tail certificate: convergence for all time, proved at one step (theory.md 6c).

Covered are gradient descent on the square loss with hard labels and non-increasing weights, for
the symmetric positive semi-definite kernel that was decomposed: in exact arithmetic from the
outputs given, and in floating point as long as the residual of each step, f_t − target_t, is off
by no more than ``step_rounding`` in ℓ2. All of this widens the bounds. Momentum and other losses
are not covered.
"""

import math
from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_at_least, check_finite, check_positive, shown
from ntk_air._base.typing import AnyArray, Targets
from ntk_air.dynamics.certificates.tail_bounds import (
    Moment,
    Tail,
    TailBasis,
    TailBounds,
    tail_bounds,
)
from ntk_air.dynamics.supervision import Hard

WeightBound = Callable[[np.ndarray], np.ndarray]
"""Bounds on α at T + m and at all later steps, for an array of m; m may be infinite."""

# m′ as shares of m at which the noise taken up is split; each gives a valid bound.
_SPLITS = (0.25, 0.5, 0.75, 0.9, 0.99)

# Relative growth above the least weight so far that is taken for rounding of the schedule.
_ROUNDED_WEIGHT = 1e-12

# Of ηδ, δ the decomposition's error: far above any decomposition in float64.
_LARGEST_PERTURBATION = 1e-2


class Certificate(eqx.Module):
    """That a hard pattern can never break, or why that was not proved.

    Attributes:
        issued: whether it is proved.
        reason: what is proved, or what stands against it.
        step: T, the step it speaks from.
        pattern: the labels that hold, (n_train, n_out).
        bounds: B with |f_t − pattern| ≤ B entry by entry for all t ≥ T, (n_train, n_out);
            infinite where the premises fail.
        slack: by how much the label of each row is safe, (n_train,): the least over its rivals of
            pattern_c − pattern_c′ − B_c − B_c′; binary |pattern| − B.
        rms_bound: bound on ‖f_t − pattern‖_F / √n for all t ≥ T.
        rounding_allowance: the largest part of a bound that is there for rounding alone.
        step_rounding: the rounding of one step's residual that is covered, in ℓ2 by column.
        unmoved_rms: RMS of what modes that may have λ = 0 hold, and may hold for ever.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> theta, labels = np.diag([2.0, 1.0]), np.array([[1.0], [-1.0]])
    >>> problem = na.Problem(na.Labels(labels, labels), theta, na.decompose(theta))
    >>> taught = na.Supervision(na.label_functions.Hard(), na.weights.Power(1.5), warm_up=5)
    >>> certificate = na.certify(problem, taught, na.solve(problem, taught, [9], store_at=[9]))
    >>> certificate.issued, certificate.step
    (True, 9)
    """

    issued: bool = eqx.field(static=True)
    reason: str = eqx.field(static=True)
    step: int
    pattern: Float[AnyArray, "n_train n_out"]
    bounds: Float[AnyArray, "n_train n_out"]
    slack: Float[AnyArray, " n_train"]
    rms_bound: float
    rounding_allowance: float
    step_rounding: float
    unmoved_rms: float
    _basis: TailBasis
    _tail: Tail | None
    _weight_bound: WeightBound = eqx.field(static=True)

    def margin_bound(self, step: float | int) -> float:
        """Lower bound on the smallest margin at a step t ≥ T and at all later ones (6d).

        Args:
            step: t; infinity gives the limit, 1 less what zero modes, the limit of α and
                rounding leave.

        Raises:
            ValueError: for a certificate that was not issued, or a step before it.
        """
        return float(jnp.min(_slack(self.pattern, self._at(step).rows)))

    def distance_bound(self, step: float | int) -> float:
        """Upper bound on ‖f_t − pattern‖_F / √n at a step t ≥ T and at all later ones.

        Raises:
            ValueError: for a certificate that was not issued, or a step before it.
        """
        return float(self._at(step).rms)

    def _at(self, step: float | int) -> TailBounds:
        if self._tail is None or not self.issued:
            raise ValueError(f"no bounds without a certificate: {self.reason}")
        if not step >= self.step:
            raise ValueError(f"step must be at least {self.step}; got {step}")
        moments = _moments(float(step - self.step), self._weight_bound, self._tail.error.dtype)
        several = [tail_bounds(self._basis, self._tail, moment) for moment in moments]
        return TailBounds(
            rows=jnp.min(jnp.stack([bounds.rows for bounds in several]), axis=0),
            rms=jnp.min(jnp.stack([bounds.rms for bounds in several])),
            rounding=several[0].rounding,
            unmoved_rms=several[0].unmoved_rms,
        )


class RunState(eqx.Module):
    """Where a run stands at step T, as far as a certificate looks at it.

    Args:
        outputs: outputs f_T, (n_train, n_out).
        noisy: given labels ỹ, (n_train, n_out).
        step: step T, a whole number.
        teacher_outputs: outputs f_τ(T) of a teacher that is not the current step, (n_train,
            n_out); its later outputs must be convex combinations of it and of outputs from T on.
    """

    outputs: Targets
    noisy: Targets
    step: int = 0
    teacher_outputs: Targets | None = None


def certify_pattern(
    basis: TailBasis,
    state: RunState,
    *,
    weights: float | Sequence[float] | AnyArray | WeightBound,
    learning_rate: float,
    pattern: Targets | None = None,
    step_rounding: float | None = None,
) -> Certificate:
    """Prove that the hard labels of a run at step T are its labels for ever (theory.md 6c).

    No clean label is looked at: with ``pattern`` left out it is the run's current one that is
    proved final, right or wrong.

    Args:
        basis: eigenbasis of the kernel, from ``tail_basis``.
        state: outputs and labels of the run at step T.
        weights: weights α from T on, never growing: one bound for all, or α_T, α_{T+1}, …, the last
            of which bounds all later ones, or a function from an array of t − T to such weights.
        learning_rate: learning rate η, absolute; ηλ₁ ≤ 1.
        pattern: hard labels, (n_train, n_out); ``None`` is h(f_T).
        step_rounding: rounding of one step's residual to cover, in ℓ2 by column; ``None`` is
            6√n·ε·(‖f_T‖ + ‖ỹ‖), the largest over columns.

    Raises:
        ValueError: for shapes that disagree, non-finite values, a rate or a rounding that is
            not a number of the right sign, weights outside [0, 1].
    """
    _check_arrays(basis, state, pattern)
    check_positive("learning_rate", learning_rate)
    weight_bound, growing = _checked_weights(weights)
    dtype = basis.eigenvectors.dtype
    outputs, noisy = jnp.asarray(state.outputs, dtype), jnp.asarray(state.noisy, dtype)
    hard, step = Hard(), state.step
    held = hard(outputs) if pattern is None else jnp.asarray(pattern, dtype)
    if step_rounding is None:
        sizes = jnp.linalg.norm(outputs, axis=0) + jnp.linalg.norm(noisy, axis=0)
        step_rounding = basis.defects.sum_rounding * float(jnp.max(sizes))
    check_at_least("step_rounding", step_rounding, 0.0)

    against = growing or _against_premises(basis, learning_rate)
    against = against or _against_pattern(held, hard(outputs), "the outputs")
    if state.teacher_outputs is not None:
        taught = hard(jnp.asarray(state.teacher_outputs, dtype))
        against = against or _against_pattern(held, taught, "the teacher's outputs")
    if against:
        return refused(basis, held, step=step, reason=against)
    tail = Tail(
        error=outputs - held,
        noise=noisy - held,
        weight=_rounded_up(weight_bound(np.zeros(1))[0], dtype),
        learning_rate=jnp.asarray(learning_rate, dtype),
        step_rounding=jnp.asarray(step_rounding, dtype),
    )
    return _judged(basis, tail, weight_bound, pattern=held, step=step, step_rounding=step_rounding)


def _judged(
    basis: TailBasis,
    tail: Tail,
    weight_bound: WeightBound,
    *,
    pattern: Float[Array, "n_train n_out"],
    step: int,
    step_rounding: float,
) -> Certificate:
    """The certificate that the bounds at the start of the tail allow."""
    bounds = tail_bounds(basis, tail, _moments(0.0, weight_bound, tail.error.dtype)[0])
    slack = _slack(pattern, bounds.rows)
    worst = int(jnp.argmin(slack))
    # Not `<=`: a bound that is NaN must not pass.
    issued = bool(jnp.all(slack > 0))
    reason = (
        f"the pattern holds at every step from {step} on: each label is safe by at least "
        f"{float(slack[worst]):.3g}"
        if issued
        else f"the bound of row {worst} exceeds its margin by {-float(slack[worst]):.3g}"
    )
    return Certificate(
        issued=issued,
        reason=reason,
        step=step,
        pattern=pattern,
        bounds=bounds.rows,
        slack=slack,
        rms_bound=float(bounds.rms),
        rounding_allowance=float(bounds.rounding),
        step_rounding=float(step_rounding),
        unmoved_rms=float(bounds.unmoved_rms),
        _basis=basis,
        _tail=tail,
        _weight_bound=weight_bound,
    )


def _slack(
    pattern: Float[AnyArray, "n_train n_out"], bounds: Float[AnyArray, "n_train n_out"]
) -> Float[Array, " n_train"]:
    if pattern.shape[1] == 1:
        return (jnp.abs(pattern) - bounds)[:, 0]
    true = jnp.argmax(pattern, axis=1, keepdims=True)
    is_true = jnp.arange(pattern.shape[1])[None, :] == true
    gaps = jnp.take_along_axis(pattern, true, axis=1) - pattern
    rivals = gaps - bounds - jnp.take_along_axis(bounds, true, axis=1)
    return jnp.min(jnp.where(is_true, jnp.inf, rivals), axis=1)


def _moments(after: float, weight_bound: WeightBound, dtype: np.dtype) -> list[Moment]:
    """The moment m steps into the tail, with the noise split at several earlier ones."""
    splits = np.unique(np.floor(after * np.asarray(_SPLITS)))
    since = after - splits if math.isfinite(after) else np.full_like(splits, after)
    return [
        Moment(
            steps=jnp.asarray(after, dtype),
            since_split=jnp.asarray(since[index], dtype),
            weight_at_split=_rounded_up(weight, dtype),
        )
        for index, weight in enumerate(weight_bound(splits))
    ]


def _checked_weights(
    weights: float | Sequence[float] | AnyArray | WeightBound,
) -> tuple[WeightBound, str]:
    """Bounds on the weights as a function of t − T, and what is seen to be wrong with them."""
    if callable(weights):
        ahead = np.unique(np.round(np.append(np.arange(1000.0), np.geomspace(1e3, 1e9, 200))))
        seen = np.asarray(weights(np.append(ahead, np.inf)))
    else:
        seen = np.atleast_1d(np.asarray(weights))
    numbers = seen.ndim == 1 and len(seen) > 0 and seen.dtype.kind in "fiu"
    if not numbers or not ((seen >= 0) & (seen <= 1)).all():
        got = shown(seen if seen.size != 1 else seen.item())
        raise ValueError(f"weights must be one or a vector of values in [0, 1]; got {got}")
    bound = _allowing_for_rounding(weights) if callable(weights) else _listed(seen)
    # Not neighbours alone: steps too small to be told from rounding add up.
    least = np.minimum.accumulate(seen)[:-1]
    rising = np.flatnonzero(seen[1:] > least * (1 + _ROUNDED_WEIGHT))
    if len(rising) == 0:
        return bound, ""
    first = rising[0]
    return bound, f"the weights grow, from {least[first]:.15g} to {seen[first + 1]:.15g}"


def _allowing_for_rounding(weights: WeightBound) -> WeightBound:
    return lambda after: np.asarray(weights(after)) * (1 + _ROUNDED_WEIGHT)


def _listed(weights: np.ndarray) -> WeightBound:
    """The largest weight from each step on: a bound whatever rounding did to the list."""
    bounds = np.maximum.accumulate(weights[::-1])[::-1]
    return lambda after: bounds[np.minimum(after, len(bounds) - 1).astype(int)]


def _rounded_up(weight: float, dtype: np.dtype) -> Float[Array, ""]:
    """The weight in the precision of the bounds, and not below itself."""
    nearest = np.asarray(weight).astype(dtype)
    return jnp.asarray(np.nextafter(nearest, dtype.type(np.inf)) if nearest < weight else nearest)


def _against_premises(basis: TailBasis, learning_rate: float) -> str:
    if learning_rate * (basis.largest - basis.perturbation) > 1:
        return f"ηλ₁ = {learning_rate * basis.largest:.6g} is above 1: modes overshoot"
    if learning_rate * basis.perturbation > _LARGEST_PERTURBATION:
        return f"the decomposition is off by up to {basis.perturbation:.3g}: too much to rely on"
    if basis.smallest < -basis.perturbation:
        return f"the kernel is not positive semi-definite: λ_n = {basis.smallest:.3g}"
    return ""


def _against_pattern(pattern: Array, found: Array, whose: str) -> str:
    # Compared as labels, not by value: centred one-hot rows may come in another rounding.
    hard = Hard()
    if not bool(jnp.all(jnp.abs(hard(pattern) - pattern) < 1e-3)):
        return "the pattern is not one of hard labels: ±1, or centred one-hot rows"
    wrong = jnp.any(jnp.abs(found - pattern) > 1e-3, axis=1)
    if bool(jnp.any(wrong)):
        return (
            f"the labels of {whose} differ from the pattern, or tie, in {int(jnp.sum(wrong))} of "
            f"{len(wrong)} rows, first in row {int(jnp.argmax(wrong))}"
        )
    return ""


def refused(basis: TailBasis, pattern: Targets, *, step: int, reason: str) -> Certificate:
    """A certificate that is not issued, for a premise that fails."""
    unbounded = np.full(pattern.shape, np.inf)
    return Certificate(
        issued=False,
        reason=reason,
        step=step,
        pattern=pattern,
        bounds=unbounded,
        slack=-unbounded[:, 0],
        rms_bound=math.inf,
        rounding_allowance=math.inf,
        step_rounding=0.0,
        unmoved_rms=math.inf,
        _basis=basis,
        _tail=None,
        _weight_bound=np.ones_like,
    )


def _check_arrays(basis: TailBasis, state: RunState, pattern: Targets | None) -> None:
    named = {"outputs": state.outputs, "noisy": state.noisy}
    named |= {} if pattern is None else {"pattern": pattern}
    if state.teacher_outputs is not None:
        named |= {"teacher_outputs": state.teacher_outputs}
    expected = (basis.n_train, state.noisy.shape[1])
    for name, array in named.items():
        if array.shape != expected:
            raise ValueError(f"{name} must have shape {expected}; got {array.shape}")
        check_finite(name, array)
