"""Noisy labels: which are suspect, and how classes are mislabelled."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ntk_air._base.checks import shown
from ntk_air.plot.look import COLOURS, Axes
from ntk_air.plot.panel import panel, vector

_MOST_NAMED = 20
_LONGEST_NAME = 12


def suspects(found: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the probabilities that given labels are wrong, the likeliest first.

    Args:
        found: ``CleanedLabels`` with an answer, or probabilities of the rows (n,).
        ax: axes to draw in, whose title and legend are yours; ``None`` makes a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: probabilities that are unknown or no vector.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> axes = na.plot.suspects(np.array([0.1, 0.9, 0.2]))
    >>> axes.get_lines()[0].get_ydata().tolist()
    [0.9, 0.2, 0.1]
    """
    values = vector("found", getattr(found, "error_probability", found))
    if np.isnan(values).any():
        raise ValueError("found must know the probabilities; got labels of which nothing is known")
    wrong = int(np.sum(values > 0.5))
    with panel(ax) as axes:
        ranks = np.arange(1, len(values) + 1)
        axes.plot(ranks, np.sort(values)[::-1], color=COLOURS["noise"])
        style = {"color": COLOURS["control"], "linestyle": ":", "linewidth": 0.9}
        axes.axvline(wrong + 0.5, label=f"{wrong} more likely wrong than right", **style)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("rows, the likeliest to be wrong first")
        axes.set_ylabel("probability of an error")
    return axes


def transition(matrix: Any, class_names: Sequence[str] = (), *, ax: Axes | None = None) -> Axes:
    """Draw a transition matrix: in each row the shares of given labels of one true class.

    Args:
        matrix: ``CleanedLabels`` with an answer, or shares (n_classes, n_classes).
        class_names: names of the classes; their numbers by default.
        ax: axes to draw in, whose title and legend are yours; ``None`` makes a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: a matrix that is not square, or names of another number of classes.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> axes = na.plot.transition(np.array([[0.9, 0.1], [0.0, 1.0]]), ["cat", "dog"])
    >>> [text.get_text() for text in axes.texts]
    ['.90', '.10', '1']
    """
    shares = np.asarray(getattr(matrix, "transition", matrix))
    if shares.ndim != 2 or shares.shape[0] != shares.shape[1] or shares.dtype.kind != "f":
        raise ValueError(f"matrix must be square, of shares; got {shown(matrix)}")
    names = list(class_names) or [str(index) for index in range(len(shares))]
    if len(names) != len(shares):
        raise ValueError(f"class_names must have {len(shares)} entries; got {len(names)}")
    names = [each if len(each) <= _LONGEST_NAME else f"{each[:11]}…" for each in names]
    with panel(ax) as axes:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        if len(names) <= _MOST_NAMED:
            axes.set_xticks(range(len(names)), names, rotation=90)
            axes.set_yticks(range(len(names)), names)
            _write_shares(axes, shares)
        axes.set_xlabel("given label")
        axes.set_ylabel("true class")
    return axes


def _write_shares(axes: Axes, shares: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(shares):
        if value >= 0.01:
            ink = "white" if value > 0.5 else "black"
            text = f"{value:.2f}"[1:] if value < 0.995 else "1"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=5)
