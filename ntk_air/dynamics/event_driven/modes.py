"""A supervised run in the kernel's eigenbasis, while the labels that it is taught stand still.

With labels P the target is P + α_t(ỹ − P), so each mode is one linear recursion driven by α_t. Its
answer to a unit of whatever drives it is a number per mode, whatever the number of outputs: n
operations a step instead of n²C. Square loss, gradient descent or heavy ball.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ntk_air._base.typing import Eigenvalues, Eigenvectors, Targets
from ntk_air.dynamics.stepwise.stepping import BAD_WEIGHT, NOT_FINITE, RUNNING
from ntk_air.dynamics.supervision import Supervision
from ntk_air.spectrum.result import Spectrum

_SINGLE_GROUPS = 32
_LARGEST_GROUPS = 96
_FEW_ROWS = 64

ModeBlock = Float[Array, "n_mode n_out"]


class ModeFrame(eqx.Module):
    """What stays fixed during a run, in the eigenbasis.

    Attributes:
        eigenvalues: λ, those below 0 as 0.
        eigenvectors: V.
        groups: 0/1, which group each mode is in, (n_mode, n_group).
        group_norms: ‖V_i,group‖ of each row, (n_train, n_group): see ``row_bounds``.
        initial: f_0, and Vᵀf_0 in ``initial_modes``.
        noisy: ỹ, and Vᵀỹ in ``noisy_modes``.
        supervision: with its floats traced.
        learning_rate: η.
        momentum: β.
    """

    eigenvalues: Eigenvalues
    eigenvectors: Eigenvectors
    groups: Float[Array, "n_mode n_group"]
    group_norms: Float[Array, "n_train n_group"]
    initial: Targets
    initial_modes: ModeBlock
    noisy: Targets
    noisy_modes: ModeBlock
    supervision: Supervision
    learning_rate: Float[Array, ""]
    momentum: Float[Array, ""]

    def outputs(self, dual: ModeBlock) -> Float[Array, "n_train n_out"]:
        """f = f_0 + V·λ·Vᵀc from the modes of c."""
        moved = jnp.asarray(self.eigenvalues)[:, None] * dual
        return jnp.asarray(self.initial) + self.eigenvectors @ moved

    def row_bounds(self, modes: ModeBlock) -> Float[Array, "n_train n_out"]:
        """A bound on |Σ_j V_ij x_j| for every x with |x_j| ≤ modes_j: Cauchy–Schwarz by group."""
        return self.group_norms @ jnp.sqrt(self.groups.T @ modes**2)


class ModeState(eqx.Module):
    """A run at one step.

    Attributes:
        step: t.
        dual: Vᵀc_t.
        velocity: Vᵀv_t of heavy ball.
        outputs: f_t, (n_train, n_out).
        remembered: the teacher's outputs.
        labels: P = h(remembered), and VᵀP in ``label_modes``.
    """

    step: Int[Array, ""]
    dual: ModeBlock
    velocity: ModeBlock
    outputs: Targets
    remembered: Targets
    labels: Targets
    label_modes: ModeBlock


class Propagator(eqx.Module):
    """Per mode, what c and its velocity have become s steps after a unit of each of four sources.

    The sources, in order: c itself, its velocity, a steady unit target, the excess α_{T+s} − α_T.
    """

    value: Float[Array, "4 n_mode"]
    velocity: Float[Array, "4 n_mode"]


class Sources(eqx.Module):
    """What an interval with fixed labels starts from, by mode: the factors of ``Propagator``."""

    dual: ModeBlock
    velocity: ModeBlock
    target: ModeBlock
    excess: ModeBlock

    def combine(self, propagator: Float[Array, "4 n_mode"]) -> ModeBlock:
        """Their sum, each weighted with its response."""
        parts = jnp.stack([self.dual, self.velocity, self.target, self.excess])
        return jnp.sum(propagator[:, :, None] * parts, axis=0)


def make_frame(
    spectrum: Spectrum,
    *,
    initial: Targets,
    noisy: Targets,
    supervision: Supervision,
    learning_rate: float,
    momentum: float | int,
) -> ModeFrame:
    """Project what is fixed, once."""
    eigenvalues, eigenvectors = spectrum.eigenvalues, spectrum.eigenvectors
    n_mode, dtype = eigenvalues.shape[0], eigenvalues.dtype
    single = min(_SINGLE_GROUPS, n_mode)
    rest = np.arange(n_mode - single) * _LARGEST_GROUPS // max(n_mode - single, 1)
    member = np.concatenate([np.arange(single), single + rest])
    groups = jnp.asarray(np.eye(int(member[-1]) + 1)[member], dtype)
    norms, initial_modes, noisy_modes = _project(
        jnp.asarray(eigenvectors), groups, jnp.asarray(initial), jnp.asarray(noisy)
    )
    return ModeFrame(
        eigenvalues=jnp.maximum(jnp.asarray(eigenvalues), 0),
        eigenvectors=eigenvectors,
        groups=groups,
        group_norms=norms,
        initial=initial,
        initial_modes=initial_modes,
        noisy=noisy,
        noisy_modes=noisy_modes,
        supervision=supervision,
        learning_rate=jnp.asarray(learning_rate, dtype),
        momentum=jnp.asarray(momentum, dtype),
    )


def start(frame: ModeFrame) -> ModeState:
    """Step 0, before anything is taught."""
    zero = jnp.zeros_like(frame.initial_modes)
    initial = jnp.asarray(frame.initial)
    return ModeState(
        step=jnp.zeros((), jnp.int32),
        dual=zero,
        velocity=zero,
        outputs=initial,
        remembered=initial,
        labels=jnp.zeros_like(initial),
        label_modes=zero,
    )


@eqx.filter_jit
def update_teacher(frame: ModeFrame, state: ModeState) -> ModeState:
    """Let the teacher see the outputs of this step, and restart the student where it says so."""
    supervision, step = frame.supervision, state.step
    remembered = supervision.observe(state.remembered, state.outputs, step)
    labels = supervision.label_function(remembered)
    restart = supervision.restarts_at(step)
    return ModeState(
        step=step,
        dual=jnp.where(restart, 0.0, state.dual),
        velocity=jnp.where(restart, 0.0, state.velocity),
        outputs=jnp.where(restart, frame.initial, state.outputs),
        remembered=remembered,
        labels=labels,
        label_modes=_relabelled(frame, state, labels),
    )


class EpochAdvance(eqx.Module):
    """Where a run came to by its teacher's clock alone.

    Attributes:
        state: its state, at the step asked for or at the last good one before.
        events: intervals taken.
        status: ``RUNNING``, or the code of why it stopped.
    """

    state: ModeState
    events: Int[Array, ""]
    status: Int[Array, ""]


@eqx.filter_jit
def advance_epochs(frame: ModeFrame, state: ModeState, until: Int[Array, ""]) -> EpochAdvance:
    """Go to step ``until``, the labels changing at the clock's epochs and at no other time."""

    def unfinished(advance: EpochAdvance) -> Array:
        return (advance.state.step < until) & (advance.status == RUNNING)

    def one_epoch(advance: EpochAdvance) -> EpochAdvance:
        taught = update_teacher(frame, advance.state)
        ends = next_epoch(frame.supervision, taught.step)
        moved = advance_modes(frame, taught, jnp.minimum(until, ends) - taught.step)
        status = run_status(frame, taught, moved)
        kept = jax.tree.map(
            lambda new, old: jnp.where(status == RUNNING, new, old), moved, advance.state
        )
        return EpochAdvance(state=kept, events=advance.events + 1, status=status)

    nowhere = EpochAdvance(state=state, events=jnp.zeros_like(until), status=jnp.zeros_like(until))
    return jax.lax.while_loop(unfinished, one_epoch, nowhere)


def next_epoch(supervision: Supervision, step: Int[Array, ""]) -> Int[Array, ""]:
    """The next step at which the clock may change what is taught; without epochs, never."""
    clock = step - supervision.warm_up
    length = supervision.teacher.steps_per_epoch()
    never = jnp.full_like(step, jnp.iinfo(step.dtype).max)
    after = never if length is None else step + length - clock % length
    return jnp.where(clock < 0, supervision.warm_up, after).astype(step.dtype)


@eqx.filter_jit
def run_status(frame: ModeFrame, taught: ModeState, moved: ModeState) -> Int[Array, ""]:
    """``RUNNING``, or what is wrong with an interval: its first weight, or its end."""
    weight = weight_of(frame, taught)
    finite = jnp.all(jnp.isfinite(moved.outputs))
    status = jnp.where(finite, RUNNING, NOT_FINITE)
    out_of_range = jnp.isfinite(weight) & ~((weight >= 0) & (weight <= 1))
    return jnp.where(out_of_range, BAD_WEIGHT, status).astype(jnp.int32)


@eqx.filter_jit
def advance_modes(frame: ModeFrame, state: ModeState, length: Int[Array, ""]) -> ModeState:
    """The state ``length`` steps on, under the labels it has."""

    def step(s: Int[Array, ""], propagator: Propagator) -> Propagator:
        return step_propagator(frame, state, propagator, s)

    return reconstruct_state(
        frame, state, jax.lax.fori_loop(0, length, step, initial_propagator(frame)), length
    )


@eqx.filter_jit
def fixed_point(
    frame: ModeFrame, state: ModeState, weight: Float[Array, ""], resolved: Bool[Array, " n_mode"]
) -> ModeState:
    """The limit of a stable run under the labels it has; modes that are not resolved stay put."""
    target = state.label_modes + weight * (frame.noisy_modes - state.label_modes)
    moves = resolved & (frame.eigenvalues > 0)
    values = jnp.where(moves, frame.eigenvalues, 1)[:, None]
    dual = jnp.where(moves[:, None], (target - frame.initial_modes) / values, state.dual)
    arrived = eqx.tree_at(lambda s: s.dual, state, dual)
    arrived = eqx.tree_at(lambda s: s.velocity, arrived, jnp.zeros_like(state.velocity))
    return eqx.tree_at(lambda s: s.outputs, arrived, frame.outputs(dual))


def initial_propagator(frame: ModeFrame) -> Propagator:
    """After no step: c and its velocity are there, nothing else."""
    sources = jnp.eye(4, dtype=frame.noisy_modes.dtype)
    ones = jnp.ones_like(frame.eigenvalues)
    return Propagator(value=sources[:, :1] * ones, velocity=sources[:, 1:2] * ones)


def step_propagator(
    frame: ModeFrame, state: ModeState, propagator: Propagator, s: Int[Array, ""]
) -> Propagator:
    """The propagator after step ``state.step + s``."""
    weight = frame.supervision.weight(state.remembered, frame.noisy, state.step + s)
    excess = weight - weight_of(frame, state)
    drive = jnp.stack(
        [jnp.zeros_like(excess), jnp.zeros_like(excess), jnp.ones_like(excess), excess]
    )
    pull = frame.eigenvalues * propagator.value - drive[:, None]
    velocity = frame.momentum * propagator.velocity - frame.learning_rate * pull
    return Propagator(value=propagator.value + velocity, velocity=velocity)


def sources(frame: ModeFrame, state: ModeState) -> Sources:
    """What drives the modes from this state on."""
    excess = frame.noisy_modes - state.label_modes
    target = state.label_modes + weight_of(frame, state) * excess
    return Sources(
        dual=state.dual,
        velocity=state.velocity,
        target=target - frame.initial_modes,
        excess=excess,
    )


def reconstruct_state(
    frame: ModeFrame, state: ModeState, propagator: Propagator, length: Int[Array, ""]
) -> ModeState:
    """The state after the steps that the propagator has seen; one product V·(n × C)."""
    driven = sources(frame, state)
    dual = driven.combine(propagator.value)
    return ModeState(
        step=state.step + length.astype(state.step.dtype),
        dual=dual,
        velocity=driven.combine(propagator.velocity),
        outputs=frame.outputs(dual),
        remembered=state.remembered,
        labels=state.labels,
        label_modes=state.label_modes,
    )


@eqx.filter_jit
def weight_of(frame: ModeFrame, state: ModeState) -> Float[Array, ""]:
    """α_t at a state that the teacher has seen."""
    return frame.supervision.weight(state.remembered, frame.noisy, state.step)


def _relabelled(frame: ModeFrame, state: ModeState, labels: Targets) -> ModeBlock:
    """VᵀP for new labels: by the rows that changed if they are few."""
    change = jnp.asarray(labels) - state.labels
    changed = jnp.any(change != 0, axis=1)
    few = min(_FEW_ROWS, change.shape[0])

    def by_rows() -> ModeBlock:
        (rows,) = jnp.nonzero(changed, size=few, fill_value=change.shape[0])
        part = jnp.asarray(frame.eigenvectors).at[rows].get(mode="fill", fill_value=0)
        return state.label_modes + part.T @ change.at[rows].get(mode="fill", fill_value=0)

    def anew() -> ModeBlock:
        return jnp.asarray(frame.eigenvectors).T @ labels

    return jax.lax.cond(jnp.sum(changed) <= few, by_rows, anew)


@jax.jit
def _project(
    eigenvectors: Float[Array, "n_train n_mode"],
    groups: Float[Array, "n_mode n_group"],
    initial: Float[Array, "n_train n_out"],
    noisy: Float[Array, "n_train n_out"],
) -> tuple[Float[Array, "n_train n_group"], ModeBlock, ModeBlock]:
    norms = jnp.sqrt(eigenvectors**2 @ groups)
    return norms, eigenvectors.T @ initial, eigenvectors.T @ noisy
