"""Peak memory of a piece of code, measured in a process of its own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]

_FRAME = """
import time
import jax
jax.config.update("jax_enable_x64", True)

def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024

def settled():
    # Threads of a finished computation may still be freeing its memory.
    sizes = []
    while len(set(sizes[-5:])) != 1 or len(sizes) < 5:
        time.sleep(0.05)
        sizes.append(status("VmRSS"))
    return sizes[-1]

{setup}

for work in {works}:
    eval(work)  # compiles; what follows measures a run that does not
    peaks = []
    for _ in range(3):
        before = settled()
        with open("/proc/self/clear_refs", "w") as peak:
            peak.write("5")
        result = eval(work)
        peaks.append(status("VmHWM") - before)
        del result
    print(min(peaks))
"""


def peak_bytes(setup: str, *works: str) -> list[int]:
    """Bytes that each expression adds to resident memory at its peak, result included.

    The least of three runs: what the allocator and other threads hold for a moment only adds.

    Args:
        setup: statements before them, not measured.
        works: expressions, each evaluated once to compile and then three times, measured.
    """
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("resetting the peak of resident memory needs Linux")
    code = _FRAME.format(setup=textwrap.dedent(setup), works=repr(works))
    # Freed memory goes back at once, so that what the first run used is not reused unseen.
    # Compiled as a user's programs are, for what they hold depends on what is fused.
    environment = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "0",
        "XLA_FLAGS": "",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]
