"""How commands end: a status and, where something is wrong, one line on standard error."""

import os
import sys
from collections.abc import Callable

BAD_INPUT, INTERRUPTED, NOBODY_READS = 2, 130, 141


def exit_status(work: Callable[[], int], *, interrupted: str) -> int:
    """Do the work of a command; return its exit status.

    Bad input and refused jobs are 2, an interruption is 130, and 141 is an output that nobody
    reads any more, as after ``| head``. Faults of this package keep their traceback.

    Args:
        work: does it and returns its own status.
        interrupted: what has become of the work after Ctrl-C.
    """
    try:
        return work()
    except BrokenPipeError:
        # Python writes what is left once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except (ValueError, OSError, ImportError, MemoryError) as error:
        print(f"error: {error or type(error).__name__}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"interrupted: {interrupted}", file=sys.stderr)
        return INTERRUPTED
