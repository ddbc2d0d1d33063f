"""Grids of which some points are always tested, and all in CI and by ``just sweeps``."""

from collections.abc import Iterable
from typing import Any

import pytest


def one_in(step: int, points: Iterable[Any], *, several: bool = False) -> list[Any]:
    """The points as parameters: the first and one in ``step`` as always, the others swept.

    Args:
        step: how many there are to one that is always tested.
        points: values of a parameter, or tuples of values.
        several: whether a point is a tuple of the values of several parameters.
    """
    return [
        pytest.param(
            *(point if several else (point,)), marks=[pytest.mark.sweep] if index % step else []
        )
        for index, point in enumerate(points)
    ]
