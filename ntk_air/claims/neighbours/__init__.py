"""Claims of neighbouring theories, one file each, by its first author (docs/theory.md, 11)."""

from ntk_air.claims.neighbours import (
    arora,
    basri,
    bietti,
    borup,
    dang,
    hu,
    ildiz,
    jafari,
    jeong,
    ji,
    kim,
    kuzborskij,
    li,
    litman,
    medvedev,
    mobahi,
    pareek,
    phuong,
    simon,
    takanami,
    wu,
    xu,
)

THEORIES = (
    dang,
    medvedev,
    kim,
    jafari,
    simon,
    jeong,
    arora,
    basri,
    xu,
    pareek,
    ildiz,
    bietti,
    hu,
    phuong,
    borup,
    mobahi,
    li,
    ji,
    kuzborskij,
    litman,
    takanami,
    wu,
)
"""In the order of docs/theory.md."""

__all__ = ["THEORIES"]
