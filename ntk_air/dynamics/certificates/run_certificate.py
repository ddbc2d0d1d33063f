"""Certificates of supervised runs: what their supervision allows to be proved (theory.md 6c)."""

import jax.numpy as jnp
import numpy as np

from ntk_air._base.typing import Targets
from ntk_air.dynamics.certificates.certificate import (
    Certificate,
    WeightBound,
    certify_pattern,
    refused,
)
from ntk_air.dynamics.certificates.tail_bounds import TailBasis
from ntk_air.dynamics.run.trajectory import StoredPredictions
from ntk_air.dynamics.supervision import Agreement, CurrentStep, Hard, LastEpoch, Supervision


def certify(
    basis: TailBasis,
    outputs: Targets,
    noisy: Targets,
    supervision: Supervision,
    *,
    learning_rate: float,
    step: int,
    clean: Targets | None = None,
    teacher_outputs: Targets | None = None,
    step_rounding: float | None = None,
) -> Certificate:
    """The certificate of a run under ``supervision`` at step T (theory.md 6c).

    Args:
        basis: from ``tail_basis``.
        outputs: f_T, (n_train, n_out).
        noisy: ỹ, (n_train, n_out).
        supervision: of the run.
        learning_rate: η, absolute.
        step: T.
        clean: y; the certificate then says that the run converges to the clean labels. ``None``
            asks only whether the current pattern is final.
        teacher_outputs: f_τ(T), where the teacher is neither the current step nor renewed at T.
        step_rounding: see ``certify_pattern``.

    Raises:
        ValueError: as ``certify_pattern``.
    """
    held = Hard()(jnp.asarray(outputs)) if clean is None else clean
    against, weights = _tail_weights(supervision, outputs, noisy, step)
    teacher = supervision.teacher
    renewed = isinstance(teacher, LastEpoch) and _is_renewed(supervision, teacher, step)
    if not isinstance(supervision.label_function, Hard):
        name = type(supervision.label_function).__name__
        against = f"the label function is {name}: only hard labels stay put with their pattern"
    elif teacher.restarts_student():
        against = "the student restarts: its later steps do not follow from this one"
    elif teacher_outputs is None and not (isinstance(teacher, CurrentStep) or renewed):
        against = f"what the teacher {type(teacher).__name__} holds at step {step} was not given"
    if against:
        return refused(basis, held, step=step, reason=against)
    return certify_pattern(
        basis,
        outputs,
        noisy,
        weights=weights,
        learning_rate=learning_rate,
        pattern=clean,
        teacher_outputs=None if renewed else teacher_outputs,
        step=step,
        step_rounding=step_rounding,
    )


def first_certified_step(
    basis: TailBasis,
    stored: StoredPredictions,
    noisy: Targets,
    supervision: Supervision,
    *,
    learning_rate: float,
    clean: Targets | None = None,
) -> Certificate:
    """The certificate of the earliest stored step that has one, or the last refusal.

    A certificate once issued is issued at every later step as well, up to rounding, so the
    first is found by bisection.

    Args:
        basis: from ``tail_basis``.
        stored: predictions of the run at the steps to try.
        noisy: ỹ, (n_train, n_out).
        supervision: of the run.
        learning_rate: η, absolute.
        clean: y, see ``certify``.
    """
    steps = np.asarray(stored.times)

    def at(index: int) -> Certificate:
        return certify(
            basis,
            stored.train[index],
            noisy,
            supervision,
            learning_rate=learning_rate,
            step=int(steps[index]),
            clean=clean,
            teacher_outputs=_stored_teacher(supervision, stored, int(steps[index])),
        )

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
