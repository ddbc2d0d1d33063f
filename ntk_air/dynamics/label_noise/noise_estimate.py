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

from ntk_air._base.checks import check_finite, check_floating, check_positive
from ntk_air._base.typing import Targets
from ntk_air.dynamics.filters.spectral import GradientDescent
from ntk_air.dynamics.label_noise.flip_likelihood import (
    best_on_grid,
    class_shares,
    fit_flips,
    row_log_likelihoods,
)
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
    spectrum: Spectrum, noisy: Targets, *, steps: float | int, learning_rate: float | None = None
) -> Float[Array, "n_train n_out"]:
    """Predictions f_t(x_i) without the help of label i, in closed form.

    With G = g_t(Θ) and f = Gỹ, f_i^(−i) = (f_i − G_ii ỹ_i)/(1 − G_ii): the value that, put in
    place of ỹ_i, is its own prediction, so that row i pulls nothing at the end. For kernel ridge
    regression this is exactly the refit without row i (Craven, Wahba 1979, section 3); for descent
    it differs from that refit by what row i pulled on the way.

    Args:
        spectrum: complete spectrum of Θ.
        noisy: noisy labels ỹ, (n_train, n_out).
        steps: number of steps t, above 0.
        learning_rate: learning rate η, absolute; ``None`` is 1/λ₁.

    Returns:
        (n_train, n_out), in the labels' unit.

    Raises:
        ValueError: for a truncated spectrum, labels that are not in the target coding, and steps
            that are not finite and above 0.
    """
    check_positive("steps", steps)
    rate = spectrum.default_learning_rate if learning_rate is None else learning_rate
    noisy = check_noisy(spectrum, noisy)
    return _leave_one_out(
        spectrum.eigenvalues,
        spectrum.eigenvectors,
        noisy,
        rate=jnp.asarray(rate, noisy.dtype),
        steps=jnp.asarray(steps, noisy.dtype),
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
    rate = spectrum.default_learning_rate if learning_rate is None else learning_rate
    grid = _step_grid(spectrum)
    points, rows = [], []
    for step in grid:
        outputs = leave_one_out(spectrum, noisy, steps=float(step), learning_rate=rate)
        points.append(best_on_grid(outputs, noisy))
        rows.append(np.asarray(row_log_likelihoods(outputs, noisy, *points[-1])))
    chosen = _middle_of_the_best(np.stack(rows))
    steps = int(grid[chosen])
    outputs = leave_one_out(spectrum, noisy, steps=steps, learning_rate=rate)
    fit = fit_flips(outputs, noisy, start=points[chosen])
    notes = fit.notes
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
    if noisy.shape[0] != spectrum.n_train:
        raise ValueError(
            f"noisy must have one row for each of {spectrum.n_train} inputs; got {noisy.shape}"
        )
    labels = jnp.asarray(noisy, spectrum.eigenvectors.dtype)
    if float(jnp.max(jnp.abs(Hard()(labels) - labels))) > 1e-6:
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
) -> Float[Array, "n_train n_out"]:
    with jax.default_matmul_precision("highest"):
        left = GradientDescent.response(_rule(rate), eigenvalues, steps).residual
        residual = eigenvectors @ (left[:, None] * (eigenvectors.T @ noisy))
        # 1 − G_ii, summed as what is left of each mode: it keeps its digits where G_ii is near 1.
        own = jnp.maximum(eigenvectors**2 @ left, jnp.finfo(noisy.dtype).tiny)
        return noisy - residual / own[:, None]


def _rule(rate: Float[Array, ""]) -> GradientDescent:
    rule = GradientDescent(1.0)
    return eqx.tree_at(lambda r: r.learning_rate, rule, rate)
