"""Memory budgets: a job that cannot fit is refused before it starts."""

import re
from typing import Any

from ntk_air._base.checks import as_number, check_positive

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


class MemoryBudgetError(ValueError):
    """A job needs more memory than it was allowed; the message names both and a way out."""


def format_bytes(n_bytes: int | float) -> str:
    """Write a number of bytes for a reader: ``1.50 GiB``."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= size:
            return f"{n_bytes / size:.2f} {unit}"
    return f"{n_bytes:.0f} B"


def parse_bytes(text: str) -> int:
    """Read a number of bytes as a person writes it: ``"2GiB"``, ``"500 MB"``, ``"1e9"``."""
    match = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = match.group(2).upper() if match else None
    if match is None or unit not in _UNITS:
        raise ValueError(f"expected a size such as '2GiB' or '500MB'; got {text!r}")
    try:
        return int(float(match.group(1)) * _UNITS[unit])
    except (ValueError, OverflowError) as error:
        raise ValueError(f"expected a size such as '2GiB' or '500MB'; got {text!r}") from error


def check_budget(max_memory_bytes: Any) -> Any:
    """Require a budget that is a number of bytes, and return it as Python's own.

    NumPy's small integers would overflow in sums with it. ``None`` is no budget.
    """
    if max_memory_bytes is None:
        return None
    check_positive("max_memory_bytes", max_memory_bytes)
    return as_number(max_memory_bytes)


def require_memory(*, what: str, needed_bytes: int, max_bytes: Any, way_out: str) -> None:
    """Refuse a job whose need is above its budget.

    Args:
        what: the job, as the error names it.
        needed_bytes: the bytes that the job would hold at its peak.
        max_bytes: the budget in bytes; ``None`` is no budget.
        way_out: the words that say what the user can do instead.
    """
    max_bytes = check_budget(max_bytes)
    if max_bytes is not None and needed_bytes > max_bytes:
        raise MemoryBudgetError(
            f"{what} needs {format_bytes(needed_bytes)} and the budget is "
            f"{format_bytes(max_bytes)}: {way_out}"
        )
