"""How noisy are the labels, and how long may one train on them? Answered without clean labels.

A label that was left out of the fit is a fair judge of the prediction at its input, noisy or not.
For a fit that is linear in the labels the prediction without label i is known in closed form.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_finite, check_floating, check_whole_number
from ntk_air._base.typing import Targets
from ntk_air.dynamics.label_noise.flip_likelihood import (
    best_on_grid,
    class_shares,
    fit_flips,
    row_log_likelihoods,
)
from ntk_air.dynamics.run.learning_rate import DEFAULT_RATE, absolute_rate
from ntk_air.dynamics.supervision import Hard
from ntk_air.spectrum.result import Spectrum

_STEPS_PER_OCTAVE = 2
_LARGEST_STEP = 2.0**20
# Less in all, in nats, is what a temperature, a rate and a step gain from labels by chance.
_LEAST_EVIDENCE = 5.0


class NoiseEstimate(eqx.Module):
    """What the leave-one-out likelihood says of steps, temperature and noise rate.

    Attributes:
        steps: t, the middle, in log t, of those after which plain descent predicts left-out noisy
            labels as well as at its best, to within a standard error.
        temperature: T, with which softmax(f_t/T) are the probabilities of the clean label.
        noise_rate: q, the share of labels that differ from the clean ones, if flips are symmetric.
            Flips that the inputs predict, such as pair noise, are taken for structure: q is near 0.
        noise_rate_std_error: standard error of q, by the likelihood's curvature, as if left-out
            predictions were independent; infinite where the likelihood does not bound q.
        log_likelihood: mean log-likelihood of the noisy labels over rows, in nats.
        chance_log_likelihood: the mean by a prediction that knows the labels' shares alone.
        has_signal: whether labels are predicted better than that beyond doubt.
        notes: what fell short; empty if nothing.
    """

    steps: int
    temperature: float
    noise_rate: float
    noise_rate_std_error: float
    log_likelihood: float
    chance_log_likelihood: float
    has_signal: bool
    notes: tuple[str, ...] = eqx.field(static=True)


def leave_one_out(
    spectrum: Spectrum, noisy: Targets, *, steps: int, learning_rate: float | None = None
) -> Float[Array, "n_train n_out"]:
    """Predictions f_t(x_i) without the help of label i, in closed form.

    With G = g_t(Θ) and f = Gỹ, f_i^(−i) = (f_i − G_ii ỹ_i)/(1 − G_ii): the value that, put in
    place of ỹ_i, is its own prediction, so that row i pulls nothing at the end. For kernel ridge
    regression this is exactly the refit without row i (Craven, Wahba 1979, section 3); for descent
    it differs from that refit by what row i pulled on the way.

    Where G_ii → 1 and nothing else is left, as of every row of an isotropic kernel or of an input
    that no other resembles, numerator and denominator both vanish: the limit is 0, for other labels
    say nothing of this one. Modes whose ηλ rounding cannot tell from 1 count as equal.

    Args:
        spectrum: complete spectrum of Θ.
        noisy: noisy labels ỹ, (n_train, n_out).
        steps: number of steps t, at least 1.
        learning_rate: learning rate η, absolute; ``None`` is 1/λ₁.

    Returns:
        (n_train, n_out), in the labels' unit; 0 in rows of which other labels say nothing
        beyond rounding.

    Raises:
        ValueError: for a truncated spectrum, labels that are not in the target coding, steps that
            are no whole number above 0, and a rate at which descent diverges.
    """
    steps = check_whole_number("steps", steps, minimum=1)
    rate = absolute_rate(
        DEFAULT_RATE if learning_rate is None else learning_rate,
        largest_eigenvalue=spectrum.lambda_max,
    )
    noisy = check_noisy(spectrum, noisy)
    return _leave_one_out(
        spectrum.eigenvalues,
        spectrum.eigenvectors,
        noisy,
        rate=jnp.asarray(rate, noisy.dtype),
        steps=jnp.asarray(steps, noisy.dtype),
        floor=jnp.asarray(rate * spectrum.precision_floor, noisy.dtype),
    )


def estimate_noise(
    spectrum: Spectrum, noisy: Targets, *, learning_rate: float | None = None
) -> NoiseEstimate:
    """Estimate noise rate, temperature and stopping time from left-out predictions.

    The clean label of row i has probabilities softmax(f_i/T), binary σ(±f_i/T), of the left-out
    prediction, and flips to any other class alike at rate q (theory.md section 3):
    P(ỹ_i = b) = (1 − q)·π_ib + q/(C − 1)·(1 − π_ib). Other noise is read as the symmetric noise
    that explains it best.

    Args:
        spectrum: complete spectrum of Θ.
        noisy: ỹ in the target coding, (n_train, n_out).
        learning_rate: learning rate η, absolute; ``None`` is 1/λ₁.

    Raises:
        ValueError: for a truncated spectrum, labels that are not in the target coding, or labels
            of one class only.
    """
    noisy = check_noisy(spectrum, noisy)
    grid = _step_grid(spectrum)
    points, rows = [], []
    for step in grid:
        outputs = leave_one_out(spectrum, noisy, steps=int(step), learning_rate=learning_rate)
        points.append(best_on_grid(outputs, noisy))
        rows.append(np.asarray(row_log_likelihoods(outputs, noisy, *points[-1])))
    chosen = _middle_of_the_best(np.stack(rows))
    steps = int(grid[chosen])
    outputs = leave_one_out(spectrum, noisy, steps=steps, learning_rate=learning_rate)
    fit = fit_flips(outputs, noisy, start=points[chosen])
    notes = fit.notes
    if silent := int(jnp.sum(~jnp.any(outputs != 0, axis=1))):
        notes += (f"of {silent} of {len(noisy)} labels no other label says anything",)
    if chosen == len(grid) - 1:
        notes += (f"the best step, {steps}, is the last of those tried",)
    shares = np.asarray(class_shares(noisy))
    chance = float(np.sum(shares * np.log(np.where(shares > 0, shares, 1))))
    evidence = noisy.shape[0] * (fit.log_likelihood - chance)
    if evidence < _LEAST_EVIDENCE:
        notes += (f"left-out predictions say nothing sure about the labels: {evidence:.1f} nats",)
    return NoiseEstimate(
        steps=steps,
        temperature=fit.temperature,
        noise_rate=fit.noise_rate,
        noise_rate_std_error=fit.noise_rate_std_error,
        log_likelihood=fit.log_likelihood,
        chance_log_likelihood=chance,
        has_signal=evidence >= _LEAST_EVIDENCE,
        notes=notes,
    )


def check_noisy(spectrum: Spectrum, noisy: Targets) -> Float[Array, "n_train n_out"]:
    """Require a complete spectrum and labels in the target coding, in its precision.

    Raises:
        ValueError: naming what is not so.
    """
    if not spectrum.complete:
        raise ValueError(
            "spectrum must hold all modes: a label that is left out moves each of them; got "
            f"{spectrum.n_mode} of {spectrum.n_train}"
        )
    check_floating("noisy", noisy)
    check_finite("noisy", noisy)
    if noisy.ndim != 2 or noisy.shape[0] != spectrum.n_train:
        raise ValueError(
            f"noisy must have one row for each of {spectrum.n_train} inputs; got {noisy.shape}"
        )
    labels = jnp.asarray(noisy, spectrum.eigenvectors.dtype)
    hard = Hard()(labels)
    # A row that ties is its own hard label, and no label.
    tied = bool(jnp.any(jnp.all(hard == 0, axis=1)))
    if tied or float(jnp.max(jnp.abs(hard - labels))) > 1e-6:
        raise ValueError(
            "noisy must hold labels in the target coding, ±1 in one column or centred one-hot rows"
        )
    if int(jnp.sum(class_shares(labels) > 0)) < 2:
        raise ValueError("noisy must hold labels of at least two classes; got one")
    return labels


def _step_grid(spectrum: Spectrum) -> np.ndarray:
    """Powers of √2 until the smallest resolved mode is fitted."""
    smallest = float(jnp.min(spectrum.eigenvalues, where=spectrum.resolved, initial=jnp.inf))
    last = min(10 * spectrum.lambda_max / smallest, _LARGEST_STEP)
    exponents = np.arange(math.ceil(_STEPS_PER_OCTAVE * math.log2(max(last, 2.0))) + 1)
    return np.unique(np.round(2.0 ** (exponents / _STEPS_PER_OCTAVE)))


def _middle_of_the_best(rows: Float[np.ndarray, "n_time n_train"]) -> int:
    """The middle of the stretch of steps whose mean log-likelihoods the labels cannot tell apart.

    Those around the best within a standard error of it, that of the mean of paired differences.
    In an AIR window all are alike and the largest is chance: the middle is far from both ends.
    """
    best = int(np.argmax(rows.mean(axis=1)))
    behind = rows[best] - rows
    error = behind.std(axis=1, ddof=1) / math.sqrt(rows.shape[1])
    alike = behind.mean(axis=1) <= error
    first = last = best
    while first > 0 and alike[first - 1]:
        first -= 1
    while last + 1 < len(rows) and alike[last + 1]:
        last += 1
    return (first + last) // 2


@jax.jit
def _leave_one_out(
    eigenvalues: Float[Array, " n_mode"],
    eigenvectors: Float[Array, "n_train n_mode"],
    noisy: Float[Array, "n_train n_out"],
    *,
    rate: Float[Array, ""],
    steps: Float[Array, ""],
    floor: Float[Array, ""],
) -> Float[Array, "n_train n_out"]:
    moved = rate * jnp.maximum(eigenvalues, 0)
    left = 1 - moved
    # ln |1 − ηλ|, of modes that rounding cannot tell from ηλ = 1 by that rounding.
    near_one = jnp.log(jnp.maximum(jnp.abs(left), floor))
    log_left = jnp.where(left > 0.5, jnp.log1p(-moved), near_one)
    # 1 − G_ii and f_i − ỹ_i are sums of what is left of modes, and only their ratio counts: taken
    # relative to the mode of which most is left it keeps its digits where all of them are fitted.
    kept = jnp.exp(steps * (log_left - jnp.max(log_left)))
    kept = jnp.where((left < 0) & (jnp.mod(steps, 2) == 1), -kept, kept)
    with jax.default_matmul_precision("highest"):
        residual = eigenvectors @ (kept[:, None] * (eigenvectors.T @ noisy))
        own = (eigenvectors**2 @ kept)[:, None]
    moved_by_others = own * noisy - residual
    rounding = 8 * len(noisy) ** 0.5 * jnp.finfo(noisy.dtype).eps * jnp.max(jnp.abs(noisy))
    heard = jnp.any(jnp.abs(moved_by_others) > rounding, axis=1, keepdims=True) & (own != 0)
    return jnp.where(heard, moved_by_others / jnp.where(own != 0, own, 1), 0)
