"""Claims of neighbouring theories, one file each, by its first author (docs/theory.md, 11)."""

from ntk_air.claims.neighbours import dang, jafari, kim, medvedev, simon

THEORIES = (dang, medvedev, kim, jafari, simon)
"""In the order of docs/theory.md."""

__all__ = ["THEORIES"]
