"""Exact trajectories in the eigenbasis of the kernel, at any times (theory.md section 1).

Predictions go through the dual form f_t(x) = f_0(x) + Θ(x, X)·c_t, which needs no inverse of Θ.
Norms come from the mode coefficients; margins and errors need predictions, which are made for a
few times at once and dropped, so that memory does not grow with the number of times.
"""

from collections.abc import Sequence
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntk_air.checks import check_at_least, check_finite
from ntk_air.dynamics import metrics
from ntk_air.dynamics.filters import ModeLabels, ModeStates, SpectralRule
from ntk_air.dynamics.held_out import HeldOut
from ntk_air.dynamics.metrics import HeldOutMetrics, TrainMetrics
from ntk_air.dynamics.trajectory import FinalState, StoredPredictions, Trajectory
from ntk_air.spectrum.result import Spectrum
from ntk_air.typing import AnyArray, Targets

Steps: TypeAlias = Sequence[float | int] | AnyArray
"""Times as a user writes them: whole or not, in a list or an array."""

# Below this share of −λ₁ an eigenvalue is not rounding, not even of a kernel built in float32.
_NEGATIVE_SHARE = 1e-3


class _Frame(eqx.Module):
    """All arrays of a run, in one precision."""

    eigenvalues: Float[Array, " n_mode"]
    eigenvectors: Float[Array, "n_train n_mode"]
    initial: Float[Array, "n_train n_out"]
    clean: Float[Array, "n_train n_out"]
    noisy: Float[Array, "n_train n_out"]
    held_out: HeldOut | None


class _Outside(eqx.Module):
    """What a truncated basis does not span, and so never moves: squares and one product."""

    from_clean: Float[Array, ""]
    from_noisy: Float[Array, ""]
    noise_aligned: Float[Array, ""]


class _Predictions(eqx.Module):
    train: Float[Array, "n_step n_train n_out"]
    held_out: Float[Array, "n_step n_test n_out"] | None


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
    chunk = max(1, min(len(steps), chunk_elements // max(frame.clean.size, 1)))
    train, held = _metric_curves(rule, frame, _chunked(steps, chunk, frame.clean.dtype))
    train, held = jax.tree.map(lambda curve: curve[: len(steps)], (train, held))
    final, stored = _kept(rule, frame, steps[-1], stored_steps)
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
    rule: SpectralRule, frame: _Frame, last_step: float, stored_steps: np.ndarray
) -> tuple[FinalState, StoredPredictions | None]:
    """The state at the last step, and the predictions that were asked for."""
    wanted = np.union1d(stored_steps, [last_step])
    last, stored = np.searchsorted(wanted, last_step), np.searchsorted(wanted, stored_steps)
    predictions, dual = _predictions_at(
        rule, frame, jnp.asarray(wanted, frame.clean.dtype), jnp.asarray(last)
    )
    held_out = predictions.held_out
    final = FinalState(
        predictions=predictions.train[last],
        dual=dual,
        held_out_predictions=None if held_out is None else held_out[last],
    )
    if len(stored_steps) == 0:
        return final, None
    return final, StoredPredictions(
        times=stored_steps,
        train=predictions.train[stored],
        held_out=None if held_out is None else held_out[stored],
    )


@jax.jit
def _metric_curves(
    rule: SpectralRule, frame: _Frame, chunks: Float[Array, "n_chunk n_step"]
) -> tuple[TrainMetrics, HeldOutMetrics | None]:
    """Metrics at all times; predictions are made and dropped chunk by chunk."""
    with jax.default_matmul_precision("highest"):
        labels, held_basis, outside = _mode_labels(frame), _held_basis(frame), _outside(frame)

        def one_chunk(carry, steps):
            carry, states = rule.advance(carry, frame.eigenvalues, labels, steps)
            predictions = _predict(frame, held_basis, states)
            train = _train_metrics(frame, labels, outside, states, predictions.train)
            held = None
            if frame.held_out is not None and predictions.held_out is not None:
                held = jax.vmap(metrics.held_out_metrics, in_axes=(0, None))(
                    predictions.held_out, frame.held_out.targets
                )
            return carry, (train, held)

        _, curves = jax.lax.scan(one_chunk, rule.begin(frame.eigenvalues), chunks)
        return jax.tree.map(lambda curve: curve.reshape(-1), curves)


@jax.jit
def _predictions_at(
    rule: SpectralRule, frame: _Frame, steps: Float[Array, " n_step"], last: Int[Array, ""]
) -> tuple[_Predictions, Float[Array, "n_train n_out"]]:
    """Predictions at a few steps, and dual coefficients at the one of index ``last``."""
    with jax.default_matmul_precision("highest"):
        carry = rule.begin(frame.eigenvalues)
        _, states = rule.advance(carry, frame.eigenvalues, _mode_labels(frame), steps)
        dual = frame.eigenvectors @ states.dual[last]
        return _predict(frame, _held_basis(frame), states), dual


def _mode_labels(frame: _Frame) -> ModeLabels:
    basis = frame.eigenvectors.T
    return ModeLabels(
        initial=basis @ frame.initial, clean=basis @ frame.clean, noisy=basis @ frame.noisy
    )


def _held_basis(frame: _Frame) -> Float[Array, "n_test n_mode"] | None:
    """Θ(x, X)·V: from mode coefficients of c_t to held-out predictions."""
    if frame.held_out is None:
        return None
    return jnp.asarray(frame.held_out.cross_kernel) @ frame.eigenvectors


def _predict(
    frame: _Frame, held_basis: Float[Array, "n_test n_mode"] | None, states: ModeStates
) -> _Predictions:
    """f_0 + V·λ·Vᵀc_t on the training inputs, f_0 + Θ(x, X)·V·Vᵀc_t on held-out ones."""
    displacement = jnp.maximum(frame.eigenvalues, 0)[None, :, None] * states.dual
    train = frame.initial + jnp.einsum("nm,smc->snc", frame.eigenvectors, displacement)
    if held_basis is None or frame.held_out is None:
        return _Predictions(train=train, held_out=None)
    moved = jnp.einsum("nm,smc->snc", held_basis, states.dual)
    return _Predictions(train=train, held_out=jnp.asarray(frame.held_out.initial) + moved)


def _outside(frame: _Frame) -> _Outside:
    n_train, n_mode = frame.eigenvectors.shape
    if n_mode == n_train:
        zero = jnp.zeros((), frame.clean.dtype)
        return _Outside(from_clean=zero, from_noisy=zero, noise_aligned=zero)

    def part(labels: Float[Array, "n_train n_out"]) -> Float[Array, "n_train n_out"]:
        return labels - frame.eigenvectors @ (frame.eigenvectors.T @ labels)

    from_clean = part(frame.initial - frame.clean)
    return _Outside(
        from_clean=jnp.sum(from_clean**2),
        from_noisy=jnp.sum(part(frame.initial - frame.noisy) ** 2),
        noise_aligned=jnp.sum(from_clean * part(frame.noisy - frame.clean)),
    )


def _train_metrics(
    frame: _Frame,
    labels: ModeLabels,
    outside: _Outside,
    states: ModeStates,
    predictions: Float[Array, "n_step n_train n_out"],
) -> TrainMetrics:
    n_train = frame.clean.shape[0]
    margins = jax.vmap(metrics.label_margins, in_axes=(0, None))(predictions, frame.clean)
    residual_square = jnp.sum(states.from_noisy**2, axis=(1, 2)) + outside.from_noisy
    noise_square = jnp.sum((frame.noisy - frame.clean) ** 2)
    noise_modes = jnp.asarray(labels.noisy) - labels.clean
    aligned = jnp.sum(states.from_clean * noise_modes, axis=(1, 2)) + outside.noise_aligned
    moved = jnp.maximum(frame.eigenvalues, 0)[None, :, None] * states.dual**2
    return TrainMetrics(
        rms_distance=jnp.sqrt(
            (jnp.sum(states.from_clean**2, axis=(1, 2)) + outside.from_clean) / n_train
        ),
        zero_one_error=jnp.mean(~(margins > 0), axis=1, dtype=margins.dtype),
        margin_min=jnp.min(margins, axis=1),
        margin_mean=jnp.mean(margins, axis=1),
        memorised_share=jax.vmap(metrics.memorised_share, in_axes=(0, None, None))(
            predictions, frame.clean, frame.noisy
        ),
        noise_share=jnp.where(
            noise_square > 0, aligned / jnp.where(noise_square > 0, noise_square, 1), 0
        ),
        training_loss=0.5 * residual_square,
        residual_norm=jnp.sqrt(residual_square),
        parameter_distance=jnp.sqrt(jnp.sum(moved, axis=(1, 2))),
    )


def _chunked(steps: np.ndarray, chunk: int, dtype: jnp.dtype) -> Float[Array, "n_chunk n_step"]:
    """The steps in rows of equal length, the last step repeated to fill the last row."""
    padded = np.pad(steps, (0, -len(steps) % chunk), mode="edge")
    return jnp.asarray(padded.reshape(-1, chunk), dtype)


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
) -> _Frame:
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
    return _Frame(
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
