"""Progress is reported to a callable: the library itself prints nothing."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)`` after each unit of work."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Report nothing: the default everywhere."""
