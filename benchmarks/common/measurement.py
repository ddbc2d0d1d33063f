"""What a measured tool does in its own process: answer a request, time a call, see its memory.

Imports the standard library and numpy alone, for it runs in the environments of peers too.
"""

import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def serve(
    answer: Callable[
        [dict[str, Any], dict[str, np.ndarray]], tuple[dict[str, Any], dict[str, np.ndarray]]
    ],
) -> None:
    """Answer the request that ``peers.run_tool`` left in the folder named on the command line.

    A request's ``memory_bytes`` is a limit: beyond it, allocations fail.
    """
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text("utf-8"))
    if request.get("memory_bytes") is not None:
        _limit_memory(request["memory_bytes"])
    with np.load(folder / "inputs.npz") as inputs:
        found, arrays = answer(request, dict(inputs))
    outputs: dict[str, Any] = dict(arrays)
    np.savez(folder / "outputs.npz", **outputs)
    (folder / "answer.json").write_text(json.dumps(found), "utf-8")


def measure(
    call: Callable[[], np.ndarray], *, repeats: int = 3, budget_seconds: float = 120.0
) -> tuple[dict[str, Any], np.ndarray]:
    """Time a call and see its memory, in one more call behind those that are timed.

    Args:
        call: returns its result as a numpy array, so that nothing is left to be computed.
        repeats: how often it is timed after a first call that is not.
        budget_seconds: no further repeat begins after as long.

    Returns:
        ``seconds``, the median of the repeats; ``compile_seconds``, by how much the first call
        took longer; ``peak_bytes``, what a call adds to resident memory at its peak, result
        included (None where that cannot be seen); ``repeats``, how many there were. And the
        result.
    """
    started = time.perf_counter()
    result = call()
    first = time.perf_counter() - started
    seconds = []
    while len(seconds) < repeats and (not seconds or sum(seconds) + first < budget_seconds):
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds)
    numbers = {
        "seconds": median,
        "compile_seconds": max(0.0, first - median),
        "peak_bytes": _peak_bytes(call),
        "repeats": len(seconds),
    }
    return numbers, result


def _limit_memory(size: int) -> None:
    """Let the process have so many bytes of data; Linux alone counts them."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def _peak_bytes(call: Callable[[], np.ndarray]) -> int | None:
    """Bytes that a call adds to resident memory; Linux alone tells."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        # What earlier calls freed must not hide what this one takes.
        library.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    call()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024
