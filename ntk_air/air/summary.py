"""AIR of one draw of label noise in one object, over many draws, and against random labels."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_kind, check_seed, check_whole_number
from ntk_air._base.typing import AnyArray, Targets
from ntk_air.air.area import area_under_curve
from ntk_air.air.curve import AirCurve, AirWindow, air_curve, air_window, with_outside
from ntk_air.air.energies import LabelDraws, Shares, batched_energy_shares, energy_in_top
from ntk_air.air.rates import Dynamics, ModeRates, retrieval_half_lives, retrieval_rates
from ntk_air.problem import Problem, known
from ntk_air.spectrum.result import Spectrum

_NO_NOISE = "the noise is zero: what compares with it is None"


class Spread(eqx.Module):
    """A number, or a curve, over independent draws."""

    values: Float[np.ndarray, "n_draw *shape"]
    mean: Float[np.ndarray, "*shape"]
    std: Float[np.ndarray, "*shape"] | None
    """With n_draw − 1 in the denominator; ``None`` for a single draw."""


def spread(values: Float[AnyArray, "n_draw *shape"]) -> Spread:
    """Mean and standard deviation over the leading axis, with n_draw − 1 in the denominator.

    Args:
        values: numbers or curves of n_draw independent draws, (n_draw, …).

    Returns:
        The values with their mean and, of two draws or more, their standard deviation.

    >>> import numpy as np
    >>> from ntk_air.air import spread
    >>> float(spread(np.array([1.0, 2.0, 3.0])).std)
    1.0
    """
    values = np.asarray(values)
    std = np.asarray(np.std(values, axis=0, ddof=1)) if len(values) > 1 else None
    return Spread(values=values, mean=np.asarray(np.mean(values, axis=0)), std=std)


class AirSummary(eqx.Module):
    """What AIR says of one kernel and one draw of label noise.

    Energies are cumulative, E_k for k = 1 … n_mode. What compares with noise is ``None`` where
    there is no noise.
    """

    energy_clean: Float[Array, " n_mode"]
    """Energies of the clean labels y."""
    energy_noise_centred: Float[Array, " n_mode"] | None
    """Energies of the centred noise ζ = ỹ − E[ỹ | y]."""
    energy_noise_raw: Float[Array, " n_mode"] | None
    """Energies of ξ = ỹ − y, which keeps part of the signal: with it AIR looks false at high
    noise."""
    energy_noisy: Float[Array, " n_mode"]
    """Energies of the noisy labels ỹ."""
    curve: AirCurve | None
    """Curve of y against ζ; ``curve.area`` is the AIR-AUC."""
    window: AirWindow | None
    half_lives: Float[Array, " n_mode"]
    """Half-lives of the modes in steps."""
    effective_rank: float
    """The spectrum's entropy rank."""
    learning_rate: float
    notes: tuple[str, ...] = eqx.field(static=True)

    @property
    def auc(self) -> float | None:
        """The AIR-AUC, 0.5 for an isotropic kernel; ``None`` without noise."""
        return None if self.curve is None else self.curve.area


def air_summary(
    problem: Problem,
    *,
    learning_rate: float | None = None,
    dynamics: Dynamics = "descent",
    delta: float = 0.1,
    delta_prime: float | None = None,
) -> AirSummary:
    """Anisotropic Information Retrieval of one kernel and one draw of label noise.

    Where clean labels y and centred noise ζ = ỹ − E[ỹ | y] lie in the spectrum of Θ, and how much
    of each training has retrieved by when (Dong et al. 2019; theory.md section 2).

    Args:
        problem: spectrum of Θ with the labels y, ỹ and E[ỹ | y].
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.
        delta: share δ of the signal that may be missing in the window, in [0, 1].
        delta_prime: share δ′ of the noise that may be there in the window, in [0, 1]; ``None`` is
            δ.

    Returns:
        Cumulative energies, the AIR curve with its area, the window and the half-lives; what
        compares with noise is ``None`` where there is none.

    Raises:
        ValueError: a problem without spectrum, clean labels or E[ỹ | y]; a learning rate that is
            not positive, or above 1/λ₁ for descent; δ or δ′ outside [0, 1].

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import ntk_air as na
    >>> data = na.load_dataset("digits", n_train=100, n_test=0).normalised()
    >>> noisy = data.with_label_noise(na.SymmetricNoise(0.4), seed=0)
    >>> problem = na.make_problem(noisy, na.DenseNTK(depth=3))
    >>> print(f"{na.air_summary(problem).auc:.2f}")  # 0.5 isotropic … 1 perfect anisotropy
    0.76
    """
    check_kind("problem", problem, Problem)
    spectrum, noisy, clean = problem.spectrum, problem.noisy, problem.clean
    expected_noisy = known(problem.labels.expected_noisy, "expected_noisy")
    options = {"learning_rate": learning_rate, "dynamics": dynamics}
    centred, raw = (np.asarray(noisy) - np.asarray(mean) for mean in (expected_noisy, clean))
    curve = window = None
    if has_noise := bool(centred.any()):
        deltas = (delta, delta if delta_prime is None else delta_prime)
        curve = air_curve(spectrum, clean, centred, **options)
        window = air_window(spectrum, clean, centred, deltas, **options)
    return AirSummary(
        energy_clean=energy_in_top(spectrum, clean),
        energy_noise_centred=energy_in_top(spectrum, centred) if has_noise else None,
        energy_noise_raw=energy_in_top(spectrum, raw) if raw.any() else None,
        energy_noisy=energy_in_top(spectrum, noisy),
        curve=curve,
        window=window,
        half_lives=retrieval_half_lives(spectrum, learning_rate, dynamics=dynamics),
        effective_rank=spectrum.effective_rank,
        learning_rate=spectrum.default_learning_rate if learning_rate is None else learning_rate,
        notes=spectrum.notes + ((_NO_NOISE,) if curve is None else curve.notes),
    )


class AirSpread(eqx.Module):
    """AIR over independent draws of the label noise, one decomposition serving all."""

    energy_clean: Float[Array, " n_mode"]
    energy_noise_centred: Spread | None
    """Cumulative energies, values (n_draw, n_mode); ``None`` where a draw has no noise."""
    energy_noise_raw: Spread | None
    energy_noisy: Spread
    auc: Spread | None
    """AIR-AUC of y against ζ, values (n_draw,)."""
    auc_raw_noise: Spread | None
    """AIR-AUC of y against ξ, values (n_draw,), for comparison: at high noise it misleads."""
    notes: tuple[str, ...] = eqx.field(static=True)


def air_over_draws(
    spectrum: Spectrum,
    clean: Targets,
    expected_noisy: Targets | LabelDraws,
    noisy: LabelDraws,
    *,
    learning_rate: float | None = None,
    dynamics: Dynamics = "descent",
) -> AirSpread:
    """Energies and AIR-AUC over draws of the noise, with their spread.

    Args:
        spectrum: spectrum of Θ, (n_train, n_train).
        clean: clean labels y, (n_train, n_out), in the target coding.
        expected_noisy: expectation E[ỹ | y], (n_train, n_out), or one for each draw,
            (n_draw, n_train, n_out).
        noisy: noisy labels ỹ, (n_draw, n_train, n_out).
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.

    Returns:
        Energies and areas, each with the values of all draws, their mean and deviation.

    Raises:
        ValueError: labels of another number of rows, not finite or all zero; a learning rate
            that is not positive, or above 1/λ₁ for descent.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import air_over_draws
    >>> from ntk_air.spectrum.decomposition import decompose
    >>> spectrum, clean = decompose(np.diag([3.0, 2.0, 1.0])), np.ones((3, 1))
    >>> noisy = clean * (1 - 2 * np.eye(3)[..., None])  # one label flipped in each of three draws
    >>> print(f"{air_over_draws(spectrum, clean, clean / 3, noisy).auc.mean:.3f}")
    0.500
    """
    noisy = np.asarray(noisy)
    centred, raw = noisy - np.asarray(expected_noisy), noisy - np.asarray(clean)[None]
    has_noise = all(draw.any() for draws in (centred, raw) for draw in draws)
    rates = retrieval_rates(spectrum, learning_rate=learning_rate, dynamics=dynamics)
    signal = batched_energy_shares(spectrum, clean[None], name="clean")
    energies: list[Spread | None] = [None, None]
    aucs: list[Spread | None] = [None, None]
    if has_noise:
        shares = [batched_energy_shares(spectrum, draws) for draws in (centred, raw)]
        energies = [_cumulative(noise) for noise in shares]
        aucs = [_auc(spectrum, rates, signal, noise, dynamics=dynamics) for noise in shares]
    return AirSpread(
        energy_clean=jnp.cumsum(signal[0]),
        energy_noise_centred=energies[0],
        energy_noise_raw=energies[1],
        energy_noisy=_cumulative(batched_energy_shares(spectrum, noisy, name="noisy")),
        auc=aucs[0],
        auc_raw_noise=aucs[1],
        notes=spectrum.notes + (() if has_noise else (_NO_NOISE,)),
    )


def auc_over_draws(
    spectrum: Spectrum,
    signals: Float[AnyArray, "#n_draw n_train n_out"],
    noises: LabelDraws,
    *,
    learning_rate: float | None = None,
    dynamics: Dynamics = "descent",
) -> Spread:
    """AIR-AUC of each signal against the noise of the same draw.

    Args:
        spectrum: spectrum of Θ, (n_train, n_train).
        signals: signals y, (n_draw, n_train, n_out), or (1, n_train, n_out) for all draws.
        noises: centred noises ζ, (n_draw, n_train, n_out).
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.

    Returns:
        Areas of all draws, (n_draw,), with their mean and deviation.

    Raises:
        ValueError: labels of another number of rows, not finite or all zero; a learning rate
            that is not positive, or above 1/λ₁ for descent.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import auc_over_draws
    >>> from ntk_air.spectrum.decomposition import decompose
    >>> signal, noises = np.array([[[1.0], [0.0]]]), np.array([[[0.0], [1.0]], [[1.0], [0.0]]])
    >>> spectrum = decompose(np.diag([2.0, 1.0]))
    >>> auc_over_draws(spectrum, signal, noises, dynamics="flow").values.round(4).tolist()
    [0.7333, 0.5]
    """
    rates = retrieval_rates(spectrum, learning_rate=learning_rate, dynamics=dynamics)
    signal = batched_energy_shares(spectrum, signals, name="signals")
    noise = batched_energy_shares(spectrum, noises, name="noises")
    return _auc(spectrum, rates, signal, noise, dynamics=dynamics)


def _cumulative(shares: Shares) -> Spread:
    return spread(np.cumsum(shares, axis=1))


def _auc(
    spectrum: Spectrum,
    rates: ModeRates,
    signal: Float[AnyArray, "#n_draw n_mode"],
    noise: Shares,
    *,
    dynamics: Dynamics,
) -> Spread:
    modes = with_outside(spectrum, rates, np.broadcast_to(signal, noise.shape), noise)
    return spread(area_under_curve(modes.rates, modes.signal, modes.noise, dynamics=dynamics))


def random_label_control(
    spectrum: Spectrum,
    clean: Targets,
    noises: LabelDraws,
    *,
    seed: int,
    learning_rate: float | None = None,
    dynamics: Dynamics = "descent",
) -> Spread:
    """AIR-AUC of random labels instead of the clean ones: about 1/2, within its spread.

    Args:
        spectrum: spectrum of Θ, (n_train, n_train).
        clean: clean labels y, (n_train, n_out), whose distinct rows are the labels to draw from.
        noises: centred noises ζ, (n_draw, n_train, n_out); each gets random labels of its own.
        seed: seed of the random labels.
        learning_rate: learning rate η, at most 1/λ₁ for descent; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``; both count time in steps of η.

    Returns:
        Areas of all draws, (n_draw,), with their mean and deviation.

    Raises:
        ValueError: fewer than two distinct rows of ``clean``; labels of another number of rows, not
            finite or all zero; a learning rate that is not positive, or above 1/λ₁ for descent.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> from ntk_air.air import random_label_control
    >>> from ntk_air.spectrum.decomposition import decompose
    >>> clean = np.repeat([[1.0], [-1.0]], 10, axis=0)
    >>> spectrum = decompose(np.diag(1.0 / np.arange(1, 21)))
    >>> noises = np.random.default_rng(0).normal(size=(50, 20, 1))
    >>> control = random_label_control(spectrum, clean, noises, seed=0)
    >>> print(f"{control.mean:.1f}")
    0.5
    """
    labels = random_labels(clean, n_draw=len(noises), seed=seed)
    return auc_over_draws(spectrum, labels, noises, learning_rate=learning_rate, dynamics=dynamics)


def random_labels(
    clean: Targets, *, n_draw: int, seed: int
) -> Float[np.ndarray, "n_draw n_train n_out"]:
    """Labels drawn for each input uniformly from the distinct rows of ``clean``, and centred.

    Args:
        clean: clean labels y, (n_train, n_out).
        n_draw: number of label matrices, at least 1.
        seed: seed of NumPy's generator, at least 0.

    Returns:
        Label matrices, (n_draw, n_train, n_out).

    Raises:
        ValueError: for fewer than one draw, or fewer than two distinct rows.

    >>> import numpy as np
    >>> from ntk_air.air import random_labels
    >>> drawn = random_labels(np.array([[0.0], [1.0], [1.0]]), n_draw=2, seed=0)
    >>> drawn.shape, np.unique(drawn).tolist()
    ((2, 3, 1), [-0.5, 0.5])
    """
    check_whole_number("n_draw", n_draw, minimum=1)
    check_seed("seed", seed)
    alphabet = np.unique(np.asarray(clean), axis=0)
    if len(alphabet) < 2:
        raise ValueError("clean must have at least two distinct rows to draw labels from; got 1")
    chosen = np.random.default_rng(seed).integers(len(alphabet), size=(n_draw, clean.shape[0]))
    return (alphabet - alphabet.mean(axis=0))[chosen]
