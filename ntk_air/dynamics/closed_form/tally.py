"""Metrics of predictions as sums over rows, so that rows can be taken a few at a time."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ntk_air._base.typing import AnyArray
from ntk_air.dynamics.run import metrics


class Tally(eqx.Module):
    """Metrics of predictions at several steps, summed over rows: each (n_step,).

    Attributes:
        wrong: rows that are not right.
        margin_min: smallest margin.
        margin_sum: sum of margins.
        memorised: flipped rows whose prediction is the noisy label.
        square: ‖f − y‖².
    """

    wrong: Float[Array, "..."]
    margin_min: Float[Array, "..."]
    margin_sum: Float[Array, "..."]
    memorised: Float[Array, "..."]
    square: Float[Array, "..."]

    def joined(self, other: "Tally") -> "Tally":
        """The tally of the rows of both."""
        return Tally(
            wrong=self.wrong + other.wrong,
            margin_min=jnp.minimum(self.margin_min, other.margin_min),
            margin_sum=self.margin_sum + other.margin_sum,
            memorised=self.memorised + other.memorised,
            square=self.square + other.square,
        )


def no_rows(n_step: int, dtype: jnp.dtype) -> Tally:
    """The tally to begin with."""
    zero = jnp.zeros(n_step, dtype)
    return Tally(
        wrong=zero, margin_min=zero + jnp.inf, margin_sum=zero, memorised=zero, square=zero
    )


def tally(
    predictions: Float[Array, "n_step rows n_out"],
    clean: Float[AnyArray, "rows n_out"],
    noisy: Float[AnyArray, "rows n_out"],
    counted: Bool[Array, " rows"] | None = None,
) -> Tally:
    """Tally predictions against clean and noisy labels, over the rows that count."""
    margins = jax.vmap(metrics.label_margins, in_axes=(0, None))(predictions, clean)
    to_noisy = jax.vmap(metrics.label_margins, in_axes=(0, None))(predictions, noisy)
    memorised = metrics.flipped_rows(clean, noisy) & (to_noisy > 0)
    squares = jnp.sum((predictions - clean) ** 2, axis=2)
    counts = jnp.ones(len(clean), bool) if counted is None else counted

    def total(values: Array) -> Float[Array, " n_step"]:
        return jnp.sum(
            jnp.where(counts, values, jnp.zeros_like(values)), axis=1, dtype=predictions.dtype
        )

    return Tally(
        wrong=total(~(margins > 0)),
        margin_min=jnp.min(jnp.where(counts, margins, jnp.inf), axis=1),
        margin_sum=total(margins),
        memorised=total(memorised),
        square=total(squares),
    )
