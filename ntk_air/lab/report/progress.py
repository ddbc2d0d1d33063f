"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from ntk_air._base.progress import Progress

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress_on_standard_error() -> Iterator[Progress]:
    """Give a reporter that draws bars on a terminal and prints plain lines without one."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        tasks = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def _plain_lines() -> Progress:
    started = time.monotonic()
    last: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - last.get(stage, started) < _SECONDS_BETWEEN_LINES:
            return
        last[stage] = now
        print(f"[{now - started:6.1f} s] {stage}: {done}/{total}", file=sys.stderr, flush=True)

    return report
