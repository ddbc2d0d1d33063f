"""Claims of neighbouring theories, one file each, by its first author (docs/theory.md, 11)."""

from ntk_air.claims.neighbours import (
    arora,
    basri,
    bietti,
    dang,
    ildiz,
    jafari,
    jeong,
    kim,
    medvedev,
    pareek,
    simon,
    xu,
)

THEORIES = (dang, medvedev, kim, jafari, simon, jeong, arora, basri, xu, pareek, ildiz, bietti)
"""In the order of docs/theory.md."""

__all__ = ["THEORIES"]
