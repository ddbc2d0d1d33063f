"""Scripts as a user starts them, one after another in one other process, which imports once."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

_LOOP = """
import contextlib, io, json, runpy, sys, traceback
for line in sys.stdin:
    sys.argv = json.loads(line)
    said, complained, status = io.StringIO(), io.StringIO(), 0
    if "jax" in sys.modules:  # as in a process of its own
        sys.modules["jax"].config.update("jax_enable_x64", False)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            status = end.code
        except BaseException:
            traceback.print_exc()
            status = 1
    print(json.dumps([status, said.getvalue(), complained.getvalue()]), flush=True)
"""


class Scripts:
    """A process that runs scripts; it ends with the ``with`` block.

    Args:
        environment: its environment variables.
        limit: seconds that a script may take.
    """

    def __init__(self, environment: Mapping[str, str], *, limit: float = 300):
        self._limit = limit
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOOP],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Scripts":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, *command: object) -> "subprocess.CompletedProcess[str]":
        """Status, output and error output of a script, its path first, called with arguments."""
        process: Any = self._process
        words = [str(word) for word in command]
        clock = threading.Timer(self._limit, process.kill)
        clock.start()
        try:
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        finally:
            clock.cancel()
        assert answer, f"{words} ended the process, or took longer than {self._limit} s"
        return subprocess.CompletedProcess(words, *json.loads(answer))
