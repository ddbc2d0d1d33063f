"""Bounds on e_t = f_t − pattern for all later steps, with the decomposition's own errors in them.

While the pattern holds, e_{t+1} = (I − ηΘ)e_t + ηα_tΘξ. For α non-increasing and ηλ₁ ≤ 1 each
mode obeys |e_{t,j}| ≤ max(|e_{T,j}|, α_T|ξ_j|) (theory.md 6c). Computed modes are not those of Θ:
neighbours closer than a gap are taken together, as ‖P e_t‖ ≤ √(‖P e_T‖² + α_T²‖P ξ‖²) on their
span, which asks nothing of the basis inside it, and the span's angle to the true one is bounded
by sin θ ≤ δ/(gap − δ), ‖Θ − Θ̃‖ ≤ δ (Davis, Kahan 1970, sin θ theorem; Weyl for the eigenvalues).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ntk_air.spectrum.result import Spectrum

# Gaps below these multiples of δ are not trusted to keep modes apart. Each choice gives a valid
# bound: wide ones lose little to angles, narrow ones little to grouping; the best is taken.
_GAP_LADDER = (1e3, 1e5, 1e7)


class Partition(eqx.Module):
    """Modes in groups of neighbours; all arrays are padded to n groups.

    Attributes:
        group: each mode's group.
        alone: whether a group has a single mode.
        size: the number of modes of a group.
        angle: bound on sin θ between a computed and the true span.
        lowest: lower bound on the true eigenvalues of a group, at least 0.
        highest: upper bound on them.
    """

    group: Int[Array, " n_mode"]
    alone: Bool[Array, " n_mode"]
    size: Float[Array, " n_mode"]
    angle: Float[Array, " n_mode"]
    lowest: Float[Array, " n_mode"]
    highest: Float[Array, " n_mode"]


class Defects(eqx.Module):
    """How far computed modes are from orthonormal, and sums over them from exact.

    Attributes:
        skew: bound on the distance of V from an orthonormal matrix, in the 2-norm.
        sum_rounding: relative error that sums of n_train products are credited with.
    """

    skew: float
    sum_rounding: float


class TailBasis(eqx.Module):
    """What certificates need of a spectrum, prepared once for all steps of all runs.

    Attributes:
        eigenvectors: computed V, (n_train, n_train).
        largest: λ₁ as computed.
        smallest: λ_n as computed.
        perturbation: δ ≥ ‖Θ − Θ̃‖₂, Θ̃ the matrix whose exact decomposition was computed.
        defects: defects of the eigenvectors.
        partitions: groupings of the modes, each giving bounds of its own.
    """

    eigenvectors: Float[Array, "n_train n_train"]
    largest: float
    smallest: float
    perturbation: float
    defects: Defects
    partitions: tuple[Partition, ...]

    @property
    def n_train(self) -> int:
        """n."""
        return self.eigenvectors.shape[0]


class Tail(eqx.Module):
    """A run from step T on, as the bounds see it.

    Attributes:
        error: e_T = f_T − pattern, (n_train, n_out).
        noise: ξ = ỹ − pattern, (n_train, n_out).
        weight: α_T, which no later weight exceeds.
        learning_rate: η.
        step_rounding: largest rounding error of a step's residual, in ℓ2 by column.
    """

    error: Float[Array, "n_train n_out"]
    noise: Float[Array, "n_train n_out"]
    weight: Float[Array, ""]
    learning_rate: Float[Array, ""]
    step_rounding: Float[Array, ""]


class Moment(eqx.Module):
    """How far into the tail a bound is for.

    Attributes:
        steps: m = t − T; infinity is the limit. Bounds at 0 hold for all time.
        since_split: m − m′ for some m′ ≤ m.
        weight_at_split: α_{T+m′}.
    """

    steps: Float[Array, ""]
    since_split: Float[Array, ""]
    weight_at_split: Float[Array, ""]


class TailBounds(eqx.Module):
    """Bounds on |e_t|, rounding included.

    Attributes:
        rows: B, bound on each entry, (n_train, n_out).
        rms: bound on ‖e_t‖_F / √n.
        rounding: the largest part of an entry of B that is there for rounding alone.
        unmoved_rms: ‖P_0 e_T‖_F / √n on modes that may have λ = 0 and so may never move.
    """

    rows: Float[Array, "n_train n_out"]
    rms: Float[Array, ""]
    rounding: Float[Array, ""]
    unmoved_rms: Float[Array, ""]


def tail_basis(spectrum: Spectrum) -> TailBasis:
    """Prepare a spectrum for certificates.

    Sums of n products are credited with a relative error of 6√n·ε (Higham, Mary 2019, theorem
    2.4, at six standard deviations), not with the worst case n·ε.

    Raises:
        ValueError: for a truncated spectrum: what it leaves out cannot be bounded.
    """
    if not spectrum.complete:
        raise ValueError(
            "spectrum must hold all modes for a certificate; got "
            f"{spectrum.n_mode} of {spectrum.n_train}"
        )
    n = spectrum.n_train
    eigenvalues = np.asarray(spectrum.eigenvalues, dtype=np.float64)
    sum_rounding = 6 * n**0.5 * float(np.finfo(spectrum.eigenvectors.dtype).eps)
    skew = n * (spectrum.orthogonality_error + sum_rounding)
    residual = eigenvalues[0] * np.linalg.norm(np.asarray(spectrum.residuals, dtype=np.float64))
    residual += sum_rounding * n**0.5 * np.linalg.norm(eigenvalues)
    perturbation = float(residual + 2 * eigenvalues[0] * skew)
    return TailBasis(
        eigenvectors=spectrum.eigenvectors,
        largest=spectrum.lambda_max,
        smallest=spectrum.lambda_min,
        perturbation=perturbation,
        defects=Defects(skew=float(skew), sum_rounding=sum_rounding),
        partitions=tuple(
            _partition(eigenvalues, ratio * perturbation, perturbation, spectrum.eigenvectors.dtype)
            for ratio in _GAP_LADDER
        ),
    )


def tail_bounds(basis: TailBasis, tail: Tail, moment: Moment) -> TailBounds:
    """Bounds at a moment of the tail: the best of the basis's partitions, entry by entry."""
    several = [
        _bounds(basis.eigenvectors, basis.defects, partition, tail=tail, moment=moment)
        for partition in basis.partitions
    ]
    best = min(several, key=lambda bounds: float(jnp.max(bounds.rows)))
    return TailBounds(
        rows=jnp.min(jnp.stack([bounds.rows for bounds in several]), axis=0),
        rms=jnp.min(jnp.stack([bounds.rms for bounds in several])),
        rounding=best.rounding,
        unmoved_rms=best.unmoved_rms,
    )


def _partition(
    eigenvalues: np.ndarray, least_gap: float, perturbation: float, dtype: np.dtype
) -> Partition:
    n = len(eigenvalues)
    drops = -np.diff(eigenvalues)
    starts = np.concatenate([[0], np.flatnonzero(drops > least_gap) + 1])
    ends = np.append(starts[1:], n)
    above = np.concatenate([[np.inf], drops[starts[1:] - 1]])
    gap = np.minimum(above, np.append(above[1:], np.inf))

    def padded(values: np.ndarray) -> Float[Array, " n_mode"]:
        return jnp.asarray(np.pad(values.astype(float), (0, n - len(values))), dtype)

    return Partition(
        group=jnp.asarray(np.repeat(np.arange(len(starts)), ends - starts)),
        alone=padded(ends - starts) == 1,
        size=padded(ends - starts),
        angle=padded(np.minimum(perturbation / (gap - perturbation), 1.0)),
        lowest=padded(np.maximum(eigenvalues[ends - 1] - perturbation, 0.0)),
        highest=padded(eigenvalues[starts] + perturbation),
    )


@jax.jit
def _bounds(
    eigenvectors: Float[Array, "n_train n_train"],
    defects: Defects,
    partition: Partition,
    *,
    tail: Tail,
    moment: Moment,
) -> TailBounds:
    sum_rounding = defects.sum_rounding
    with jax.default_matmul_precision("highest"):
        # Bounds of ‖P x‖ on each group's true span, from the computed one, for rows and columns.
        slack = partition.angle + defects.skew + sum_rounding * jnp.sqrt(partition.size)
        slack = jnp.where(partition.size > 0, slack, 0.0)
        computed = {
            "row": _norms(partition, eigenvectors.T),
            "error": _norms(partition, eigenvectors.T @ tail.error),
            "noise": _norms(partition, eigenvectors.T @ tail.noise),
        }
        whole = {
            "row": jnp.ones(eigenvectors.shape[0], eigenvectors.dtype),
            "error": jnp.linalg.norm(tail.error, axis=0),
            "noise": jnp.linalg.norm(tail.noise, axis=0),
        }
        true = {
            key: jnp.minimum(part + slack[:, None] * whole[key], whole[key])
            for key, part in computed.items()
        }
        by_group = _group_bounds(partition, true["error"], true["noise"], tail=tail, moment=moment)
        n_train, n_out = tail.error.shape
        # A step off by κ in its residual moves each mode by at most κ, and what is seen by κ
        # more; the factor 2 is for modes at the very edge, ηλ = 1 up to rounding.
        stepping = 2 * tail.step_rounding * (n_train**0.5 + 1)
        rows = (true["row"].T @ by_group) * (1 + 4 * sum_rounding) + stepping
        bare = computed["row"].T @ _group_bounds(
            partition, computed["error"], computed["noise"], tail=tail, moment=moment
        )
        unmoved = jnp.where((partition.lowest <= 0)[:, None], true["error"], 0.0)
        root_n = n_train**0.5
        return TailBounds(
            rows=rows,
            rms=jnp.sqrt(jnp.sum(by_group**2)) * (1 + 4 * sum_rounding) / root_n
            + 4 * tail.step_rounding * n_out**0.5,
            rounding=jnp.max(rows - bare),
            unmoved_rms=jnp.sqrt(jnp.sum(unmoved**2)) / root_n,
        )


def _norms(
    partition: Partition, coefficients: Float[Array, "n_mode k"]
) -> Float[Array, "n_mode k"]:
    """Norm of the coefficients inside each group; 0 for the groups that only pad."""
    n = coefficients.shape[0]
    return jnp.sqrt(jax.ops.segment_sum(coefficients**2, partition.group, num_segments=n))


def _group_bounds(
    partition: Partition,
    error: Float[Array, "n_mode n_out"],
    noise: Float[Array, "n_mode n_out"],
    *,
    tail: Tail,
    moment: Moment,
) -> Float[Array, "n_mode n_out"]:
    """Bound on ‖P e_t‖ in each group: the one for all time, or the decayed one where smaller.

    With w_t = ηλ Σ_s (1 − ηλ)^{t−1−s} α_s split at m′, the first part is at most
    α_T(1 − ηλ)^{m−m′} and the second at most α_{T+m′}.
    """
    epsilon = jnp.finfo(error.dtype).eps
    fastest = tail.learning_rate * partition.highest
    slowest = tail.learning_rate * partition.lowest
    kept = jnp.maximum((1 - slowest) * (1 + 4 * epsilon), fastest - 1)
    kept = jnp.clip(kept, 0.0, 1.0)[:, None]
    # ηλ₁ = 1 up to rounding: a mode that overshoots by ηλ − 1 takes up that much more noise.
    overshoot = jnp.maximum(fastest, 1.0)
    noise = noise * (overshoot / (2 - overshoot))[:, None]

    taken_up = tail.weight * noise
    for_all_time = jnp.where(
        partition.alone[:, None],
        jnp.maximum(error, taken_up),
        jnp.sqrt(error**2 + taken_up**2),
    )
    decayed = kept**moment.steps * error
    decayed = decayed + kept**moment.since_split * taken_up + moment.weight_at_split * noise
    return jnp.minimum(for_all_time, decayed)
