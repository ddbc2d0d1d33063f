"""Progress is reported to a callable: the library itself prints nothing."""

from typing import Protocol


class Progress(Protocol):
    """Called as ``progress(stage, done, total)`` after each unit of work."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note that ``done`` of ``total`` units of ``stage`` are finished."""
        ...


def no_progress(stage: str, done: int, total: int) -> None:
    """Report nothing: the default everywhere."""
