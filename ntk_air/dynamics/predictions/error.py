"""The zero–one error of early stopping before any noise is drawn (theory.md sections 3 and 4).

f_t = g_t(Θ)ỹ is a sum over many independent flips: its mean and variance say how often a row
ends on the wrong side. Needs spectrum, clean labels and noise rates; no simulation.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntk_air._base.typing import AnyArray, Curve, Times
from ntk_air.spectrum.result import Spectrum

_NODES = 24


def predicted_error(
    spectrum: Spectrum,
    clean_classes: Int[AnyArray, " n_train"],
    noise_probabilities: Float[AnyArray, "n_train n_classes"],
    *,
    steps: Times,
    groups: Int[AnyArray, " n_train"] | None = None,
) -> Curve:
    """The expected share of wrong rows after t steps of plain descent from 0.

    For row i of class a, another class b and an own noisy label c, f_ia − f_ib has mean
    Σ_{j≠i} G_ij(P_ja − P_jb) + G_ii(δ_ca − δ_cb) and variance Σ_{j≠i} G_ij² v_j, v_j = P_ja + P_jb
    − (P_ja − P_jb)², with P_jb = P(ỹ_j = b). By the central limit theorem these are normal; for
    several b they share f_ia and are taken to correlate by ½, as of equal variances (Dunnett 1955,
    section 3). The error is averaged over c. Where exactly a share is flipped in each group of m,
    its mean does not fluctuate: in the variance G is replaced by G less its group means, and an own
    label of c leaves 1/(m − 1) less of it to each other row of the group.

    Args:
        spectrum: complete spectrum of Θ.
        clean_classes: class indices, (n_train,).
        noise_probabilities: P, (n_train, n_classes).
        steps: t, (n_time,).
        groups: within which the noise is exact; ``None`` for independent flips.

    Returns:
        The expected share of wrong rows, (n_time,).

    Raises:
        ValueError: for a truncated spectrum, or arrays that disagree in n_train.
    """
    n = spectrum.n_train
    if not spectrum.complete:
        raise ValueError(f"spectrum must hold all modes; got {spectrum.n_mode} of {n}")
    for name, array in (
        ("clean_classes", clean_classes),
        ("noise_probabilities", noise_probabilities),
    ):
        if array.shape[0] != n:
            raise ValueError(f"{name} must have one row for each of {n} inputs; got {array.shape}")
    member = np.zeros((n, 0)) if groups is None else np.eye(int(np.max(groups)) + 1)[groups]
    sizes = np.maximum(member.sum(axis=0), 2)
    dtype = spectrum.eigenvectors.dtype
    flips = _Flips(
        classes=jnp.asarray(clean_classes),
        probabilities=jnp.asarray(noise_probabilities, dtype),
        group_basis=jnp.asarray(member / np.sqrt(sizes), dtype),
        # Drawn without replacement, m flips vary as m/(m − 1) independent ones about their mean.
        inflation=jnp.asarray(member @ (sizes / (sizes - 1)) + (groups is None), dtype),
    )
    return _predicted_error(
        jnp.asarray(spectrum.eigenvalues),
        jnp.asarray(spectrum.eigenvectors),
        flips,
        quadrature=jnp.asarray(_normal_quadrature(), dtype),
        rate=jnp.asarray(spectrum.default_learning_rate, dtype),
        steps=jnp.asarray(steps, dtype),
    )


class _Flips(eqx.Module):
    """The law of the noise, row by row."""

    classes: Int[Array, " n_train"]
    probabilities: Float[Array, "n_train n_classes"]
    group_basis: Float[Array, "n_train n_group"]
    inflation: Float[Array, " n_train"]


@jax.jit
def _predicted_error(
    eigenvalues: Float[Array, " n_mode"],
    eigenvectors: Float[Array, "n_train n_mode"],
    flips: _Flips,
    *,
    quadrature: Float[Array, "2 n_node"],
    rate: Float[Array, ""],
    steps: Float[Array, " n_time"],
) -> Float[Array, " n_time"]:
    classes, probabilities = flips.classes, flips.probabilities
    group_basis, inflation = flips.group_basis, flips.inflation
    difference = probabilities[:, :, None] - probabilities[:, None, :]
    total = probabilities[:, :, None] + probabilities[:, None, :]
    variances = inflation[:, None, None] * (total - difference**2)
    rows = jnp.arange(classes.shape[0])

    # 1/(m − 1) for two rows of one group, as m/(m − 1) times the projection on group means.
    itself = rows[:, None] == rows
    shared = jnp.where(itself, 0, inflation[:, None] * (group_basis @ group_basis.T))
    own = jnp.eye(probabilities.shape[1], dtype=probabilities.dtype)
    # For row i and classes c, b: what its own label c adds to f_ia − f_ib over what is expected.
    surprise = (own[:, classes].T[:, :, None] - own[None]) - difference[rows, classes][:, None]

    def at(step: Float[Array, ""]) -> Float[Array, ""]:
        retrieved = -jnp.expm1(step * jnp.log1p(-jnp.clip(rate * eigenvalues, 0, 1 - 1e-15)))
        filtered = (eigenvectors * retrieved) @ eigenvectors.T
        mean = jnp.einsum("ij,jab->iab", filtered, difference)[rows, classes]
        diagonal = jnp.diagonal(filtered)
        mates = jnp.sum(filtered * shared, axis=1)
        mean = mean[:, None] + (diagonal - mates)[:, None, None] * surprise
        fluctuating = filtered - (filtered @ group_basis) @ group_basis.T
        others = jnp.where(itself, 0, fluctuating)
        variance = jnp.einsum("ij,jab->iab", others**2, variances)[rows, classes]
        spread = jnp.sqrt(jnp.maximum(variance, jnp.finfo(mean.dtype).tiny))[:, None]
        score = jnp.where(own[classes][:, None] > 0, jnp.inf, mean / spread)
        right = jnp.sum(probabilities * _all_above_zero(score, quadrature), axis=1)
        return 1 - jnp.mean(right)

    with jax.default_matmul_precision("highest"):
        return jax.lax.map(at, steps)


def _all_above_zero(
    score: Float[Array, "*batch n_other"], quadrature: Float[Array, "2 n_node"]
) -> Float[Array, "*batch"]:
    """P(all x_b > 0) for normal x_b of mean score_b, variance 1 and correlation ½."""
    nodes, weights = quadrature
    # x_b = score_b + (u + u_b)/√2 with a shared u.
    given = jax.scipy.stats.norm.cdf(jnp.sqrt(2.0) * score[..., None] + nodes)
    return jnp.prod(given, axis=-2) @ weights


def _normal_quadrature() -> Float[np.ndarray, "2 n_node"]:
    """Nodes and weights of the standard normal law (Gauss and Hermite)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return np.stack([nodes, weights / np.sqrt(2 * np.pi)])
