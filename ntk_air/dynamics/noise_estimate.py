"""How noisy are the labels, and how long may one train on them? Answered without clean labels.

A label that was left out of the fit is a fair judge of the prediction at its input, noisy or not.
For a fit that is linear in the labels the prediction without label i is known in closed form.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from ntk_air.checks import check_finite, check_floating, check_positive
from ntk_air.dynamics.filters import GradientDescent
from ntk_air.dynamics.supervision import Hard
from ntk_air.spectrum.result import Spectrum
from ntk_air.typing import AnyArray, Targets

_STEPS_PER_OCTAVE = 2
_LARGEST_STEP = 2.0**20
# In units of the outputs' own size; the best is refined from here.
_TEMPERATURES = np.geomspace(0.02, 4.0, 20)
# Less in all, in nats, is what a temperature, a rate and a step gain from labels by chance.
_LEAST_EVIDENCE = 5.0
_RATE_GRID = np.concatenate([[1e-4, 0.01, 0.03], np.linspace(0.06, 0.99, 24)])


class NoiseEstimate(eqx.Module):
    """The maximum of the leave-one-out likelihood over steps, temperature and noise rate.

    Attributes:
        steps: t, after which plain descent predicts left-out noisy labels best.
        temperature: T, with which softmax(f_t/T) are the probabilities of the clean label.
        noise_rate: q, the share of labels that differ from the clean ones.
        noise_rate_std_error: of q, from the curvature of the likelihood, as if left-out
            predictions were independent; infinite where the likelihood does not bound q.
        log_likelihood: of the noisy labels, mean over rows, in nats.
        chance_log_likelihood: of a prediction that knows the labels' shares alone.
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
        spectrum: of Θ, complete.
        noisy: ỹ, (n_train, n_out).
        steps: t, above 0.
        learning_rate: η; ``None`` is 1/λ₁.

    Returns:
        (n_train, n_out), in the labels' unit.

    Raises:
        ValueError: as ``estimate_noise``; for steps that are not finite and above 0.
    """
    check_positive("steps", steps)
    rate = spectrum.default_learning_rate if learning_rate is None else learning_rate
    noisy = check_noisy(spectrum, noisy)
    return _leave_one_out(
        spectrum.eigenvalues,
        spectrum.eigenvectors,
        noisy,
        jnp.asarray(rate, noisy.dtype),
        jnp.asarray(steps, noisy.dtype),
    )


def estimate_noise(
    spectrum: Spectrum, noisy: Targets, *, learning_rate: float | None = None
) -> NoiseEstimate:
    """Estimate noise rate, temperature and stopping time, by maximum likelihood.

    The clean label of row i has probabilities softmax(f_i/T), binary σ(±f_i/T), of the left-out
    prediction, and flips to any other class alike at rate q (theory.md section 3):
    P(ỹ_i = b) = (1 − q)·π_ib + q/(C − 1)·(1 − π_ib). Other noise is read as the symmetric noise
    that explains it best.

    Args:
        spectrum: of Θ, complete.
        noisy: ỹ in the target coding, (n_train, n_out).
        learning_rate: η; ``None`` is 1/λ₁.

    Raises:
        ValueError: for a truncated spectrum, labels that are not in the target coding, or labels
            of one class only.
    """
    noisy = check_noisy(spectrum, noisy)
    rate = spectrum.default_learning_rate if learning_rate is None else learning_rate
    grid = _step_grid(spectrum)
    tables = []
    for step in grid:
        outputs = leave_one_out(spectrum, noisy, steps=float(step), learning_rate=rate)
        tables.append(np.asarray(_likelihood_table(outputs, noisy)))
    table = np.stack(tables)
    best = np.unravel_index(int(np.argmax(table)), table.shape)
    steps = int(grid[best[0]])
    outputs = leave_one_out(spectrum, noisy, steps=steps, learning_rate=rate)
    start = (float(_size(outputs)) * _TEMPERATURES[best[1]], _RATE_GRID[best[2]])
    fit = fit_flips(outputs, noisy, start=start)
    notes = fit.notes
    if best[0] in (0, len(grid) - 1):
        notes += (f"the best step, {steps}, is at the end of those tried: {grid[0]} to {grid[-1]}",)
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


class FlipFit(eqx.Module):
    """Temperature and noise rate of maximum likelihood for given predictions.

    Attributes: as of ``NoiseEstimate``.
    """

    temperature: float
    noise_rate: float
    noise_rate_std_error: float
    log_likelihood: float
    notes: tuple[str, ...] = eqx.field(static=True)


def fit_flips(
    outputs: Targets, noisy: Targets, *, start: tuple[float, float] | None = None
) -> FlipFit:
    """Fit temperature and noise rate to predictions that did not see the labels they predict.

    Args:
        outputs: left-out predictions, (n_train, n_out).
        noisy: ỹ in the target coding, (n_train, n_out).
        start: temperature and rate to start from; ``None`` tries a grid.
    """
    outputs, noisy = jnp.asarray(outputs), jnp.asarray(noisy)
    size = float(_size(outputs))
    if start is None:
        table = np.asarray(_likelihood_table(outputs, noisy))
        row, column = np.unravel_index(int(np.argmax(table)), table.shape)
        start = (size * _TEMPERATURES[row], _RATE_GRID[column])
    largest = _largest_rate(noisy.shape[1])
    first = np.array([math.log(start[0]), start[1] * largest])
    bounds = [(math.log(size) - 7, math.log(size) + 4), (0.0, largest * 0.999)]

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _loss_and_gradient(jnp.asarray(point, outputs.dtype), outputs, noisy)
        return float(value), np.asarray(gradient, float)

    found = scipy.optimize.minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds)
    information = noisy.shape[0] * np.asarray(
        _curvature(jnp.asarray(found.x, outputs.dtype), outputs, noisy), float
    )
    variance = _rate_variance(information)
    notes = ()
    if not np.isfinite(variance):
        notes += ("the likelihood does not bound the noise rate",)
    return FlipFit(
        temperature=float(np.exp(found.x[0])),
        noise_rate=float(found.x[1]),
        noise_rate_std_error=math.sqrt(variance),
        log_likelihood=-float(found.fun),
        notes=notes,
    )


def class_shares(labels: Targets) -> Float[Array, " n_classes"]:
    """The share of each class in the hard labels of these outputs; binary: −1 first, then +1."""
    hard = Hard()(labels)
    if hard.shape[1] == 1:
        positive = jnp.mean(hard, axis=0) / 2 + 0.5
        return jnp.concatenate([1 - positive, positive])
    return jnp.mean(hard, axis=0) + 1.0 / hard.shape[1]


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


def _largest_rate(n_out: int) -> float:
    """(C − 1)/C, at which labels carry no signal."""
    return 0.5 if n_out == 1 else (n_out - 1) / n_out


def _size(outputs: Float[AnyArray, "n_train n_out"]) -> Float[Array, ""]:
    """Root mean square of the outputs, the unit of temperatures."""
    return jnp.sqrt(jnp.mean(jnp.asarray(outputs) ** 2)) + jnp.finfo(outputs.dtype).tiny


@jax.jit
def _leave_one_out(
    eigenvalues: Float[Array, " n_mode"],
    eigenvectors: Float[Array, "n_train n_mode"],
    noisy: Float[Array, "n_train n_out"],
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


@jax.jit
def _likelihood_table(
    outputs: Float[Array, "n_train n_out"], noisy: Float[Array, "n_train n_out"]
) -> Float[Array, "n_temperature n_rate"]:
    """Mean log-likelihood over a grid of temperatures and noise rates."""
    n_out, dtype = noisy.shape[1], noisy.dtype
    temperatures = _size(outputs) * jnp.asarray(_TEMPERATURES, dtype)
    rates = _largest_rate(n_out) * jnp.asarray(_RATE_GRID, dtype)

    def at(temperature):
        own = _own_probability(outputs, noisy, temperature)
        return jnp.mean(jnp.log(_flipped(own[:, None], rates[None, :], n_out)), axis=0)

    return jax.lax.map(at, temperatures)


def _own_probability(
    outputs: Float[Array, "n_train n_out"],
    noisy: Float[Array, "n_train n_out"],
    temperature: Float[Array, ""],
) -> Float[Array, " n_train"]:
    """π_i,ỹ_i: what the prediction gives the noisy label before any flip."""
    if noisy.shape[1] == 1:
        return jax.nn.sigmoid(noisy[:, 0] * outputs[:, 0] / temperature)
    probabilities = jax.nn.softmax(outputs / temperature, axis=1)
    return jnp.take_along_axis(probabilities, jnp.argmax(noisy, axis=1)[:, None], axis=1)[:, 0]


def _flipped(
    own: Float[Array, "..."], rate: Float[Array, "..."], n_out: int
) -> Float[Array, "..."]:
    """(1 − q)π + q/(C − 1)·(1 − π), kept off 0."""
    others = max(n_out - 1, 1)
    mixed = (1 - rate) * own + rate / others * (1 - own)
    return jnp.maximum(mixed, jnp.finfo(own.dtype).tiny)


def _loss(
    point: Float[Array, "2"],
    outputs: Float[Array, "n_train n_out"],
    noisy: Float[Array, "n_train n_out"],
) -> Float[Array, ""]:
    own = _own_probability(outputs, noisy, jnp.exp(point[0]))
    return -jnp.mean(jnp.log(_flipped(own, point[1], noisy.shape[1])))


_loss_and_gradient = jax.jit(jax.value_and_grad(_loss))
_curvature = jax.jit(jax.hessian(_loss))


def _rate_variance(information: np.ndarray) -> float:
    """The variance of q, the temperature estimated along; infinite where q is not determined."""
    determinant = information[0, 0] * information[1, 1] - information[0, 1] ** 2
    if not (determinant > 0 and information[0, 0] > 0):
        return math.inf
    return float(information[0, 0] / determinant)
