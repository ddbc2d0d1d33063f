"""The likelihood of noisy labels under predictions that did not see them.

The clean label of row i has probabilities π_i = softmax(f_i/T), binary σ(±f_i/T), and flips to any
other class alike at rate q (theory.md section 3): P(ỹ_i = b) = (1 − q)π_ib + q/(C − 1)·(1 − π_ib).
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from ntk_air._base.typing import AnyArray, Targets
from ntk_air.dynamics.supervision import Hard

# In units of the outputs' own size; the best is refined from here.
_TEMPERATURES = np.geomspace(0.02, 4.0, 20)
_RATE_GRID = np.concatenate([[1e-4, 0.01, 0.03], np.linspace(0.06, 0.99, 24)])


class FlipFit(eqx.Module):
    """Temperature and noise rate that fit given predictions best.

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

    Predictions that are all equally sure fit any temperature with some rate: the prior 1/T, one
    nat for a factor e, then decides for the sure prediction of a noisy label.

    Args:
        outputs: left-out predictions, (n_train, n_out).
        noisy: ỹ in the target coding, (n_train, n_out).
        start: temperature and noise rate to start from; ``None`` tries a grid.
    """
    outputs, noisy = jnp.asarray(outputs), jnp.asarray(noisy)
    size, largest = float(_size(outputs)), _largest_rate(noisy.shape[1])
    temperature, rate = best_on_grid(outputs, noisy) if start is None else start
    first = np.array([math.log(temperature), rate])
    ends = (math.log(size * end) for end in (_TEMPERATURES[0], _TEMPERATURES[-1]))
    bounds = [tuple(ends), (0.0, largest * 0.999)]

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _loss_and_gradient(jnp.asarray(point, outputs.dtype), outputs, noisy)
        return float(value), np.asarray(gradient, float)

    found = scipy.optimize.minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds)
    information = noisy.shape[0] * np.asarray(
        _curvature(jnp.asarray(found.x, outputs.dtype), outputs, noisy), float
    )
    variance = _rate_variance(information, temperature_known=bool(found.x[0] <= bounds[0][0]))
    notes = ()
    if not np.isfinite(variance):
        notes += ("the likelihood does not bound the noise rate",)
    return FlipFit(
        temperature=float(np.exp(found.x[0])),
        noise_rate=float(found.x[1]),
        noise_rate_std_error=math.sqrt(variance),
        log_likelihood=float(found.x[0]) / noisy.shape[0] - float(found.fun),
        notes=notes,
    )


def class_shares(labels: Targets) -> Float[Array, " n_classes"]:
    """The share of each class in the hard labels of these outputs; binary: −1 first, then +1."""
    hard = Hard()(labels)
    if hard.shape[1] == 1:
        positive = jnp.mean(hard, axis=0) / 2 + 0.5
        return jnp.concatenate([1 - positive, positive])
    return jnp.mean(hard, axis=0) + 1.0 / hard.shape[1]


def best_on_grid(outputs: Targets, noisy: Targets) -> tuple[float, float]:
    """Temperature and noise rate of the largest posterior on the grid."""
    table = np.asarray(_likelihood_table(outputs, noisy))
    table = table - np.log(_TEMPERATURES)[:, None] / noisy.shape[0]
    row, column = np.unravel_index(int(np.argmax(table)), table.shape)
    rate = _largest_rate(noisy.shape[1]) * float(_RATE_GRID[column])
    return float(_size(outputs)) * float(_TEMPERATURES[row]), rate


@jax.jit
def row_log_likelihoods(
    outputs: Float[Array, "n_train n_out"],
    noisy: Float[Array, "n_train n_out"],
    temperature: Float[Array, ""] | float,
    rate: Float[Array, ""] | float,
) -> Float[Array, " n_train"]:
    """ln P(ỹ_i) of each row, in nats."""
    own = _own_probability(outputs, noisy, jnp.asarray(temperature, outputs.dtype))
    return jnp.log(_flipped(own, jnp.asarray(rate, outputs.dtype), noisy.shape[1]))


def _largest_rate(n_out: int) -> float:
    """(C − 1)/C, at which labels carry no signal."""
    return 0.5 if n_out == 1 else (n_out - 1) / n_out


def _size(outputs: Float[AnyArray, "n_train n_out"]) -> Float[Array, ""]:
    """Root mean square of the outputs, the unit of temperatures; 1 where all outputs are 0."""
    size = jnp.sqrt(jnp.mean(jnp.asarray(outputs) ** 2))
    return jnp.where(size > 0, size, 1)


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
    likelihoods = row_log_likelihoods(outputs, noisy, jnp.exp(point[0]), point[1])
    return point[0] / noisy.shape[0] - jnp.mean(likelihoods)


_loss_and_gradient = jax.jit(jax.value_and_grad(_loss))
_curvature = jax.jit(jax.hessian(_loss))


def _rate_variance(information: np.ndarray, *, temperature_known: bool) -> float:
    """The variance of q, the temperature estimated along; infinite where q is not determined.

    At the smallest temperature labels are hard and no longer change with it.
    """
    if temperature_known:
        information = np.diag([1.0, information[1, 1]])
    determinant = information[0, 0] * information[1, 1] - information[0, 1] ** 2
    if not (determinant > 0 and information[0, 0] > 0):
        return math.inf
    return float(information[0, 0] / determinant)
