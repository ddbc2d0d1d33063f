"""Exact trajectories in the eigenbasis of the kernel, at any times (theory.md section 1).

Predictions go through the dual form f_t(x) = f_0(x) + Θ(x, X)·c_t, which needs no inverse of Θ.
Where metrics at many times are asked for, most predictions are combined from those at a few times,
to some 12 digits (``skeleton.py``), and none are kept.
"""

from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntk_air._base.checks import check_at_least, check_finite
from ntk_air._base.typing import AnyArray, Targets
from ntk_air.dynamics.closed_form.eigenframe import Basis, Frame, project
from ntk_air.dynamics.closed_form.exact_curves import metric_curves, predictions_of
from ntk_air.dynamics.closed_form.filters import SpectralRule
from ntk_air.dynamics.run.metrics import TrainMetrics
from ntk_air.dynamics.run.trajectory import FinalState, StoredPredictions, Trajectory
from ntk_air.problem import HeldOut
from ntk_air.spectrum.result import Spectrum

Steps: TypeAlias = Sequence[float | int] | AnyArray
"""Times as a user writes them: whole or not, in a list or an array."""

# Below this share of −λ₁ an eigenvalue is not rounding, not even of a kernel built in float32.
_NEGATIVE_SHARE = 1e-3


def exact_trajectory(
    spectrum: Spectrum,
    noisy: Targets,
    rule: SpectralRule,
    *,
    times: Steps,
    initial: Targets | None = None,
    clean: Targets | None = None,
    held_out: HeldOut | None = None,
    store_at: Steps = (),
    allow_divergence: bool = False,
    chunk_elements: int = 2**20,
) -> Trajectory:
    """Follow a spectral rule to any times, exactly up to rounding (theory.md section 1).

    Args:
        spectrum: of Θ. Modes that a truncated spectrum lacks are held still; a note says so.
        noisy: ỹ, (n_train, n_out).
        rule: for example ``GradientDescent(spectrum.default_learning_rate)``.
        times: steps to record at, (n_time,), ascending, at least 0; as large as you like.
        initial: f_0, (n_train, n_out); ``None`` is 0.
        clean: y, (n_train, n_out), that metrics are against; ``None`` measures against ỹ.
        held_out: held-out inputs to predict and measure on.
        store_at: steps at which predictions are kept; they take n_stored·n·n_out numbers.
        allow_divergence: accept a rate at or above the rule's bound.
        chunk_elements: how many predictions are held at once while metrics are taken.

    Raises:
        ValueError: for shapes that disagree, non-finite values, times that are not ascending or
            that the rule does not define, a rate that diverges, a kernel that is indefinite.
    """
    steps = _checked_times("times", times)
    stored_steps = _checked_times("store_at", store_at, may_be_empty=True)
    _check_spectrum(spectrum)
    for asked in (steps, stored_steps):
        rule.check(asked, spectrum.lambda_max, allow_divergence)
    frame = _frame(spectrum, noisy, initial, clean, held_out)
    basis = project(frame)
    train, held = metric_curves(
        rule, frame, basis, jnp.asarray(steps, frame.clean.dtype), chunk_elements=chunk_elements
    )
    final, stored = _kept(rule, frame, basis, steps[-1], stored_steps)
    return Trajectory(
        times=steps,
        train=train,
        held_out=held,
        final=final,
        stored=stored,
        learning_rate=float(rule.learning_rate),
        rule=rule.description,
        notes=_notes(spectrum, float(rule.learning_rate), steps, train),
    )


def _kept(
    rule: SpectralRule,
    frame: Frame,
    basis: Basis,
    last_step: float,
    stored_steps: np.ndarray,
) -> tuple[FinalState, StoredPredictions | None]:
    """The state at the last step, and the predictions that were asked for."""
    wanted = np.union1d(stored_steps, [last_step])
    last, stored = np.searchsorted(wanted, last_step), np.searchsorted(wanted, stored_steps)
    train, held_out, dual = _predictions_at(
        rule, frame, basis, jnp.asarray(wanted, frame.clean.dtype), jnp.asarray(last)
    )
    final = FinalState(
        predictions=train[last],
        dual=dual,
        held_out_predictions=None if held_out is None else held_out[last],
    )
    if len(stored_steps) == 0:
        return final, None
    return final, StoredPredictions(
        times=stored_steps,
        train=train[stored],
        held_out=None if held_out is None else held_out[stored],
    )


@jax.jit
def _predictions_at(
    rule: SpectralRule,
    frame: Frame,
    basis: Basis,
    steps: Float[Array, " n_step"],
    last: Int[Array, ""],
) -> tuple[
    Float[Array, "n_step n_train n_out"],
    Float[Array, "n_step n_test n_out"] | None,
    Float[Array, "n_train n_out"],
]:
    """Predictions at a few steps, and dual coefficients at the one of index ``last``."""
    with jax.default_matmul_precision("highest"):
        carry = rule.begin(frame.eigenvalues)
        _, states = rule.advance(carry, frame.eigenvalues, basis.labels, steps)
        dual = frame.eigenvectors @ states.dual[last]
        return *predictions_of(frame, basis, states), dual


def _checked_times(name: str, times: Steps, *, may_be_empty: bool = False) -> np.ndarray:
    steps = np.asarray(times, dtype=np.float64)
    if steps.ndim != 1 or (len(steps) == 0 and not may_be_empty):
        raise ValueError(f"{name} must be a list of steps, (n_time,); got shape {steps.shape}")
    check_finite(name, steps)
    if len(steps):
        check_at_least(f"{name}[0]", steps[0], 0.0)
    drops = np.flatnonzero(np.diff(steps) < 0)
    if len(drops):
        first = drops[0]
        raise ValueError(
            f"{name} must be ascending; got {steps[first]} before {steps[first + 1]} "
            f"at index {first}"
        )
    return steps


def _check_spectrum(spectrum: Spectrum) -> None:
    if spectrum.lambda_min < -_NEGATIVE_SHARE * spectrum.lambda_max:
        raise ValueError(
            "spectrum must be of a positive semi-definite kernel; its smallest eigenvalue is "
            f"{spectrum.lambda_min:.3g}, its largest {spectrum.lambda_max:.3g}"
        )


def _frame(
    spectrum: Spectrum,
    noisy: Targets,
    initial: Targets | None,
    clean: Targets | None,
    held_out: HeldOut | None,
) -> Frame:
    """Check shapes and values and bring all arrays into the spectrum's precision."""
    clean = noisy if clean is None else clean
    initial = np.zeros(noisy.shape) if initial is None else initial
    expected = (spectrum.n_train, noisy.shape[1])
    for name, array in (("noisy", noisy), ("clean", clean), ("initial", initial)):
        if array.shape != expected:
            raise ValueError(
                f"{name} must have shape {expected}, as the spectrum has n_train "
                f"= {expected[0]}; got {array.shape}"
            )
        check_finite(name, array)
    if held_out is not None:
        got = (held_out.cross_kernel.shape[1], held_out.targets.shape[1])
        if got != expected:
            raise ValueError(f"held_out must have (n_train, n_out) = {expected}; got {got}")
    dtype = spectrum.eigenvectors.dtype
    return Frame(
        eigenvalues=spectrum.eigenvalues,
        eigenvectors=spectrum.eigenvectors,
        initial=jnp.asarray(initial, dtype),
        clean=jnp.asarray(clean, dtype),
        noisy=jnp.asarray(noisy, dtype),
        held_out=None if held_out is None else held_out.astype(dtype),
    )


def _notes(
    spectrum: Spectrum, learning_rate: float, steps: np.ndarray, train: TrainMetrics
) -> tuple[str, ...]:
    notes = spectrum.notes
    if spectrum.n_negative:
        notes += (
            f"{spectrum.n_negative} of {spectrum.n_mode} eigenvalues are below 0 "
            f"(smallest {spectrum.lambda_min:.3g}) and count as 0",
        )
    if not spectrum.complete:
        notes += (
            f"only {spectrum.n_mode} of {spectrum.n_train} modes are held: the others stand still",
        )
    # Where the modes below precision have moved by a hundredth, their motion is a matter of luck.
    noise_steps = 0.01 / (learning_rate * spectrum.precision_floor)
    if spectrum.n_below_precision and steps[-1] > noise_steps:
        notes += (
            f"{spectrum.n_below_precision} eigenvalues are below precision: what their modes do "
            f"beyond step {noise_steps:.1g} is noise of the arithmetic",
        )
    finite = np.isfinite(np.asarray(train.residual_norm))
    if not finite.all():
        notes += (
            f"the run diverged beyond the range of {spectrum.precision} by step "
            f"{steps[np.argmin(finite)]:g}: metrics from there on are not finite",
        )
    if spectrum.precision == "float32" and steps[-1] > 2**24:
        notes += ("steps above 2²⁴ are rounded in float32",)
    return notes
