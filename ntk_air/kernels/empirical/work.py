"""Operations and bytes of a traced computation, counted from its jaxpr."""

import math
from typing import Any, NamedTuple

from jax.extend.core import Literal, jaxprs_in_params

_FREE = frozenset({"reshape", "squeeze", "expand_dims", "broadcast_in_dim", "iota"})
"""Primitives that compilers fold into their neighbours: nothing is computed or moved."""


class Work(NamedTuple):
    """What a computation does.

    Attributes:
        operations: multiplications, additions and the like.
        bytes_moved: bytes written, and those that matrix products and convolutions read.
        bytes_held: bytes of intermediate and final results at their peak, arguments not counted.
    """

    operations: float
    bytes_moved: float
    bytes_held: float


def count_work(jaxpr: Any) -> Work:
    """The work of a jaxpr, operation by operation, as if nothing were fused.

    A scan counts as often as it runs, a branch as its dearest side, and a while loop, whose
    number of steps is not known, once.
    """
    last_use = _last_uses(jaxpr)
    live: dict[Any, int] = {}
    operations = moved = peak = 0.0
    for index, equation in enumerate(jaxpr.eqns):
        work = _equation_work(equation)
        operations += work.operations
        moved += work.bytes_moved
        live |= {variable: _bytes(variable) for variable in equation.outvars}
        peak = max(peak, sum(live.values()) + work.bytes_held)
        live = {variable: size for variable, size in live.items() if last_use[variable] > index}
    return Work(operations, moved, peak)


def primitive_names(jaxpr: Any) -> set[str]:
    """The names of all primitives in a jaxpr and the jaxprs inside it."""
    names = {equation.primitive.name for equation in jaxpr.eqns}
    inner = (each for equation in jaxpr.eqns for each in jaxprs_in_params(equation.params))
    return names.union(*map(primitive_names, inner))


def _last_uses(jaxpr: Any) -> dict[Any, int]:
    """The last equation that needs each variable; what is returned is needed after all."""
    last_use: dict[Any, int] = {}
    for index, equation in enumerate(jaxpr.eqns):
        used = (variable for variable in equation.invars if not isinstance(variable, Literal))
        last_use |= dict.fromkeys([*equation.outvars, *used], index)
    returned = (variable for variable in jaxpr.outvars if not isinstance(variable, Literal))
    return last_use | dict.fromkeys(returned, len(jaxpr.eqns))


def _equation_work(equation: Any) -> Work:
    """The work of one equation; the bytes held are those inside it, beside its results."""
    name = equation.primitive.name
    inner = [count_work(jaxpr) for jaxpr in jaxprs_in_params(equation.params)]
    if inner:
        if name == "cond":
            return Work(*(max(values) for values in zip(*inner, strict=True)))
        operations, moved, _ = (sum(values) for values in zip(*inner, strict=True))
        repeats = equation.params["length"] if name == "scan" else 1
        return Work(repeats * operations, repeats * moved, max(work.bytes_held for work in inner))
    if name in _FREE:
        return Work(0.0, 0.0, 0.0)
    written = sum(map(_bytes, equation.outvars))
    n_values = sum(map(_size, equation.outvars))
    terms = _terms_of_product(equation)
    if terms is None:
        read = max(map(_size, equation.invars), default=0)
        return Work(float(max(n_values, read)), float(written), 0.0)
    moved = written + sum(map(_bytes, equation.invars))
    return Work(2.0 * n_values * terms, float(moved), 0.0)


def _terms_of_product(equation: Any) -> int | None:
    """The products that each value of a matrix product or convolution sums; else ``None``."""
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return math.prod(shape[axis] for axis in contracted)
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        return math.prod(kernel) // kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return None


def _size(variable: Any) -> int:
    return math.prod(getattr(variable.aval, "shape", ()))


def _bytes(variable: Any) -> int:
    return _size(variable) * getattr(getattr(variable.aval, "dtype", None), "itemsize", 0)
