"""What is watched along a trajectory: functions of predictions and labels, at one time.

Labels follow theory.md section 0: ±1 in one column (binary), or centred one-hot rows. A row is
right only where its margin is above 0: a tie, or a binary prediction of exactly 0, is no opinion
and counts as an error, as h(0) = 0 does in supervision.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ntk_air._base.typing import AnyArray

Outputs = Float[AnyArray, "n n_out"]
Scalar = Float[Array, ""]


def label_margins(predictions: Outputs, labels: Outputs) -> Float[Array, " n"]:
    """Margin of each row: y·f (binary), f_true − max_{c ≠ true} f_c (classes).

    Args:
        predictions: f, (n, n_out).
        labels: y, (n, n_out); the true class of a row is its largest label.

    Returns:
        Margins, (n,), in the labels' unit; a row is right where its margin is above 0.
    """
    if labels.shape[1] == 1:
        return jnp.asarray(labels * predictions)[:, 0]
    true_class = jnp.argmax(labels, axis=1, keepdims=True)
    is_true = jnp.arange(labels.shape[1])[None, :] == true_class
    best_other = jnp.max(jnp.where(is_true, -jnp.inf, predictions), axis=1)
    return jnp.sum(jnp.where(is_true, predictions, 0.0), axis=1) - best_other


def zero_one_error(predictions: Outputs, labels: Outputs) -> Scalar:
    """Share of rows that are not right: sign (binary) or argmax, ties counted as errors."""
    margins = label_margins(predictions, labels)
    return jnp.mean(~(margins > 0), dtype=margins.dtype)


def rms_distance(predictions: Outputs, targets: Outputs) -> Scalar:
    """d = ‖f − y‖_F / √n, the RMS distance per row (theory.md section 0)."""
    return residual_norm(predictions, targets) / predictions.shape[0] ** 0.5


def residual_norm(predictions: Outputs, targets: Outputs) -> Scalar:
    """‖f − target‖_F."""
    return jnp.sqrt(_square(jnp.asarray(predictions) - targets))


def training_loss(predictions: Outputs, noisy: Outputs) -> Scalar:
    """½‖f − ỹ‖²_F, a sum over rows and outputs (theory.md section 0)."""
    return 0.5 * _square(jnp.asarray(predictions) - noisy)


def flipped_rows(clean: Outputs, noisy: Outputs) -> Bool[Array, " n"]:
    """The rows whose noisy label names another class (another sign) than the clean one."""
    return label_margins(noisy, clean) <= 0


def memorised_share(predictions: Outputs, clean: Outputs, noisy: Outputs) -> Scalar:
    """Share of the flipped rows whose prediction is the noisy label; 0 where none is flipped."""
    flipped = flipped_rows(clean, noisy)
    memorised = flipped & (label_margins(predictions, noisy) > 0)
    count = jnp.sum(flipped, dtype=predictions.dtype)
    return jnp.sum(memorised, dtype=predictions.dtype) / jnp.maximum(count, 1.0)


def noise_share(predictions: Outputs, clean: Outputs, noisy: Outputs) -> Scalar:
    """⟨f − y, ξ⟩ / ‖ξ‖², ξ = ỹ − y: 0 at the clean labels, 1 at the noisy; 0 where ξ = 0."""
    noise = jnp.asarray(noisy) - clean
    square = _square(noise)
    aligned = jnp.sum((jnp.asarray(predictions) - clean) * noise)
    return jnp.where(square > 0, aligned / jnp.where(square > 0, square, 1.0), 0.0)


def parameter_distance(displacement: Outputs, dual: Outputs) -> Scalar:
    """‖θ_t − θ_0‖ = √tr(cᵀΘc), linearised (theory.md section 0).

    Args:
        displacement: f_t − f_0 = Θc_t on the training inputs, (n, n_out).
        dual: c_t, (n, n_out).
    """
    return jnp.sqrt(jnp.maximum(jnp.sum(jnp.asarray(displacement) * dual), 0.0))


class TrainMetrics(eqx.Module):
    """Metrics on the training inputs, at one time (scalars) or along times (n_time,).

    Attributes:
        rms_distance: d = ‖f − y‖_F / √n to the clean labels.
        zero_one_error: share of rows that are wrong against the clean labels.
        margin_min: smallest margin against the clean labels.
        margin_mean: mean margin against the clean labels.
        memorised_share: share of the flipped rows predicted as their noisy label.
        noise_share: ⟨f − y, ξ⟩ / ‖ξ‖².
        training_loss: ½‖f − ỹ‖²_F.
        residual_norm: ‖f − ỹ‖_F.
        parameter_distance: ‖θ_t − θ_0‖, linearised: √tr(cᵀΘc).
    """

    rms_distance: Float[AnyArray, "..."]
    zero_one_error: Float[AnyArray, "..."]
    margin_min: Float[AnyArray, "..."]
    margin_mean: Float[AnyArray, "..."]
    memorised_share: Float[AnyArray, "..."]
    noise_share: Float[AnyArray, "..."]
    training_loss: Float[AnyArray, "..."]
    residual_norm: Float[AnyArray, "..."]
    parameter_distance: Float[AnyArray, "..."]


class HeldOutMetrics(eqx.Module):
    """Metrics on held-out inputs against their clean labels, at one time or along times.

    Attributes:
        accuracy: share of rows that are right.
        rms_distance: ‖f − y‖_F / √n_test.
    """

    accuracy: Float[AnyArray, "..."]
    rms_distance: Float[AnyArray, "..."]


def train_metrics(
    predictions: Outputs, clean: Outputs, noisy: Outputs, *, parameter_distance: Scalar
) -> TrainMetrics:
    """All training metrics at one time.

    Args:
        predictions: f_t, (n, n_out).
        clean: y, (n, n_out).
        noisy: ỹ, (n, n_out).
        parameter_distance: ‖θ_t − θ_0‖, from ``parameter_distance`` or a network's parameters.
    """
    margins = label_margins(predictions, clean)
    residual = residual_norm(predictions, noisy)
    return TrainMetrics(
        rms_distance=rms_distance(predictions, clean),
        zero_one_error=jnp.mean(~(margins > 0), dtype=margins.dtype),
        margin_min=jnp.min(margins),
        margin_mean=jnp.mean(margins),
        memorised_share=memorised_share(predictions, clean, noisy),
        noise_share=noise_share(predictions, clean, noisy),
        training_loss=0.5 * residual**2,
        residual_norm=residual,
        parameter_distance=parameter_distance,
    )


def held_out_metrics(predictions: Outputs, clean: Outputs) -> HeldOutMetrics:
    """Both held-out metrics at one time, for predictions and labels of shape (n_test, n_out)."""
    return HeldOutMetrics(
        accuracy=1.0 - zero_one_error(predictions, clean),
        rms_distance=rms_distance(predictions, clean),
    )


def _square(array: Outputs) -> Scalar:
    return jnp.sum(jnp.asarray(array) ** 2)
