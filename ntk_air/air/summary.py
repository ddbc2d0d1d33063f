"""AIR of one draw of label noise in one object, over many draws, and against random labels."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_at_least
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
    """Mean and standard deviation over the leading axis."""
    values = np.asarray(values)
    std = np.asarray(np.std(values, axis=0, ddof=1)) if len(values) > 1 else None
    return Spread(values=values, mean=np.asarray(np.mean(values, axis=0)), std=std)


class AirSummary(eqx.Module):
    """What AIR says of one kernel and one draw of label noise.

    Energies are cumulative, E_k for k = 1 … n_mode. What compares with noise is ``None`` where
    there is no noise.
    """

    energy_clean: Float[Array, " n_mode"]
    """Of y."""
    energy_noise_centred: Float[Array, " n_mode"] | None
    """Of ζ = ỹ − E[ỹ | y]."""
    energy_noise_raw: Float[Array, " n_mode"] | None
    """Of ξ = ỹ − y, which keeps part of the signal: with it AIR looks false at high noise."""
    energy_noisy: Float[Array, " n_mode"]
    """Of ỹ."""
    curve: AirCurve | None
    """Of y against ζ; ``curve.area`` is the AIR-AUC."""
    window: AirWindow | None
    half_lives: Float[Array, " n_mode"]
    """In steps."""
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
    """Gather theory.md section 2 for one draw of label noise.

    Args:
        problem: kernel with its spectrum; clean, noisy and expected noisy labels.
        learning_rate: learning rate η, absolute; ``None`` is 1/λ₁.
        dynamics: ``"descent"`` or ``"flow"``.
        delta: share δ of the signal that may be missing in the window.
        delta_prime: share δ′ of the noise that the window allows; ``None`` is δ.

    Returns:
        Energies, AIR curve with its AUC, window and half-lives. Where the labels have no noise
        there is no curve, and a note says so.

    Raises:
        ValueError: for a problem without spectrum, clean or expected noisy labels, a rate that
            diverges, and shares outside [0, 1].

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import ntk_air as na
    >>> data = na.load_dataset("digits", n_train=60).normalised()
    >>> data = data.with_label_noise(na.SymmetricNoise(0.4), seed=0)
    >>> air = na.air_summary(na.make_problem(data, na.DenseNTK(depth=3)))
    >>> 0.5 < air.auc < 1.0  # an isotropic kernel has 0.5
    True
    """
    spectrum, clean, noisy = problem.spectrum, problem.clean, problem.noisy
    expected = known(problem.labels.expected_noisy, "expected_noisy")
    options = {"learning_rate": learning_rate, "dynamics": dynamics}
    centred, raw = (np.asarray(noisy) - np.asarray(mean) for mean in (expected, clean))
    has_noise = bool(centred.any())
    curve = air_curve(spectrum, clean, centred, **options) if has_noise else None
    window = (
        air_window(spectrum, clean, centred, delta, delta_prime=delta_prime, **options)
        if has_noise
        else None
    )
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
    """The same against ξ, for comparison: at high noise it misleads."""
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
        spectrum: of Θ.
        clean: y, (n_train, n_out), in target coding.
        expected_noisy: E[ỹ | y], (n_train, n_out), or one for each draw.
        noisy: ỹ, (n_draw, n_train, n_out).
        learning_rate: η; ``None`` is 1/λ₁.
        dynamics: see ``retrieval_rates``.

    Raises:
        ValueError: see ``energy_in_top``, ``retrieval_rates``.
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
        aucs = [_auc(spectrum, rates, signal, noise, dynamics) for noise in shares]
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
        spectrum: of Θ.
        signals: (n_draw, n_train, n_out), or (1, n_train, n_out) for all draws.
        noises: (n_draw, n_train, n_out).
        learning_rate: η; ``None`` is 1/λ₁.
        dynamics: see ``retrieval_rates``.

    Raises:
        ValueError: see ``energy_in_top``, ``retrieval_rates``.
    """
    rates = retrieval_rates(spectrum, learning_rate=learning_rate, dynamics=dynamics)
    signal = batched_energy_shares(spectrum, signals, name="signals")
    noise = batched_energy_shares(spectrum, noises, name="noises")
    return _auc(spectrum, rates, signal, noise, dynamics)


def _cumulative(shares: Shares) -> Spread:
    return spread(np.cumsum(shares, axis=1))


def _auc(
    spectrum: Spectrum,
    rates: ModeRates,
    signal: Float[AnyArray, "#n_draw n_mode"],
    noise: Shares,
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
        spectrum: of Θ.
        clean: y, (n_train, n_out): its distinct rows are the labels to draw from.
        noises: ζ, (n_draw, n_train, n_out); each draw gets random labels of its own.
        seed: of the random labels.
        learning_rate: η; ``None`` is 1/λ₁.
        dynamics: see ``retrieval_rates``.

    Raises:
        ValueError: see ``energy_in_top``, ``retrieval_rates``.
    """
    labels = random_labels(clean, n_draw=len(noises), seed=seed)
    return auc_over_draws(spectrum, labels, noises, learning_rate=learning_rate, dynamics=dynamics)


def random_labels(
    clean: Targets, *, n_draw: int, seed: int
) -> Float[np.ndarray, "n_draw n_train n_out"]:
    """Labels drawn for each input uniformly from the distinct rows of ``clean``, and centred.

    Args:
        clean: y, (n_train, n_out).
        n_draw: how many label matrices.
        seed: of NumPy's generator.

    Raises:
        ValueError: for fewer than one draw, or fewer than two distinct rows.
    """
    check_at_least("n_draw", float(n_draw), 1.0)
    alphabet = np.unique(np.asarray(clean), axis=0)
    if len(alphabet) < 2:
        raise ValueError("clean must have at least two distinct rows to draw labels from; got 1")
    chosen = np.random.default_rng(seed).integers(len(alphabet), size=(n_draw, clean.shape[0]))
    return (alphabet - alphabet.mean(axis=0))[chosen]
