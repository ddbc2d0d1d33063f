"""Progress on standard error: a bar with the time left on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

_SECONDS_BETWEEN_LINES = 5.0


class Reporter(Protocol):
    """Progress that is shown, and gives way to what is printed meanwhile."""

    def __call__(
        self, stage: str, done: int, total: int, *, seconds_left: float | None = None
    ) -> None:
        """Show how far a stage is; without ``seconds_left`` the time left is estimated."""
        ...

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """While something else is printed, nothing is in its way."""
        ...


@contextmanager
def progress_on_standard_error() -> Iterator[Reporter]:
    """Give a reporter that draws bars on a terminal and prints plain lines without one."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _TimeLeft(),
    )
    # What is printed meanwhile goes to standard output, not to the bars' console.
    with Bars(*columns, console=console, transient=True, redirect_stdout=False) as bars:
        yield _Drawn(bars)


class _Estimates:
    """Seconds that are left of each stage, by its pace since it was first told of."""

    def __init__(self):
        self._first: dict[str, tuple[float, int]] = {}

    def left(self, stage: str, done: int, total: int, now: float) -> float | None:
        """Seconds left; ``None`` before a second word of a stage, which may have been resumed."""
        began, already = self._first.setdefault(stage, (now, done))
        return (now - began) / (done - already) * (total - done) if done > already else None


class _Lines:
    def __init__(self):
        self._started = time.monotonic()
        self._last: dict[str, float] = {}
        self._estimates = _Estimates()

    def __call__(
        self, stage: str, done: int, total: int, *, seconds_left: float | None = None
    ) -> None:
        now = time.monotonic()
        left = self._estimates.left(stage, done, total, now)
        left = left if seconds_left is None else seconds_left
        if done < total and now - self._last.get(stage, self._started) < _SECONDS_BETWEEN_LINES:
            return
        self._last[stage] = now
        line = f"[{now - self._started:6.1f} s] {stage}: {done}/{total}"
        if left is not None and done < total:
            line += f", about {duration(left)} left"
        print(line, file=sys.stderr, flush=True)

    def paused(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class _Drawn:
    def __init__(self, bars: Bars):
        self._bars = bars
        self._tasks = {}
        self._estimates = _Estimates()

    def __call__(
        self, stage: str, done: int, total: int, *, seconds_left: float | None = None
    ) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, ends=None)
        now = time.monotonic()
        left = self._estimates.left(stage, done, total, now)
        left = left if seconds_left is None else seconds_left
        ends = None if left is None else now + left
        self._bars.update(self._tasks[stage], completed=done, total=total, ends=ends)

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()


class _TimeLeft(ProgressColumn):
    """The estimate of the last report, less what has gone by since."""

    def render(self, task: Task) -> Text:
        ends = task.fields["ends"]
        if task.finished or ends is None:
            return Text(duration(task.elapsed or 0.0))
        return Text(f"about {duration(max(0.0, ends - time.monotonic()))} left")


def duration(seconds: float) -> str:
    """Seconds below two minutes, minutes below two hours, hours beyond."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
