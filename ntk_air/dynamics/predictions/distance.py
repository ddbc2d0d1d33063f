"""Predicted distances to the clean labels (theory.md sections 4 and 6), without any trajectory.

All distances are RMS over rows, d = ‖f − y‖_F / √n.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ntk_air._base.typing import AnyArray, Curve, Targets, Times
from ntk_air.dynamics.filters.spectral import SpectralFilter
from ntk_air.dynamics.run.metrics import flipped_rows
from ntk_air.spectrum.result import Spectrum


def descent_distance(
    spectrum: Spectrum, rule: SpectralFilter, *, clean: Targets, noisy: Targets, times: Times
) -> Curve:
    """d(t) with n·d² = ‖(I − G)y − Gξ‖², G = g_t(Θ), f_0 = 0 (theory.md section 4).

    Args:
        spectrum: spectrum of Θ, all modes.
        rule: the filter g.
        clean: y, (n_train, n_out).
        noisy: ỹ, (n_train, n_out).
        times: steps, (n_time,).

    Returns:
        d at each time, (n_time,).

    Raises:
        ValueError: for a truncated spectrum.
    """
    if not spectrum.complete:
        raise ValueError(
            f"spectrum must hold all modes; got {spectrum.n_mode} of {spectrum.n_train}"
        )
    signal, noise = spectrum.project(clean), spectrum.project(noisy - np.asarray(clean))
    steps = jnp.asarray(times, signal.dtype)
    return _descent_distance(rule, spectrum.eigenvalues, signal, noise, times=steps)


def early_stopping_floor(clean: Targets, *, signal: float) -> float:
    """(1 − s)·‖y‖_F/√n: where early stopping ends on clusters, f ≈ s·y (theory.md section 4).

    Args:
        clean: y, (n_train, n_out).
        signal: s with E[ỹ | y] = s·y: 1 − pC/(C − 1) for symmetric noise at rate p, binary 1 − 2ρ.
    """
    return abs(1 - signal) * _rms(clean)


def clustered_floor(
    spectrum: Spectrum, clean: Targets, noisy: Targets, groups: Int[AnyArray, " n_train"]
) -> float:
    """The floor of early stopping on K clusters for the labels as drawn (theory.md section 4).

    n·d² = Σ_i ‖ȳ_i − y_i‖² + ‖(I − V_K V_Kᵀ)y‖²: the noisy labels' mean ȳ in each cluster, where
    (1 − s)·y_i leaves out that flips come in whole numbers, and clean labels outside the top K
    eigenspaces, which are not retrieved before noise is.

    Args:
        spectrum: spectrum of Θ, at least K modes.
        clean: y, (n_train, n_out).
        noisy: ỹ, (n_train, n_out).
        groups: the cluster of each input, (n_train,).
    """
    clean, noisy = np.asarray(clean), np.asarray(noisy)
    clusters, member = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(clusters), clean.shape[1]))
    np.add.at(sums, member, noisy)
    means = sums / np.bincount(member)[:, None]
    top = np.asarray(spectrum.eigenvectors)[:, : len(clusters)]
    outside = clean - top @ (top.T @ clean)
    return float(np.hypot(_rms(means[member] - clean), _rms(outside)))


def memorisation_level(clean: Targets, noisy: Targets) -> float:
    """‖ξ‖_F/√n: where descent ends, f = ỹ; binary 2√ρ (theory.md section 4)."""
    return _rms(np.asarray(noisy) - np.asarray(clean))


def constant_weight_level(clean: Targets, noisy: Targets, *, weight: float) -> float:
    """α‖ξ‖_F/√n: where hard labels at constant weight end, f = y + αξ (6a).

    It holds if the pattern does, and there are no modes of eigenvalue 0.
    """
    return weight * memorisation_level(clean, noisy)


def agreement_level(clean: Targets, noisy: Targets) -> float:
    """ρ‖ξ‖_F/√n, binary ρ·2√ρ: the fixed point of the agreement weight at the clean pattern (6f).

    ρ is the share of rows whose noisy label is not the clean one.
    """
    flipped = float(np.asarray(flipped_rows(clean, noisy)).mean())
    return constant_weight_level(clean, noisy, weight=flipped)


@jax.jit
def _descent_distance(
    rule: SpectralFilter,
    eigenvalues: Float[Array, " n_mode"],
    signal: Float[Array, "n_mode n_out"],
    noise: Float[Array, "n_mode n_out"],
    *,
    times: Float[Array, " n_time"],
) -> Float[Array, " n_time"]:
    def at(step: Float[Array, ""]) -> Float[Array, ""]:
        left = rule.response(eigenvalues, step).residual[:, None]
        retrieved = rule.retrieved(eigenvalues, step)[:, None]
        return jnp.sqrt(jnp.sum((left * signal - retrieved * noise) ** 2) / signal.shape[0])

    return jax.lax.map(at, times)


def _rms(labels: Targets) -> float:
    return float(np.linalg.norm(np.asarray(labels)) / len(labels) ** 0.5)
