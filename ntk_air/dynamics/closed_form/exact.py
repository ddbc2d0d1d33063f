"""Exact trajectories in the eigenbasis of the kernel, at any times (theory.md section 1).

Predictions go through the dual form f_t(x) = f_0(x) + Θ(x, X)·c_t, which needs no inverse of Θ.
Where metrics at many times are asked for, most predictions are combined from those at a few times,
to some 12 digits (``skeleton.py``), and none are kept.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntk_air._base.checks import check_at_least, check_finite
from ntk_air.dynamics.closed_form.eigenframe import Basis, EigenFrame, project
from ntk_air.dynamics.closed_form.exact_curves import metric_curves, predictions_of
from ntk_air.dynamics.filters.spectral import SpectralRule
from ntk_air.dynamics.method import Method, Request, Rule, times_of
from ntk_air.dynamics.rules import Descent, Flow
from ntk_air.dynamics.run.inputs import RunInputs, Steps, as_steps, spectrum_notes
from ntk_air.dynamics.run.metrics import TrainMetrics
from ntk_air.dynamics.run.trajectory import FinalState, StoredPredictions, Trajectory
from ntk_air.problem import Problem
from ntk_air.spectrum.result import Spectrum

# Below this share of −λ₁ an eigenvalue is not rounding, not even of a kernel built in float32.
_NEGATIVE_SHARE = 1e-3


class ClosedForm(Method):
    """Exact up to rounding, in the eigenbasis of the kernel, at any times (theory.md section 1).

    Follows ``Descent``, ``Flow`` and every ``SpectralRule``. Needs the problem's spectrum; modes
    that a truncated spectrum lacks are held still, and a note says so. Times may be repeated,
    and outputs may be kept at steps that are not among them.

    Args:
        chunk_elements: number of predictions that are held at once while metrics are taken.
        allow_divergence: whether a ``SpectralRule`` that carries a rate of its own may carry one
            at or above its bound of stability.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> theta, noisy = np.diag([2.0, 1.0]), np.array([[1.0], [-1.0]])
    >>> problem = na.Problem(na.Labels(noisy), theta, na.decompose(theta))
    >>> run = na.solve(problem, na.Descent(), [0, 10, 1000], method=na.ClosedForm())
    >>> [round(float(d), 6) for d in run.train.rms_distance]
    [1.0, 0.000691, 0.0]
    """

    chunk_elements: int = 2**20
    allow_divergence: bool = False

    def obstacle(self, problem: Problem, rule: Rule, request: Request) -> str:
        """What keeps a rule from being followed in closed form; empty if nothing."""
        if not isinstance(rule, Descent | Flow | SpectralRule):
            return "closed forms are those of Descent, Flow and spectral filters"
        return "" if problem.has_spectrum else "the problem holds no spectrum"

    def follow(self, problem: Problem, rule: Rule, request: Request) -> Trajectory:
        """The trajectory of a rule; arguments and errors are those of ``solve``."""
        steps = _checked_times("times", times_of(rule, request.times))
        stored_steps = _checked_times("store_at", request.store_at, may_be_empty=True)
        spectrum, allow_divergence = problem.spectrum, self.allow_divergence
        if isinstance(rule, Descent):
            allow_divergence = rule.allow_divergence
        if isinstance(rule, Descent | Flow):
            rule = rule.filter(largest_eigenvalue=spectrum.lambda_max)
        assert isinstance(rule, SpectralRule)  # by obstacle
        _check_spectrum(spectrum)
        for asked in (steps, stored_steps):
            rule.check(asked, spectrum.lambda_max, allow_divergence)
        inputs = RunInputs(problem, spectrum.eigenvectors.dtype)
        frame = EigenFrame(
            eigenvalues=spectrum.eigenvalues,
            eigenvectors=spectrum.eigenvectors,
            initial=jnp.asarray(inputs.initial),
            clean=jnp.asarray(inputs.labels.clean),
            noisy=jnp.asarray(inputs.labels.noisy),
            held_out=inputs.held_out,
        )
        basis = project(frame)
        train, held = metric_curves(
            rule,
            frame,
            basis,
            jnp.asarray(steps, frame.clean.dtype),
            chunk_elements=self.chunk_elements,
        )
        final, stored = _kept(rule, frame, basis, last_step=steps[-1], stored_steps=stored_steps)
        rate = float(rule.learning_rate)
        return Trajectory(
            times=steps,
            train=train,
            held_out=held,
            final=final,
            stored=stored,
            learning_rate=rate,
            rule=rule.description,
            notes=inputs.notes + _notes(spectrum, rate, steps, train),
        )


def _kept(
    rule: SpectralRule,
    frame: EigenFrame,
    basis: Basis,
    *,
    last_step: float,
    stored_steps: np.ndarray,
) -> tuple[FinalState, StoredPredictions | None]:
    """The state at the last step, and the predictions that were asked for."""
    wanted = np.union1d(stored_steps, [last_step])
    last, stored = np.searchsorted(wanted, last_step), np.searchsorted(wanted, stored_steps)
    train, held_out, dual = _predictions_at(
        rule, frame, basis, jnp.asarray(wanted, frame.clean.dtype), last=jnp.asarray(last)
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
    frame: EigenFrame,
    basis: Basis,
    steps: Float[Array, " n_step"],
    *,
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
    steps = as_steps(name, times)
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


def _notes(
    spectrum: Spectrum, learning_rate: float, steps: np.ndarray, train: TrainMetrics
) -> tuple[str, ...]:
    notes = spectrum.notes
    if spectrum.n_negative:
        notes += (
            f"{spectrum.n_negative} of {spectrum.n_mode} eigenvalues are below 0 "
            f"(smallest {spectrum.lambda_min:.3g}) and count as 0",
        )
    notes += spectrum_notes(spectrum)
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
