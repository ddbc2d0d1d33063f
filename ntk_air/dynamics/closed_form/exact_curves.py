"""Metric curves of exact trajectories, without keeping predictions at all times.

Norms come from the mode coefficients. Margins and errors need predictions: they are made for a
few times at once and dropped before the next; or, where a skeleton of times saves products, for a
few rows at once at all times.
"""

import functools
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_air.dynamics.closed_form.chunks import chunk_length, in_chunks
from ntk_air.dynamics.closed_form.eigenframe import Basis, EigenFrame
from ntk_air.dynamics.closed_form.skeleton import Skeleton, find_skeleton, unit_duals
from ntk_air.dynamics.closed_form.tally import Tally, no_rows, tally
from ntk_air.dynamics.filters.spectral import ModeLabels, ModeStates, SpectralRule
from ntk_air.dynamics.run import metrics
from ntk_air.dynamics.run.metrics import HeldOutMetrics, TrainMetrics

# With fewer multiplications, finding a skeleton takes as long as it saves.
_LEAST_WORK = 2e9

# Predictions that a processor's cache holds while their metrics are taken.
_CACHED = 2**18

Curves: TypeAlias = tuple[TrainMetrics, HeldOutMetrics | None]


class Skeletons(eqx.Module):
    """Times that stand for all times, for predictions on training and on held-out inputs."""

    train: Skeleton
    held_out: Skeleton | None


class _Norms(eqx.Module):
    """Squares and one product, each (n_step,)."""

    from_clean: Float[Array, "..."]
    from_noisy: Float[Array, "..."]
    noise_aligned: Float[Array, "..."]
    moved: Float[Array, "..."]


def metric_curves(
    rule: SpectralRule,
    frame: EigenFrame,
    basis: Basis,
    times: Float[Array, " n_time"],
    *,
    chunk_elements: int,
) -> Curves:
    """Metrics at all times, with about ``chunk_elements`` predictions held at once."""
    n_train, n_out = frame.clean.shape
    chunks = in_chunks(times, chunk_length(len(times), chunk_elements // (n_train * n_out)))
    work = n_train * n_out * len(frame.eigenvalues) * len(times)
    skeletons = None
    if work >= _LEAST_WORK:
        skeletons = find_skeletons(rule, frame, basis, chunks, n_time=len(times))
    if skeletons is None:
        curves = direct_curves(rule, frame, basis, chunks)
        return jax.tree.map(lambda curve: curve[: len(times)], curves)
    rows = chunk_length(n_train, min(chunk_elements, _CACHED) // (len(times) * n_out))
    return skeleton_curves(rule, frame, basis, chunks, skeletons=skeletons, rows=rows)


def find_skeletons(
    rule: SpectralRule,
    frame: EigenFrame,
    basis: Basis,
    chunks: Float[Array, "n_chunk n_step"],
    *,
    n_time: int,
) -> Skeletons | None:
    """Skeletons where they save products for all predictions that are asked for."""
    find = functools.partial(find_skeleton, rule, frame.eigenvalues, chunks=chunks, n_time=n_time)
    train = find(basis.values)
    if train is None or basis.held_out is None:
        return None if train is None else Skeletons(train=train, held_out=None)
    held_out = find(jnp.linalg.norm(basis.held_out, axis=0))
    return None if held_out is None else Skeletons(train=train, held_out=held_out)


@jax.jit
def direct_curves(
    rule: SpectralRule, frame: EigenFrame, basis: Basis, chunks: Float[Array, "n_chunk n_step"]
) -> Curves:
    """Metrics at all times; predictions are made and dropped chunk by chunk of times."""
    with jax.default_matmul_precision("highest"):

        def one_chunk(carry, steps):
            carry, states = rule.advance(carry, frame.eigenvalues, basis.labels, steps)
            train, held = predictions_of(frame, basis, states)
            train_tally = tally(train, frame.clean, frame.noisy)
            held_tally = None
            if held is not None and frame.held_out is not None:
                held_tally = tally(held, frame.held_out.targets, frame.held_out.targets)
            return carry, (_norms(basis, states), train_tally, held_tally)

        _, parts = jax.lax.scan(one_chunk, rule.begin(frame.eigenvalues), chunks)
        return _curves(frame, *jax.tree.map(lambda part: part.reshape(-1), parts))


def predictions_of(
    frame: EigenFrame, basis: Basis, states: ModeStates
) -> tuple[Float[Array, "n_step n_train n_out"], Float[Array, "n_step n_test n_out"] | None]:
    """f_0 + V·λ·Vᵀc_t on the training inputs, f_0 + Θ(x, X)·V·Vᵀc_t on held-out ones."""
    displacement = basis.values[None, :, None] * states.dual
    train = frame.initial + jnp.einsum("nm,smc->snc", frame.eigenvectors, displacement)
    if basis.held_out is None or frame.held_out is None:
        return train, None
    moved = jnp.einsum("nm,smc->snc", basis.held_out, states.dual)
    return train, jnp.asarray(frame.held_out.initial) + moved


@functools.partial(jax.jit, static_argnames=("rows",))
def skeleton_curves(
    rule: SpectralRule,
    frame: EigenFrame,
    basis: Basis,
    chunks: Float[Array, "n_chunk n_step"],
    *,
    skeletons: Skeletons,
    rows: int,
) -> Curves:
    """Metrics at all times; predictions are made at all times for ``rows`` rows at once."""
    with jax.default_matmul_precision("highest"):

        def one_chunk(carry, steps):
            carry, states = rule.advance(carry, frame.eigenvalues, basis.labels, steps)
            return carry, _norms(basis, states)

        _, norms = jax.lax.scan(one_chunk, rule.begin(frame.eigenvalues), chunks)
        norms = jax.tree.map(lambda part: part.reshape(-1)[: skeletons.train.n_time], norms)
        train = _tallied_by_rows(
            frame.eigenvectors,
            _picked_duals(rule, frame, basis, skeletons.train, weights=basis.values),
            skeletons.train,
            (frame.initial, frame.clean, frame.noisy),
            rows=rows,
        )
        held, data = None, frame.held_out
        if data is not None and basis.held_out is not None and skeletons.held_out is not None:
            held = _tallied_by_rows(
                basis.held_out,
                _picked_duals(rule, frame, basis, skeletons.held_out),
                skeletons.held_out,
                (jnp.asarray(data.initial), jnp.asarray(data.targets), jnp.asarray(data.targets)),
                rows=rows,
            )
        return _curves(frame, norms, train, held)


def _picked_duals(
    rule: SpectralRule,
    frame: EigenFrame,
    basis: Basis,
    skeleton: Skeleton,
    *,
    weights: Float[Array, " n_mode"] | None = None,
) -> list[Float[Array, "_ n_out _"]]:
    """Modes of c, weighted, at each block's picked times."""
    units = unit_duals(rule, frame.eigenvalues, skeleton.steps)
    if weights is not None:
        units = weights[None, :, None] * units
    labels: ModeLabels = basis.labels
    given = jnp.stack([jnp.asarray(part) for part in (labels.initial, labels.clean, labels.noisy)])
    return [
        jnp.einsum("rmk,kmc->rcm", units[picked, block], given[:, block])
        for picked, block in zip(skeleton.picked, skeleton.blocks, strict=True)
    ]


def _tallied_by_rows(
    matrix: Float[Array, "n_row n_mode"],
    duals: list[Float[Array, "_ n_out _"]],
    skeleton: Skeleton,
    labels: tuple[Float[Array, "n_row n_out"], ...],
    *,
    rows: int,
) -> Tally:
    """The tally at all times of initial + matrix · modes, against clean and noisy labels."""
    n_row = len(matrix)
    rows = min(rows, n_row)
    combination = jnp.concatenate(skeleton.combination, axis=1)

    def one_chunk(so_far, first):
        # The last chunk begins early where rows run out; what was counted before is left out.
        start = jnp.minimum(first, n_row - rows)
        counted = start + jnp.arange(rows) >= first
        part, initial, clean, noisy = (
            jax.lax.dynamic_slice_in_dim(array, start, rows) for array in (matrix, *labels)
        )
        picked = [
            jnp.einsum("rcm,nm->rcn", dual, part[:, block])
            for dual, block in zip(duals, skeleton.blocks, strict=True)
        ]
        # Rows last: one class's outputs of many rows lie side by side.
        moved = jnp.einsum("tr,rcn->tcn", combination, jnp.concatenate(picked))
        more = tally(initial + jnp.swapaxes(moved, 1, 2), clean, noisy, counted)
        return so_far.joined(more), None

    nothing = no_rows(skeleton.n_time, combination.dtype)
    return jax.lax.scan(one_chunk, nothing, jnp.arange(0, n_row, rows))[0]


def _norms(basis: Basis, states: ModeStates) -> _Norms:
    noise = jnp.asarray(basis.labels.noisy) - basis.labels.clean
    outside = basis.outside
    return _Norms(
        from_clean=jnp.sum(states.from_clean**2, axis=(1, 2)) + outside.from_clean,
        from_noisy=jnp.sum(states.from_noisy**2, axis=(1, 2)) + outside.from_noisy,
        noise_aligned=jnp.sum(states.from_clean * noise, axis=(1, 2)) + outside.noise_aligned,
        moved=jnp.sum(basis.values[None, :, None] * states.dual**2, axis=(1, 2)),
    )


def _curves(frame: EigenFrame, norms: _Norms, train: Tally, held_out: Tally | None) -> Curves:
    n_train = frame.clean.shape[0]
    noise_square = jnp.sum((frame.noisy - frame.clean) ** 2)
    divisor = jnp.where(noise_square > 0, noise_square, 1)
    flipped = jnp.sum(metrics.flipped_rows(frame.clean, frame.noisy), dtype=divisor.dtype)
    train_metrics = TrainMetrics(
        rms_distance=jnp.sqrt(norms.from_clean / n_train),
        zero_one_error=train.wrong / n_train,
        margin_min=train.margin_min,
        margin_mean=train.margin_sum / n_train,
        memorised_share=train.memorised / jnp.maximum(flipped, 1),
        noise_share=jnp.where(noise_square > 0, norms.noise_aligned / divisor, 0),
        training_loss=0.5 * norms.from_noisy,
        residual_norm=jnp.sqrt(norms.from_noisy),
        parameter_distance=jnp.sqrt(norms.moved),
    )
    if held_out is None or frame.held_out is None:
        return train_metrics, None
    n_test = frame.held_out.targets.shape[0]
    return train_metrics, HeldOutMetrics(
        accuracy=1 - held_out.wrong / n_test,
        rms_distance=jnp.sqrt(held_out.square / n_test),
    )
