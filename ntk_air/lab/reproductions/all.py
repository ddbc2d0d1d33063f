"""Every reproduction by its name, run one after another."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ntk_air._base.checks import check_choice
from ntk_air.lab.reproductions.in_closed_form import BIETTI, BORUP, DANG
from ntk_air.lab.reproductions.lee import LEE
from ntk_air.lab.reproductions.published import Reproduction, Row

REPRODUCTIONS = {"borup": BORUP, "bietti": BIETTI, "dang": DANG, "lee": LEE}


class Reproduced(NamedTuple):
    """A row as it was found.

    Attributes:
        name: of the reproduction.
        reproduction: it.
        row: theirs and ours.
        seconds: since the row before.
    """

    name: str
    reproduction: Reproduction
    row: Row
    seconds: float


def reproduce(names: Iterable[str], data_dir: Path | None) -> Iterator[Reproduced]:
    """The rows of the named reproductions as they are found; all names, where none is given.

    Raises:
        ValueError: for an unknown name, before any is begun, and for files that are not there.
    """
    chosen = tuple(names) or tuple(REPRODUCTIONS)
    for name in chosen:
        check_choice("names", name, tuple(REPRODUCTIONS))
    return _rows(chosen, data_dir)


def _rows(names: tuple[str, ...], data_dir: Path | None) -> Iterator[Reproduced]:
    for name in names:
        started = time.perf_counter()
        for row in REPRODUCTIONS[name].compute(data_dir):
            now = time.perf_counter()
            yield Reproduced(name, REPRODUCTIONS[name], row, now - started)
            started = now
