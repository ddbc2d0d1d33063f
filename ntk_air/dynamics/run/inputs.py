"""What every run is given, checked before work starts and brought to one precision."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ntk_air._base.checks import as_number, is_array, shown
from ntk_air._base.typing import Targets
from ntk_air.dynamics.run.losses import Loss
from ntk_air.dynamics.run.recording import ReferenceLabels
from ntk_air.dynamics.supervision import Pretrained, Supervision
from ntk_air.dynamics.supervision.label_functions import check_label_function
from ntk_air.problem import HeldOut, Problem
from ntk_air.spectrum.result import Spectrum

Steps: TypeAlias = Sequence[Any] | np.ndarray
"""Numbers of steps of any kind of number, in a list or an array."""

# The schedule is checked at all steps up to here, beyond it at these and at the recorded ones.
_STEPS_CHECKED = 1_000_000


class RunInputs(eqx.Module):
    """A problem's labels and held-out inputs in the precision of one run.

    Attributes:
        initial: f_0, (n_train, n_out).
        labels: what the run is measured against; ``labels.noisy`` is ỹ.
        held_out: held-out inputs, if any.
        notes: what needs saying of the arguments.
    """

    initial: Targets
    labels: ReferenceLabels
    held_out: HeldOut | None
    notes: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, problem: Problem, dtype: np.dtype):
        given, held_out = problem.labels, problem.held_out
        noisy = jnp.asarray(given.noisy, dtype)
        clean = noisy if given.clean is None else jnp.asarray(given.clean, dtype)
        zero = given.initial is None
        self.initial = jnp.zeros_like(noisy) if zero else jnp.asarray(given.initial, dtype)
        self.held_out = None if held_out is None else held_out.astype(dtype)
        self.labels = ReferenceLabels(
            clean=clean,
            noisy=noisy,
            held_out=None if self.held_out is None else self.held_out.targets,
        )
        unknown = given.clean is None
        self.notes = ("no clean labels given: measured against the noisy ones",) * unknown


def spectrum_notes(spectrum: Spectrum) -> tuple[str, ...]:
    """What a run in the eigenbasis of a truncated spectrum lacks."""
    if spectrum.complete:
        return ()
    return (f"only {spectrum.n_mode} of {spectrum.n_train} modes are held: the others stand still",)


def check_times(
    times: Steps, store_at: Steps = (), *, may_be_infinite: bool = False
) -> tuple[tuple[float, ...], frozenset[float]]:
    """Require ascending whole numbers of steps, and predictions stored at some of them.

    Returns:
        The recorded and the stored steps; each equals a whole number, or is infinite.

    Raises:
        ValueError: naming what breaks this.
    """
    steps = as_steps("times", times)
    if steps.ndim != 1 or steps.size == 0:
        raise ValueError(f"times must be a non-empty list of steps; got shape {steps.shape}")
    whole = (steps >= 0) & (np.isfinite(steps) | may_be_infinite) & (steps == np.floor(steps))
    if not whole.all():
        raise ValueError(
            f"times must be whole numbers of steps, at least 0; got {steps[~whole].tolist()}"
        )
    drops = np.flatnonzero(np.diff(steps) <= 0)
    if drops.size:
        raise ValueError(
            f"times must be ascending, none twice; got {steps[drops[0]]:g} before "
            f"{steps[drops[0] + 1]:g}"
        )
    stored = as_steps("store_at", store_at)
    unknown = np.setdiff1d(stored, steps)
    if unknown.size:
        raise ValueError(f"store_at must be among times; got {unknown.tolist()}")
    return tuple(steps.tolist()), frozenset(stored.tolist())


def as_steps(name: str, steps: Any) -> np.ndarray:
    """Numbers of steps as floats, none of them changed.

    Raises:
        ValueError: text, truth values, complex numbers, and whole numbers beyond 2^53.
    """
    listed = steps if is_array(steps) or not isinstance(steps, Iterable) else list(steps)
    if isinstance(listed, list) and any(isinstance(as_number(each), bool) for each in listed):
        raise ValueError(f"{name} must be numbers of steps; got {shown(listed)}")
    given = np.asarray(listed if not isinstance(listed, list) or listed else np.zeros(0))
    if given.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be numbers of steps; got {shown(listed)}")
    floats = given.astype(float)
    if given.dtype.kind in "iu" and (np.abs(floats) > 2.0**53).any():
        raise ValueError(f"{name} must be at most 2^53 steps; got {shown(listed)}")
    return floats


def stop_steps(start: int, steps: tuple[int, ...], every: int | None) -> Iterator[int]:
    """Where a run stop_steps: at each recorded step from ``start`` on, and between them."""
    for step in steps:
        if step < start:
            continue
        if every is not None:
            yield from range(start + every, step, every)
        yield step
        start = step


def check_supervision(supervision: Supervision, noisy: Targets, loss: Loss, n_steps: int) -> None:
    """Require a label function and a schedule that are fit for the run, and labels for the loss.

    Raises:
        ValueError: for h(0) ≠ 0, labels that the loss cannot read, α outside [0, 1], and a
            finished teacher whose outputs are of other inputs.
    """
    n_out = noisy.shape[1]
    teacher = supervision.teacher
    if isinstance(teacher, Pretrained) and teacher.outputs.shape != noisy.shape:
        raise ValueError(
            f"teacher's outputs must have the labels' shape {noisy.shape}; got "
            f"{teacher.outputs.shape}"
        )
    loss.check_targets("noisy", noisy)
    ready = loss.supervise(supervision)
    labels = check_label_function(ready.label_function, n_out, np.dtype(noisy.dtype))
    loss.check_targets("label_function's labels", labels)
    if supervision.schedule.depends_on() == "index":
        supervision.weights(np.arange(min(n_steps + 1, _STEPS_CHECKED)))
        supervision.weights(np.array([n_steps]))
