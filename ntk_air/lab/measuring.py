"""Seconds and peak memory of the stages of a run."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ntk_air.lab.provenance import peak_memory_bytes

_SECONDS_BETWEEN_LOOKS = 0.02
_PAGES = Path("/proc/self/statm")


class StageMeter:
    """Measures stages by name; ``measured`` holds what was found."""

    def __init__(self) -> None:
        self.measured: dict[str, dict[str, float]] = {}
        """Of each stage ``seconds``, and ``peak_bytes``: the largest resident size of the process
        among looks taken every 20 ms; without Linux' account of it, the largest so far."""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what runs inside."""
        peak, done = [resident_bytes()], threading.Event()

        def look() -> None:
            while not done.wait(_SECONDS_BETWEEN_LOOKS):
                peak[0] = max(peak[0], resident_bytes())

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            done.set()
            looking.join()
            self.measured[name] = {
                "seconds": round(seconds, 3),
                "peak_bytes": max(peak[0], resident_bytes()),
            }


def resident_bytes() -> int:
    """The resident size of this process in bytes; where Linux does not say, its largest so far."""
    try:
        pages = int(_PAGES.read_text().split()[1])
    except OSError:
        return peak_memory_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")
