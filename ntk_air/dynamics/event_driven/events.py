"""The next step at which a hard label of the current outputs changes, found without missing one.

Between two changes the run is linear (theory.md section 6) and a step costs n operations.

- Over an interval of L steps each mode is compared, at every step, with the straight line between
  its ends. The largest deviations E_j bound how far row i strays from its own straight line,
  Σ_j |V_ij| E_j. A row whose margins at both ends exceed that bound kept its label in between.
- The few other rows are evaluated at every step, exactly.
- Where too many rows are in doubt the interval is cut; one of a single step needs no proof.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ntk_air._base.typing import Targets
from ntk_air.dynamics.event_driven.modes import (
    ModeFrame,
    ModeState,
    Propagator,
    Sources,
    advance_modes,
    initial_propagator,
    reconstruct_state,
    sources,
    step_propagator,
)
from ntk_air.dynamics.supervision import Hard

CLOSE_CALL = 1e-9
"""Below this, relative to the largest output, events and plain steps may decide a label apart."""

ROWS_IN_DOUBT = 16
"""As many rows are evaluated step by step; with more in doubt an interval is cut."""


_STEPS_AT_ONCE = 16

# The propagator's columns that move a mode about its target: c, its velocity, the excess weight.
_MOVING = np.array([0, 1, 3])


class Interval(eqx.Module):
    """An interval that has been looked at.

    Attributes:
        end: the state at its end, if no label changes before.
        in_doubt: how many rows are not proved to keep their label in between.
        rows: these rows, as many as are looked at step by step; the rest are others.
    """

    end: ModeState
    in_doubt: Int[Array, ""]
    rows: Int[Array, " n_row"]


class Change(eqx.Module):
    """Where rows were looked at step by step until one changed its label.

    Attributes:
        step: step of the change, counted from the state; or how far was looked without finding one.
        closest: the least positive margin seen, see ``EventFinder``.
    """

    step: Int[Array, ""]
    closest: Float[Array, ""]


class EventFinder:
    """Finds the changes of the hard labels of the current step.

    Attributes:
        closest: the least positive margin between two outputs of a row that a label was decided
            by, relative to the largest output.
    """

    def __init__(self, frame: ModeFrame, *, rows_in_doubt: int = ROWS_IN_DOUBT):
        self.closest = np.inf
        self._frame = frame
        self._length = 1
        self._rows = min(rows_in_doubt, frame.noisy.shape[0])

    def next_change(self, state: ModeState, limit: int) -> ModeState:
        """The state at the next change of label, or ``limit`` steps on, or nearer if unproved."""
        length = min(self._length, limit)
        interval = bracket_events(self._frame, state, _count(length), rows=self._rows)
        while length > 1 and int(interval.in_doubt) > interval.rows.shape[0]:
            length = max(1, length // 4)
            interval = bracket_events(self._frame, state, _count(length), rows=self._rows)
        if length > 1 and int(interval.in_doubt) > 0:
            found = first_change(self._frame, state, interval.rows, _count(length))
            self.closest = min(self.closest, float(found.closest))
            if (first := int(found.step)) < length:
                self._length = first
                return self._arrive(advance_modes(self._frame, state, _count(first)))
        self._length = 2 * length
        return self._arrive(interval.end)

    def _arrive(self, state: ModeState) -> ModeState:
        self.closest = min(self.closest, float(_closest(state.outputs)))
        return state


@eqx.filter_jit
def bracket_events(
    frame: ModeFrame, state: ModeState, length: Int[Array, ""], *, rows: int
) -> Interval:
    """Prove of as many rows as possible that they keep their label over ``length`` steps."""
    origin = initial_propagator(frame)

    def step(s: Int[Array, ""], propagator: Propagator) -> Propagator:
        return step_propagator(frame, state, propagator, s)

    last = jax.lax.fori_loop(0, length, step, origin)

    def deviate(s: Int[Array, ""], carry: tuple[Propagator, Array]) -> tuple[Propagator, Array]:
        propagator, largest = carry
        propagator = step(s, propagator)
        share = ((s + 1) / length).astype(largest.dtype)
        line = origin.value + share * (last.value - origin.value)
        return propagator, jnp.maximum(largest, jnp.abs(propagator.value - line))

    _, deviation = jax.lax.fori_loop(0, length, deviate, (origin, jnp.zeros_like(origin.value)))
    end = reconstruct_state(frame, state, last, length)
    doubtful = ~_kept(state, end, _stray(frame, state, deviation))
    (found,) = jnp.nonzero(doubtful, size=rows, fill_value=0)
    return Interval(end=end, in_doubt=jnp.sum(doubtful), rows=found)


@eqx.filter_jit
def first_change(
    frame: ModeFrame, state: ModeState, rows: Int[Array, " n_row"], length: Int[Array, ""]
) -> Change:
    """The first of the next ``length`` steps at which one of ``rows`` has changed its label."""
    hard, labels = Hard(), jnp.asarray(state.labels)[rows]
    sight = _sight(frame, state, rows)
    ahead = jnp.arange(_STEPS_AT_ONCE, dtype=length.dtype)

    def one_step(propagator: Propagator, s: Array) -> tuple[Propagator, Array]:
        propagator = step_propagator(frame, state, propagator, s)
        return propagator, propagator.value

    def unfinished(carry: tuple[Change, Propagator, Array]) -> Array:
        found, _, changed = carry
        return (found.step < length) & ~changed

    def look_ahead(carry: tuple[Change, Propagator, Array]) -> tuple[Change, Propagator, Array]:
        found, propagator, _ = carry
        asked = found.step + ahead
        propagator, values = jax.lax.scan(one_step, propagator, asked)
        outputs = sight.outputs(values)
        changes = jax.vmap(lambda rows: jnp.any(hard(rows) != labels))(outputs)
        changes &= asked < length
        changed = jnp.any(changes)
        last = jnp.where(changed, jnp.argmax(changes).astype(length.dtype), _STEPS_AT_ONCE - 1)
        last = jnp.minimum(last, length - 1 - found.step)
        margins = jnp.where(ahead <= last, jax.vmap(_closest)(outputs), jnp.inf)
        closest = jnp.minimum(found.closest, jnp.min(margins))
        return Change(step=found.step + last + 1, closest=closest), propagator, changed

    nothing = Change(step=jnp.zeros_like(length), closest=jnp.full((), jnp.inf, labels.dtype))
    begin = (nothing, initial_propagator(frame), jnp.asarray(False))
    return jax.lax.while_loop(unfinished, look_ahead, begin)[0]


class _RowSamples(eqx.Module):
    """Some rows' outputs as one matrix acting on the propagator, with no mode left to combine."""

    taught: Float[Array, "n_row n_out"]
    moving: Float[Array, "n_cause n_row_out"]

    def outputs(
        self, values: Float[Array, "n_step 4 n_mode"]
    ) -> Float[Array, "n_step n_row n_out"]:
        """The outputs at several steps, by one product for them all."""
        moved = values[:, _MOVING].reshape(values.shape[0], -1) @ self.moving
        return self.taught + moved.reshape(-1, *self.taught.shape)


def _sight(frame: ModeFrame, state: ModeState, rows: Int[Array, " n_row"]) -> _RowSamples:
    basis = jnp.asarray(frame.eigenvectors)[rows]
    driven = sources(frame, state)
    moving = _moving_parts(frame, driven)
    n_mode, n_out = driven.target.shape
    by_row = basis.T[None, :, :, None] * moving[:, :, None, :]
    return _RowSamples(
        taught=jnp.asarray(frame.initial)[rows] + basis @ driven.target,
        moving=by_row.reshape(len(_MOVING) * n_mode, rows.shape[0] * n_out),
    )


@jax.jit
def _closest(outputs: Targets) -> Float[Array, ""]:
    """The least positive difference between the two largest entries of a row, over all rows."""
    classes = _classes(outputs)
    two = jax.lax.top_k(classes, 2)[0]
    margins = two[:, 0] - two[:, 1]
    least = jnp.min(jnp.where(margins > 0, margins, jnp.inf))
    return least / jnp.max(jnp.abs(classes))


def _count(steps: int) -> Int[Array, ""]:
    return jnp.asarray(steps, jnp.int32)


def _stray(
    frame: ModeFrame, state: ModeState, deviation: Float[Array, "4 n_mode"]
) -> Float[Array, "n_train n_out"]:
    """How far each output can stray from the straight line between its ends."""
    driven, values = sources(frame, state), jnp.asarray(frame.eigenvalues)[:, None]
    moving = jnp.abs(_moving_parts(frame, driven))
    modes = jnp.sum(deviation[_MOVING][:, :, None] * moving, axis=0)
    # Products of n terms round off by at most n·ε times the norm of what they sum.
    size = jnp.linalg.norm(values * driven.dual) + jnp.linalg.norm(driven.target)
    rounding = 4 * values.shape[0] * jnp.finfo(modes.dtype).eps * size
    return frame.row_bounds(modes) + rounding


def _moving_parts(frame: ModeFrame, driven: Sources) -> Float[Array, "3 n_mode n_out"]:
    """What the columns ``_MOVING`` multiply in the modes of f, once these are at their target.

    A steady target's response is G = (1 − D)/λ, D being that of c: taking both together, a mode's
    distance from its target decays, and what has taught moves no more.
    """
    values = jnp.asarray(frame.eigenvalues)[:, None]
    distance = values * driven.dual - driven.target
    return jnp.stack([distance, values * driven.velocity, values * driven.excess])


def _kept(
    state: ModeState, end: ModeState, stray: Float[Array, "n_train n_out"]
) -> Bool[Array, " n_train"]:
    """Rows that have one largest entry at both ends, by more than they can stray in between."""
    before, after, stray = _classes(state.outputs), _classes(end.outputs), _doubled(stray)
    labels = _classes(state.labels)
    own = labels == jnp.max(labels, axis=1, keepdims=True)

    def of_own(values: Array) -> Array:
        return jnp.sum(jnp.where(own, values, 0.0), axis=1, keepdims=True)

    margin = jnp.minimum(of_own(before) - before, of_own(after) - after)
    return jnp.all(own | (margin > of_own(stray) + stray), axis=1) & (jnp.sum(own, axis=1) == 1)


def _classes(outputs: Targets) -> Float[Array, "rows n_class"]:
    """Binary outputs as the logits (f/2, −f/2) of two classes."""
    outputs = jnp.asarray(outputs)
    return outputs if outputs.shape[1] > 1 else jnp.concatenate([outputs, -outputs], axis=1) / 2


def _doubled(stray: Float[Array, "n_train n_out"]) -> Float[Array, "n_train n_class"]:
    return stray if stray.shape[1] > 1 else jnp.concatenate([stray, stray], axis=1) / 2
