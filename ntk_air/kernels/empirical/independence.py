"""A network must treat each example alone: tangent kernels are between pairs of examples."""

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.typing import AnyArray, Parameters
from ntk_air.kernels.empirical.network import Network

N_SEEN_TOGETHER = 2
"""Examples that are seen in one batch and one by one: no more than the smallest tile holds."""

_N_COMPARED = 8
"""Rows of a larger batch that are seen one by one."""

N_SEARCHED = 1000
"""Rows to look for that many different examples in."""


def check_examples_are_independent(network: Network, rows: Iterable[np.ndarray]) -> None:
    """Require outputs and gradients of a batch to be those of its examples one by one.

    Both are compared: a last layer of zeros hides from the outputs what examples do to each
    other, but not from the gradient.

    Args:
        network: the network.
        rows: examples; the first that differ are taken.

    Raises:
        ValueError: they differ by more than √ε of their size; the message says by how much.
    """
    batch = _distinct(rows)
    comparison = jax.device_get(_compare(network, batch, _seen_alone(network, batch)))
    for what, difference, scale in (
        ("outputs", comparison.outputs_difference, comparison.outputs_scale),
        ("gradients", comparison.gradients_difference, comparison.gradients_scale),
    ):
        _require_alike(what, float(difference), float(scale), batch)


def check_batch(
    network: Network, batch: Float[np.ndarray, "n *features"], *, forward: bool
) -> None:
    """The same of a batch as large as the kernel's: what acts from three examples on shows in none
    of two.

    A few of its rows are compared with themselves alone, and all with themselves in other places
    of the batch, beside other rows. In place of gradients there is the derivative in one direction
    of the parameters, which a last layer of zeros does not hide either. Not seen is what differs
    by less than √ε, and what only certain examples do to some rows wherever these are, unless they
    are among the few.

    Args:
        network: the network.
        batch: the examples of a tile.
        forward: whether the network has a derivative in forward mode; without one the outputs
            alone are compared.

    Raises:
        ValueError: they differ by more than √ε of their size; the message says by how much.
    """
    if len(batch) <= N_SEEN_TOGETHER:
        return
    some = np.unique(np.linspace(0, len(batch) - 1, _N_COMPARED).round().astype(int))
    moved = np.concatenate([np.arange(1, len(batch), 2), np.arange(0, len(batch), 2)])
    together = jax.device_get(_pushed(network, batch, forward=forward))
    elsewhere = jax.device_get(_pushed(network, batch[moved], forward=forward))
    alone = jax.device_get(_pushed_alone(network, batch[some], forward=forward))
    sizes = [float(np.max(np.abs(part))) for part in together]
    if forward:
        # Where outputs cancel, their rounding is that of their terms, about the derivative's.
        sizes[0] += sizes[1] * float(_largest(network.trainable))
    for what, one, single, other, size in zip(
        ("outputs", "derivatives"), together, alone, elsewhere, sizes, strict=False
    ):
        _require_alike(what, float(np.max(np.abs(one[some] - single))), size, batch)
        _require_alike(what, float(np.max(np.abs(one[moved] - other))), size, batch)


def check_one_derivative(network: Network, batch: Float[np.ndarray, "n *features"]) -> None:
    """Require ⟨w, J·t⟩ = ⟨Jᵀw, t⟩: one derivative, forward and in reverse.

    An index beyond its table is clamped on the way forward and dropped on the way back.

    Raises:
        ValueError: they differ beyond rounding.
    """
    difference, scale = jax.device_get(_both_ways(network, batch))
    # Parts of a network may compute in float32 while its inputs are float64.
    tolerance = max(float(np.finfo(scale.dtype).eps) ** (2 / 3), 2.0**-26)
    if np.isfinite(scale) and not difference <= tolerance * scale:
        raise ValueError(
            "apply_fn must have one derivative, forward and reverse; got products with it that "
            f"differ by {difference:.3g} beside terms of {scale:.3g}, so that methods would "
            "disagree: an index out of the range of its array, such as a token beyond the "
            "embedding, is clamped forward and dropped in reverse"
        )


def _require_alike(what: str, difference: float, scale: float, batch: np.ndarray) -> None:
    dtype = jax.dtypes.canonicalize_dtype(batch.dtype)
    tolerance = float(jnp.finfo(dtype).eps) ** 0.5
    # A network that is not finite for one example alone is refused where the kernel is.
    if np.isfinite(scale) and not difference <= tolerance * scale:
        raise ValueError(
            "apply_fn must treat each example alone, for a kernel is between two of them; "
            f"got {what} for a batch of {len(batch)} that differ by {difference:.3g} from "
            f"those one by one, beside values up to {scale:.3g}: put the model in evaluation "
            "mode (BatchNorm by its running averages, no dropout) and let nothing, such as "
            "attention, act across the batch"
        )


def _distinct(rows: Iterable[np.ndarray]) -> np.ndarray:
    """A batch of up to ``N_SEEN_TOGETHER`` different examples; a lone one gets a companion."""
    batch: list[np.ndarray] = []
    for row in itertools.islice(rows, N_SEARCHED):
        if not any(np.array_equal(row, other) for other in batch):
            batch.append(row)
        if len(batch) == N_SEEN_TOGETHER:
            break
    if len(batch) == 1:
        batch.append(np.zeros_like(batch[0]) if batch[0].any() else np.ones_like(batch[0]))
    return np.stack(batch)


class _Comparison(eqx.Module):
    """Largest differences between a batch and its examples alone, and the scales beside them."""

    outputs_difference: Float[Array, ""]
    outputs_scale: Float[Array, ""]
    gradients_difference: Float[Array, ""]
    gradients_scale: Float[Array, ""]


class _Seen(NamedTuple):
    """Outputs, and the gradient of a sum of them with weights of no symmetry."""

    outputs: Float[Array, "n n_out"]
    gradient: Parameters


def _weights(like: AnyArray) -> Array:
    """Numbers of no symmetry, of the given shape."""
    return jnp.cos(1.0 + jnp.arange(like.size, dtype=like.dtype)).reshape(like.shape)


def _seen(outputs: Callable[[Parameters], Array], trainable: Parameters) -> _Seen:
    # The rounding of an accelerator's fast products depends on the size of the batch.
    with jax.default_matmul_precision("highest"):
        values, pull_back = jax.vjp(outputs, trainable)
        (gradient,) = pull_back(_weights(values))
    return _Seen(values, gradient)


@jax.jit
def _seen_alone(network: Network, batch: Float[AnyArray, "n *features"]) -> _Seen:
    def outputs(trainable: Parameters) -> Array:
        return jax.vmap(lambda example: network.one(trainable, example))(batch)

    return _seen(outputs, network.trainable)


# A program of its own, so that the activations of both are not held at once.
@jax.jit
def _compare(network: Network, batch: Float[AnyArray, "n *features"], alone: _Seen) -> _Comparison:
    together = _seen(lambda trainable: network.batch(trainable, batch), network.trainable)
    gradients = [jax.tree.leaves(seen.gradient) for seen in (together, alone)]
    differences = [
        jnp.max(jnp.abs(one - other), initial=0.0) for one, other in zip(*gradients, strict=True)
    ]
    sizes = [jnp.max(jnp.abs(leaf), initial=0.0) for leaf in gradients[1]]
    # Where outputs cancel, as those of a network less its own start, their rounding is that of
    # their terms, about g·θ.
    terms = jax.tree.map(
        lambda g, theta: jnp.sum((g * theta) ** 2), alone.gradient, network.trainable
    )
    terms_size = jnp.sqrt(sum(jax.tree.leaves(terms)))
    return _Comparison(
        outputs_difference=jnp.max(jnp.abs(together.outputs - alone.outputs)),
        outputs_scale=jnp.max(jnp.abs(alone.outputs)) + terms_size,
        gradients_difference=jnp.max(jnp.stack(differences)),
        gradients_scale=jnp.max(jnp.stack(sizes)),
    )


@functools.partial(jax.jit, static_argnames="forward")
def _pushed(
    network: Network, batch: Float[AnyArray, "n *features"], *, forward: bool
) -> tuple[Float[Array, "n n_out"], ...]:
    """Outputs of a batch, and their derivative in one direction where there is one forward."""
    at = network.trainable
    with jax.default_matmul_precision("highest"):
        if not forward:
            return (network.batch(at, batch),)
        direction = jax.tree.map(_weights, at)
        return jax.jvp(lambda trainable: network.batch(trainable, batch), (at,), (direction,))


@functools.partial(jax.jit, static_argnames="forward")
def _pushed_alone(
    network: Network, batch: Float[AnyArray, "n *features"], *, forward: bool
) -> tuple[Float[Array, "n n_out"], ...]:
    def one(example: Array) -> tuple[Array, ...]:
        return tuple(part[0] for part in _pushed(network, example[None], forward=forward))

    return jax.vmap(one)(jnp.asarray(batch))


@jax.jit
def _largest(trainable: Any) -> Float[Array, ""]:
    """The largest of all parameters' sizes."""
    sizes = [jnp.max(jnp.abs(leaf), initial=0.0) for leaf in jax.tree.leaves(trainable)]
    return functools.reduce(jnp.maximum, sizes)


@jax.jit
def _both_ways(
    network: Network, batch: Float[AnyArray, "n *features"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """|⟨w, J·t⟩ − ⟨Jᵀw, t⟩|, and the sum of the terms' sizes."""
    _, pushed = _pushed(network, batch, forward=True)
    seen = _seen(lambda trainable: network.batch(trainable, batch), network.trainable)
    forward = pushed * _weights(pushed)
    reverse = [gradient * _weights(gradient) for gradient in jax.tree.leaves(seen.gradient)]
    difference, size = jnp.sum(forward), jnp.sum(jnp.abs(forward))
    for terms in reverse:
        difference, size = difference - jnp.sum(terms), size + jnp.sum(jnp.abs(terms))
    return jnp.abs(difference), size
