"""Certificates of supervised runs: what their supervision allows to be proved (theory.md 6c)."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from ntk_air._base.checks import check_kind
from ntk_air._base.typing import Targets
from ntk_air.dynamics.certificates.certificate import (
    Certificate,
    RunState,
    WeightBound,
    certify_pattern,
    refused,
)
from ntk_air.dynamics.certificates.tail_bounds import tail_basis
from ntk_air.dynamics.run.trajectory import StoredPredictions, Trajectory
from ntk_air.dynamics.supervision import Agreement, CurrentStep, Hard, LastEpoch, Supervision
from ntk_air.problem import Problem


def certify(problem: Problem, supervision: Supervision, run: Trajectory) -> Certificate:
    """The certificate of the earliest stored step that has one, or the last refusal.

    It proves that the run goes to the problem's clean labels; where they are not known, that the
    run's hard labels are final (theory.md 6c). A certificate once issued is issued at every later
    step as well, up to rounding, so the first is found by bisection.

    Args:
        problem: kernel with its complete spectrum, noisy labels, clean ones where known.
        supervision: what the run was trained under.
        run: trajectory of ``solve`` with outputs kept at the steps to try.

    Raises:
        ValueError: for a run without kept outputs, and a truncated spectrum.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> theta = np.kron(np.eye(2), np.ones((5, 5))) + 0.01 * np.eye(10)
    >>> clean = np.repeat([[1.0], [-1.0]], 5, axis=0)
    >>> noisy = clean * np.where(np.arange(10) % 5 == 0, -1.0, 1.0)[:, None]
    >>> problem = na.Problem(na.Labels(noisy, clean), theta, na.decompose(theta))
    >>> taught = na.Supervision(na.label_functions.Hard(), na.weights.Power(1.5), warm_up=5)
    >>> run = na.solve(problem, taught, [10, 100, 1000], store_at=[10, 100, 1000])
    >>> certificate = na.certify(problem, taught, run)
    >>> certificate.issued, certificate.distance_bound(float("inf")) < 1e-6
    (True, True)
    """
    check_kind("problem", problem, Problem)
    check_kind("supervision", supervision, Supervision)
    check_kind("run", run, Trajectory)
    if run.stored is None:
        raise ValueError("run must have outputs kept, by store_at, at the steps to try; got none")
    return first_certified_step(problem, supervision, run.stored, learning_rate=run.learning_rate)


def first_certified_step(
    problem: Problem,
    supervision: Supervision,
    stored: StoredPredictions,
    *,
    learning_rate: float,
) -> Certificate:
    """The certificate of the earliest of some outputs that has one, or the last refusal.

    Args:
        problem: kernel with its complete spectrum, noisy labels, clean ones where known.
        supervision: what the run was trained under.
        stored: outputs of the run at the steps to try.
        learning_rate: learning rate η, absolute.
    """
    steps = np.asarray(stored.times)

    def at(index: int) -> Certificate:
        step = int(steps[index])
        teacher = _stored_teacher(supervision, stored, step)
        state = RunState(stored.train[index], problem.noisy, step, teacher)
        return certify_state(problem, supervision, state, learning_rate=learning_rate)

    low, high = 0, len(steps) - 1
    found = at(high)
    if not found.issued:
        return found
    while low < high:
        middle = (low + high) // 2
        tried = at(middle)
        if tried.issued:
            found, high = tried, middle
        else:
            low = middle + 1
    return found


def certify_state(
    problem: Problem,
    supervision: Supervision,
    state: RunState,
    *,
    learning_rate: float,
    step_rounding: float | None = None,
) -> Certificate:
    """The certificate of a run under ``supervision`` that stands where ``state`` says.

    Args:
        problem: kernel with its complete spectrum; clean labels where known: the certificate
            then says that the run converges to them, else whether the current pattern is final.
        supervision: what the run was trained under.
        state: outputs and labels of the run at step T.
        learning_rate: learning rate η, absolute.
        step_rounding: rounding of one step's residual to cover, in ℓ2 by column; ``None`` is
            6√n·ε·(‖f_T‖ + ‖ỹ‖), the largest over columns.
    """
    clean, outputs = problem.labels.clean, state.outputs
    basis = problem.remember("tail basis", lambda: tail_basis(problem.spectrum))
    held = Hard()(jnp.asarray(outputs)) if clean is None else clean
    against, weights = _tail_weights(supervision, outputs, state.noisy, state.step)
    teacher = supervision.teacher
    renewed = isinstance(teacher, LastEpoch) and _is_renewed(supervision, teacher, state.step)
    if not isinstance(supervision.label_function, Hard):
        name = type(supervision.label_function).__name__
        against = f"the label function is {name}: only hard labels stay put with their pattern"
    elif teacher.restarts_student():
        against = "the student restarts: its later steps do not follow from this one"
    elif state.teacher_outputs is None and not (isinstance(teacher, CurrentStep) or renewed):
        name = type(teacher).__name__
        against = f"what the teacher {name} holds at step {state.step} was not given"
    if against:
        return refused(basis, held, step=state.step, reason=against)
    if renewed:
        state = dataclasses.replace(state, teacher_outputs=None)
    return certify_pattern(
        basis,
        state,
        weights=weights,
        learning_rate=learning_rate,
        pattern=clean,
        step_rounding=step_rounding,
    )


def _tail_weights(
    supervision: Supervision, outputs: Targets, noisy: Targets, step: int
) -> tuple[str, float | WeightBound]:
    """What is against the schedule's tail, if anything, and its weights from ``step`` on."""
    schedule = supervision.schedule
    name = type(schedule).__name__
    if isinstance(schedule, Agreement) and step >= supervision.warm_up:
        # It depends on the pattern alone: as long as that holds, so does the weight.
        index = jnp.zeros((), jnp.asarray(outputs).dtype)
        return "", float(schedule(index, jnp.asarray(outputs), jnp.asarray(noisy)))
    start = supervision.non_increasing_from()
    if start is None or schedule.depends_on() != "index":
        return f"the weights of {name} are not known never to grow", 1.0
    if step < start:
        return f"the weights of {name} may grow before step {start}; this is step {step}", 1.0
    limit = schedule.limit()

    def weights(after: np.ndarray) -> np.ndarray:
        # Beyond 32-bit step counters a weight that never grows is bounded by an earlier one.
        at = np.minimum(step + np.floor(after), 2.0**31 - 1).astype(int)
        values = np.asarray(supervision.weights(at))
        return values if limit is None else np.where(np.isinf(after), limit, values)

    return "", weights


def _is_renewed(supervision: Supervision, teacher: LastEpoch, step: int) -> bool:
    since = step - supervision.warm_up
    return since >= 0 and since % teacher.epoch_length == 0


def _stored_teacher(
    supervision: Supervision, stored: StoredPredictions, step: int
) -> Targets | None:
    """What a teacher of the last epoch holds at ``step``, if it was stored."""
    teacher = supervision.teacher
    if not isinstance(teacher, LastEpoch) or step < supervision.warm_up:
        return None
    renewed = step - (step - supervision.warm_up) % teacher.epoch_length
    found = np.flatnonzero(np.asarray(stored.times) == renewed)
    return stored.train[found[0]] if len(found) else None
