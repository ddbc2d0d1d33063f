"""A jaxpr evaluated with chosen values held open: recorded, and probed.

A probe is a zero added to the result of an equation or to an operand. The derivative of the
outputs with respect to it is the cotangent of that value, and JAX computes those of all probes in
one pass.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax.extend import core
from jaxtyping import Array

from ntk_air.kernels.empirical.layerwise.analysis import ProbedJaxpr
from ntk_air.kernels.empirical.layerwise.scans import scan_counts

Probes = dict[int, Array]
Records = dict[int, tuple[Array, ...]]


def evaluate(
    block: ProbedJaxpr, inputs: Sequence[Any], probes: Probes
) -> tuple[list[Any], Records]:
    """Evaluate a jaxpr.

    Args:
        block: the jaxpr.
        inputs: its arguments.
        probes: zeros by their numbers, of the shape of what is probed, with the lengths of the
            loops around it in front. Only these values are held open.

    Returns:
        The outputs, and the operands of each equation whose result is probed, likewise with
        loops in front.
    """
    values: dict[Any, Any] = dict(zip(block.jaxpr.constvars, block.consts, strict=True))
    values.update(zip(block.jaxpr.invars, inputs, strict=True))
    records: Records = {}

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    def operand(position: int, index: int, atom: Any) -> Any:
        probe = probes.get(block.operands.get((position, index), -1))
        return read(atom) if probe is None else read(atom) + probe

    for position, equation in enumerate(block.jaxpr.eqns):
        operands = [operand(position, *each) for each in enumerate(equation.invars)]
        inner = block.inner.get(position)
        if inner is None or not inner.probed() & probes.keys():
            outs = _bind(equation, operands)
        else:
            step = _scan if equation.primitive.name == "scan" else _call
            outs, recorded = step(inner, equation, operands, probes)
            records |= recorded
        number = block.results.get(position)
        if number in probes:
            outs = [outs[0] + probes[number]]
            records[number] = tuple(operands)
        values.update(zip(equation.outvars, outs, strict=True))
    return [read(atom) for atom in block.jaxpr.outvars], records


def probe_shapes(
    block: ProbedJaxpr, loops: tuple[int, ...] = ()
) -> dict[int, jax.ShapeDtypeStruct]:
    """The shape of each probe."""
    equations = block.jaxpr.eqns
    probed = {number: equations[at].outvars[0] for at, number in block.results.items()}
    probed |= {
        number: equations[at].invars[index] for (at, index), number in block.operands.items()
    }
    shapes = {
        number: jax.ShapeDtypeStruct((*loops, *atom.aval.shape), atom.aval.dtype)
        for number, atom in probed.items()
    }
    for position, inner in block.inner.items():
        equation = equations[position]
        around = (equation.params["length"],) if equation.primitive.name == "scan" else ()
        shapes |= probe_shapes(inner, loops + around)
    return shapes


def _bind(equation: Any, operands: list[Any]) -> list[Any]:
    """What JAX itself does with an equation."""
    params = equation.primitive.get_bind_params(equation.params)
    outs = equation.primitive.bind(*operands, **params)
    return list(outs) if equation.primitive.multiple_results else [outs]


def _call(
    inner: ProbedJaxpr, equation: Any, operands: list[Any], probes: Probes
) -> tuple[list[Any], Records]:
    return evaluate(inner, operands, probes)


def _scan(
    inner: ProbedJaxpr, equation: Any, operands: list[Any], probes: Probes
) -> tuple[list[Any], Records]:
    params = equation.params
    n_consts, n_carry = scan_counts(equation)
    consts, carry = operands[:n_consts], operands[n_consts : n_consts + n_carry]
    inside = {number: probes[number] for number in inner.probed() & probes.keys()}

    def body(carry: list[Any], slices: tuple[list[Any], Probes]) -> Any:
        outs, records = evaluate(inner, [*consts, *carry, *slices[0]], slices[1])
        return outs[:n_carry], (outs[n_carry:], records)

    carry, (stacked, records) = jax.lax.scan(
        body,
        carry,
        (operands[n_consts + n_carry :], inside),
        length=params["length"],
        reverse=params["reverse"],
    )
    return [*carry, *stacked], records
