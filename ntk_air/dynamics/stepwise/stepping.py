"""One step of kernel-regime descent in its dual form, and many of them without a host in between.

f_t = f_0 + Θc_t, c_{t+1} = c_t + v_{t+1}, v_{t+1} = βv_t − η∇L(f_t, target_t) (theory.md section 0;
heavy ball: Polyak 1964). f is computed from c anew at each step, one product Θ·(n × C), so that
rounding does not pile up along the run.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ntk_air._base.typing import Targets
from ntk_air.dynamics.run.losses import Loss
from ntk_air.dynamics.supervision import Supervision
from ntk_air.kernels.operators.operator import KernelOperator

RUNNING, NOT_FINITE, BAD_WEIGHT, CONVERGED = range(4)


REASONS = {
    NOT_FINITE: "the next outputs are not finite: the run diverged, lower the learning rate",
    BAD_WEIGHT: "its schedule gave a weight outside [0, 1]",
    CONVERGED: "converged: the gradient is below converged_below",
}
"""Why a run stopped, by the code in its state."""


class SimulationState(eqx.Module):
    """All that a run needs to go on from where it is.

    Attributes:
        step: t.
        outputs: f_t, (n_train, n_out).
        dual: c_t.
        velocity: v_t of heavy ball; its last increment for plain descent.
        remembered: the teacher's outputs at the step before.
        status: ``RUNNING``, or the code of why it stopped.
    """

    step: Int[Array, ""]
    outputs: Targets
    dual: Targets
    velocity: Targets
    remembered: Targets
    status: Int[Array, ""]


class StepData(eqx.Module):
    """What stays fixed during a run.

    Attributes:
        operator: Θ.
        initial: f_0, (n_train, n_out).
        noisy: ỹ.
        supervision: with its floats traced.
        loss: square or cross-entropy.
        learning_rate: η.
        momentum: β.
        converged_below: stop once ‖∇L‖_F ≤ this · ‖target‖_F; below 0 is never.
    """

    operator: KernelOperator
    initial: Targets
    noisy: Targets
    supervision: Supervision
    loss: Loss
    learning_rate: Float[Array, ""]
    momentum: Float[Array, ""]
    converged_below: Float[Array, ""]


def start(data: StepData) -> SimulationState:
    """The state at step 0."""
    zero = jnp.zeros_like(data.initial)
    return SimulationState(
        step=jnp.zeros((), jnp.int32),
        outputs=data.initial,
        dual=zero,
        velocity=zero,
        remembered=data.initial,
        status=jnp.full((), RUNNING, jnp.int32),
    )


def advance(
    data: StepData, state: SimulationState, until: int, *, compiled: bool
) -> SimulationState:
    """Step until ``until``, or until the run stops by itself.

    Args:
        data: what stays fixed.
        state: where to go on from.
        until: step to halt at.
        compiled: run as one loop on the device; without it the product is taken outside of JAX's
            transformations, step by step, as an operator on disk asks for.
    """
    if compiled:
        return _advance_on_device(data, state, jnp.asarray(until, jnp.int32))
    # The operator stays out of the jitted parts: they must not hold, nor hash, what is on disk.
    parts = eqx.tree_at(lambda p: p.operator, data, None)
    while int(state.step) < until and int(state.status) == RUNNING:
        moved = _move(parts, state)
        state = _land(parts, state, moved, data.operator.matvec(moved.dual))
    return state


@eqx.filter_jit
def _advance_on_device(
    data: StepData, state: SimulationState, until: Int[Array, ""]
) -> SimulationState:
    def unfinished(state: SimulationState) -> Array:
        return (state.step < until) & (state.status == RUNNING)

    def step(state: SimulationState) -> SimulationState:
        moved = _move(data, state)
        return _land(data, state, moved, data.operator.matvec(moved.dual))

    return jax.lax.while_loop(unfinished, step, state)


class _Moved(eqx.Module):
    """A step's new dual variables, before their product with the kernel is known."""

    dual: Targets
    velocity: Targets
    remembered: Targets
    status: Int[Array, ""]


@eqx.filter_jit
def _move(data: StepData, state: SimulationState) -> _Moved:
    supervision = data.supervision
    remembered = supervision.observe(state.remembered, state.outputs, state.step)
    taught = supervision.target(remembered, data.noisy, state.step)
    restart = supervision.restarts_at(state.step)
    outputs = jnp.where(restart, data.initial, state.outputs)
    dual = jnp.where(restart, 0.0, state.dual)
    velocity = jnp.where(restart, 0.0, state.velocity)

    gradient = data.loss.gradient(outputs, taught.target)
    velocity = data.momentum * velocity - data.learning_rate * gradient
    enough = data.converged_below * jnp.linalg.norm(taught.target)
    settled = (data.converged_below >= 0) & (jnp.linalg.norm(gradient) <= enough)
    weight_is_fine = (taught.weight >= 0) & (taught.weight <= 1)
    status = jnp.where(settled, CONVERGED, RUNNING)
    # NaN in f or its target makes a weight NaN too, but is its own reason to stop.
    broken = jnp.isfinite(taught.weight) & ~weight_is_fine
    return _Moved(
        dual=dual + velocity,
        velocity=velocity,
        remembered=remembered,
        status=jnp.where(broken, BAD_WEIGHT, status).astype(jnp.int32),
    )


@eqx.filter_jit
def _land(
    data: StepData, state: SimulationState, moved: _Moved, product: Targets
) -> SimulationState:
    """The next state, or the last good one with the reason why there is no next."""
    outputs = data.initial + product
    finite = jnp.isfinite(jnp.sum(jnp.abs(outputs)))
    status = jnp.where((moved.status == RUNNING) & ~finite, NOT_FINITE, moved.status)
    status = status.astype(jnp.int32)
    landed = SimulationState(
        step=state.step + 1,
        outputs=outputs,
        dual=moved.dual,
        velocity=moved.velocity,
        remembered=moved.remembered,
        status=status,
    )
    stayed = eqx.tree_at(lambda s: s.status, state, status)
    return jax.tree.map(lambda new, old: jnp.where(status == RUNNING, new, old), landed, stayed)
