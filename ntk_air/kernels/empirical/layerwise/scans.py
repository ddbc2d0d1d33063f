"""How the operands and results of a scan divide, read off its shapes.

JAX's releases tell it in different parameters of the equation; the shapes are the same in all.
"""

from typing import Any, NamedTuple


class ScanCounts(NamedTuple):
    """How many operands are the same in each iteration, and how many values are carried on.

    Operands come as constants, carried values, values that are scanned over; results as carried
    values, values that are stacked.
    """

    n_consts: int
    n_carry: int


def scan_counts(equation: Any) -> ScanCounts:
    """The counts of a ``scan``: what is scanned or stacked has one more axis outside it."""
    inside = equation.params["jaxpr"].jaxpr
    n_carry = sum(
        outer.aval.ndim == inner.aval.ndim
        for outer, inner in zip(equation.outvars, inside.outvars, strict=True)
    )
    n_same = sum(
        outer.aval.ndim == inner.aval.ndim
        for outer, inner in zip(equation.invars, inside.invars, strict=True)
    )
    return ScanCounts(n_same - n_carry, n_carry)
