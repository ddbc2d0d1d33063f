"""The look of every figure: colours, sizes, and what curves of known names are drawn in."""

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # a figure is drawn with matplotlib, which nothing else needs
    from matplotlib.axes import Axes
else:
    Axes: TypeAlias = Any

__all__ = ["COLOURS", "STYLE", "Axes", "looks"]

# Okabe and Ito's palette: told apart with any colour vision, and in grey by lightness and dash.
COLOURS = {
    "clean": "#0072B2",
    "noise": "#D55E00",
    "noisy": "#000000",
    "control": "#999999",
    "self_distilled": "#009E73",
    "accent": "#CC79A7",
    "light": "#56B4E9",
    "warm": "#E69F00",
}

STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 6,
    "legend.handlelength": 2.4,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "mathtext.fontset": "stixsans",
}

_KNOWN = {
    "clean": ("clean", "-"),
    "suggested": ("clean", "-"),
    "labels": ("clean", "-"),
    "noisy": ("noisy", "-."),
    "given": ("noisy", "-."),
    "centred noise": ("noise", "--"),
    "noise": ("noise", "--"),
    "random": ("noise", "--"),
    "gradient descent": ("noisy", "-"),
    "self-distillation, identity": ("light", "--"),
    "self-distillation, sharpened": ("warm", "-."),
    "self-distillation": ("self_distilled", "-"),
}
"""Colour and dash by how a label begins, the longest beginning first."""

_OTHERS = ("clean", "noise", "self_distilled", "accent", "warm", "light", "noisy", "control")
_DASHES = ("-", "--", "-.", ":")


def looks(labels: Iterable[str]) -> list[dict[str, Any]]:
    """Colour and dash of each label; labels that nobody knows, and repeats, take others in turn."""
    others = ((colour, dash) for dash in _DASHES for colour in _OTHERS)
    others, taken, found = itertools.cycle(others), set(), []
    for label in labels:
        beginnings = sorted((name for name in _KNOWN if label.startswith(name)), key=len)
        look = _KNOWN[beginnings[-1]] if beginnings else next(others)
        while look in taken and len(taken) < len(_OTHERS) * len(_DASHES):
            look = next(others)
        taken.add(look)
        found.append({"color": COLOURS[look[0]], "linestyle": look[1]})
    return found
