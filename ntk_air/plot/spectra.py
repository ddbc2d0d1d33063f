"""Spectra: eigenvalues, where labels lie in them, and the AIR curve."""

from typing import Any

import numpy as np

from ntk_air.plot.look import COLOURS, Axes, looks
from ntk_air.plot.panel import by_label, panel, vector


def spectrum(values: Any, *, half_lives: Any = None, ax: Axes | None = None) -> Axes:
    """Draw the eigenvalues of a kernel by rank, on logarithmic axes.

    Args:
        values: ``Problem``, ``Spectrum`` or eigenvalues (n_mode,), the largest first.
        half_lives: retrieval half-lives of the modes in steps (n_mode,), drawn against an axis of
            their own; ``None`` draws none.
        ax: axes to draw in, whose title and legend are yours; ``None`` makes a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: values that are no vector of finite numbers, half-lives of another length.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> na.plot.spectrum(np.array([4.0, 2.0, 1.0])).get_xscale()
    'log'
    """
    found = getattr(values, "spectrum", values)
    eigenvalues = vector("values", getattr(found, "eigenvalues", found))
    modes, positive = np.arange(1, len(eigenvalues) + 1), eigenvalues > 0
    steps = None if half_lives is None else vector("half_lives", half_lives, like=eigenvalues)
    floor: float = getattr(found, "precision_floor", -np.inf)
    below = int(np.sum(eigenvalues <= floor))
    with panel(ax) as axes:
        line = {"color": COLOURS["clean"]}
        axes.loglog(modes[positive], eigenvalues[positive], **line)
        axes.set_xlabel("mode $j$")
        axes.set_ylabel(r"eigenvalue $\lambda_j$", color=COLOURS["clean"])
        if below:
            style = {"color": COLOURS["control"], "linestyle": ":", "linewidth": 0.9}
            axes.axhline(floor, label=f"precision: {below} modes below", **style)
        if steps is not None:
            _draw_half_lives(axes, modes, steps)
    return axes


def _draw_half_lives(axes: Axes, modes: np.ndarray, half_lives: np.ndarray) -> None:
    steps = axes.twinx()
    steps.spines["right"].set_visible(True)
    steps.grid(visible=False)
    moving = np.isfinite(half_lives) & (half_lives > 0)
    steps.loglog(modes[moving], half_lives[moving], color=COLOURS["noise"], linestyle="--")
    steps.set_ylabel("retrieval half-life [steps]", color=COLOURS["noise"])


def energy(
    shares: Any, *, modes: Any = None, isotropic: bool = True, ax: Axes | None = None
) -> Axes:
    """Draw the share of labels' energy in the top k eigenspaces.

    Args:
        shares: ``AirSummary``, or by label cumulative shares (n_mode,), alone or as a pair with
            their standard deviation over draws.
        modes: numbers k of eigenspaces that shares are given at (n_mode,), ascending; ``None`` is
            1 … n_mode.
        isotropic: whether a kernel without preference, k/n, is drawn beside them, for which the
            last of the modes must be n.
        ax: axes to draw in, whose title and legend are yours; ``None`` makes a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: no curve, curves that are no vectors, or that differ in length.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> axes = na.plot.energy({"clean labels": np.array([0.8, 1.0])})
    >>> [line.get_label() for line in axes.get_lines()]
    ['isotropic', 'clean labels']
    """
    curves = _energies(shares)
    first = next(iter(curves.values()))[0]
    ranks = np.arange(1, len(first) + 1) if modes is None else vector("modes", modes, like=first)
    with panel(ax) as axes:
        if isotropic:
            style = {"color": COLOURS["control"], "linestyle": ":", "linewidth": 2.4}
            axes.plot(ranks, ranks / ranks[-1], label="isotropic", **style)
        for (label, (mean, deviation)), look in zip(curves.items(), looks(curves), strict=True):
            axes.plot(ranks, mean, label=label, **look)
            if deviation is not None:
                band = {"color": look["color"], "alpha": 0.2, "linewidth": 0}
                axes.fill_between(ranks, mean - deviation, mean + deviation, **band)
        axes.set_xscale("log")
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("top eigenspaces $k$")
        axes.set_ylabel("share of energy in the top $k$")
    return axes


def _energies(shares: Any) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    if hasattr(shares, "energy_clean"):
        shares = {
            "clean labels $y$": shares.energy_clean,
            r"noisy labels $\tilde{y}$": shares.energy_noisy,
            r"centred noise $\zeta$": shares.energy_noise_centred,
        }
    given = {label: each for label, each in by_label("shares", shares).items() if each is not None}
    curves, first = {}, None
    for label, each in given.items():
        mean, deviation = each if isinstance(each, tuple) else (each, None)
        mean = vector(f"shares of {label}", mean, like=first)
        if deviation is not None:
            deviation = vector(f"deviation of {label}", deviation, like=mean)
        first = mean
        curves[label] = (mean, deviation)
    return curves


def air(curves: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the AIR curve: the share of the signal retrieved against that of the noise.

    Args:
        curves: ``AirSummary``, ``AirCurve``, or by label ``AirCurve``s or pairs of the shares
            retrieved of noise and signal (n_time,), with the area as a third where it is known.
        ax: axes to draw in, whose title and legend are yours; ``None`` makes a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: no curve, as without label noise; curves that are no vectors of one length.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> axes = na.plot.air({"labels": (np.array([0.0, 0.1, 1.0]), np.array([0.0, 0.9, 1.0]))})
    >>> axes.get_lines()[0].get_label()
    'isotropic kernel: area 0.5'
    """
    if hasattr(curves, "energy_clean"):
        curves = curves.curve
    if hasattr(curves, "signal"):
        curves = {"labels": curves}
    given = {label: _air_curve(label, each) for label, each in by_label("curves", curves).items()}
    with panel(ax) as axes:
        style = {"color": COLOURS["control"], "linestyle": ":", "linewidth": 2.4}
        axes.plot([0, 1], [0, 1], label="isotropic kernel: area 0.5", **style)
        for (label, (noise, signal, area)), look in zip(given.items(), looks(given), strict=True):
            text = label if area is None else f"{label}: area {area:.3f}"
            axes.plot(noise, signal, label=text, **look)
        axes.set_xlabel(r"retrieved share of centred noise $R_t(\zeta)$")
        axes.set_ylabel("retrieved share of signal $R_t(y)$")
    return axes


def _air_curve(label: str, given: Any) -> tuple[np.ndarray, np.ndarray, float | None]:
    if hasattr(given, "signal"):
        given = (given.noise, given.signal, float(given.area))
    noise, signal, *area = given
    noise = vector(f"noise of {label}", noise)
    return noise, vector(f"signal of {label}", signal, like=noise), area[0] if area else None
