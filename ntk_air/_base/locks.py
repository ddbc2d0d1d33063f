"""Locks, which the system releases when their process ends, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Be the only process with this lock; its file is there as long as it is held.

    Args:
        path: the file, in a folder that exists.

    Raises:
        BlockingIOError: another process holds it.
    """
    with contextlib.ExitStack() as held:
        while True:
            file = held.enter_context(path.open("wb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one before may have removed the file between the two lines above.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    break
        held.callback(path.unlink, missing_ok=True)
        yield
