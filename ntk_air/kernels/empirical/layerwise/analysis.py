"""Where the parameters of a network enter it: a walk through its jaxpr that computes nothing."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.core
import numpy as np
from jax.extend import core

from ntk_air.kernels.empirical.layerwise.rules import DirectRule, ProductRule, product_rule
from ntk_air.kernels.empirical.layerwise.scans import scan_counts
from ntk_air.kernels.empirical.layerwise.views import ParameterView, moves_of

INLINED = frozenset({"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint"})
"""Calls that are the same as the equations inside them. Those with a derivative of their own
(custom_jvp, custom_vjp) are not: a parameter inside one is differentiated by that rule."""

_Known = ParameterView | float | None
"""What is known of a value: entries of a parameter, one constant in all entries, or nothing."""


@dataclasses.dataclass(frozen=True)
class Use:
    """A use of a parameter's value: in a product with an activation, or in any other equation.

    Attributes:
        probe: the number of what is probed: the product, or the value itself in another use.
        primitive: the name of the equation's primitive.
        rule: the rule by which the gradient factors.
        view: the parameter's value.
        loops: the lengths of the scans around it, the outermost first.
        probed_size: entries of what is probed, in all iterations.
    """

    probe: int
    primitive: str
    rule: ProductRule | DirectRule
    view: ParameterView
    loops: tuple[int, ...]
    probed_size: int


@dataclasses.dataclass
class ProbedJaxpr:
    """A jaxpr with the numbers of what can be probed in it.

    Attributes:
        jaxpr: the equations.
        consts: values of its constants.
        results: the number of an equation's result, by its position.
        operands: the number of an operand, by position of the equation and of the operand.
        inner: the jaxpr inside an equation, where something can be probed in it, by position.
    """

    jaxpr: Any
    consts: Sequence[Any]
    results: dict[int, int] = dataclasses.field(default_factory=dict)
    operands: dict[tuple[int, int], int] = dataclasses.field(default_factory=dict)
    inner: dict[int, "ProbedJaxpr"] = dataclasses.field(default_factory=dict)

    def probed(self) -> set[int]:
        """The numbers of all that can be probed, inner jaxprs included."""
        inside = (inner.probed() for inner in self.inner.values())
        return {*self.results.values(), *self.operands.values()}.union(*inside)


@dataclasses.dataclass(frozen=True)
class ParameterUses:
    """Where the parameters of a network enter it.

    Attributes:
        block: the network's jaxpr.
        uses: the uses of each parameter. A parameter without any has no influence.
        unknown: the reason why uses of a parameter cannot be probed, where that is so.
    """

    block: ProbedJaxpr
    uses: dict[int, list[Use]]
    unknown: dict[int, str]


def find_parameter_uses(closed: core.ClosedJaxpr, n_leaves: int) -> ParameterUses:
    """Follow the first ``n_leaves`` arguments of a jaxpr to where they meet activations."""
    walk = _Walk()
    block = ProbedJaxpr(closed.jaxpr, closed.consts)
    known: list[_Known] = [None] * len(closed.jaxpr.invars)
    for leaf, variable in enumerate(closed.jaxpr.invars[:n_leaves]):
        if math.prod(variable.aval.shape) > 0:
            known[leaf] = ParameterView.of_leaf(leaf, variable.aval.shape)
    for out in walk.block(block, known):
        walk.give_up(out, "it is an output of the network")
    uses: dict[int, list[Use]] = {leaf: [] for leaf in range(n_leaves)}
    for use in walk.uses:
        uses[use.view.leaf].append(use)
    return ParameterUses(block, uses, walk.unknown)


class _Walk:
    """The state of one walk: uses and unknown uses found so far."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self.unknown: dict[int, str] = {}
        self._n_probes = 0
        self._loops: tuple[int, ...] = ()

    def give_up(self, known: _Known, reason: str) -> None:
        """Note a use of a parameter that cannot be probed; the first counts."""
        if isinstance(known, ParameterView):
            self.unknown.setdefault(known.leaf, reason)

    def block(self, block: ProbedJaxpr, inputs: Sequence[_Known]) -> list[_Known]:
        """Walk through a jaxpr and tell what is known of its outputs."""
        values: dict[Any, _Known] = {}
        constants = [_uniform(const) for const in block.consts]
        values.update(zip(block.jaxpr.constvars, constants, strict=True))
        values.update(zip(block.jaxpr.invars, inputs, strict=True))

        def read(atom: Any) -> _Known:
            return _uniform(atom.val) if isinstance(atom, core.Literal) else values.get(atom)

        for position, equation in enumerate(block.jaxpr.eqns):
            outs = self._equation(block, position, equation, list(map(read, equation.invars)))
            values.update(zip(equation.outvars, outs, strict=True))
        return list(map(read, block.jaxpr.outvars))

    def _equation(
        self, block: ProbedJaxpr, position: int, equation: Any, inputs: list[_Known]
    ) -> list[_Known]:
        name = equation.primitive.name
        unknown: list[_Known] = [None] * len(equation.outvars)
        if name in INLINED:
            return self._call(block, position, equation, inputs)
        if not any(isinstance(known, ParameterView) for known in inputs):
            return [_fold(equation, inputs)] if len(unknown) == 1 else unknown
        if name == "scan":
            return self._scan(block, position, equation, inputs)
        moved = _moved(equation, inputs)
        if moved is not None:
            return moved
        for operand, known in enumerate(inputs):
            if isinstance(known, ParameterView):
                self._site(block, position, operand, known)
        return unknown

    def _site(self, block: ProbedJaxpr, position: int, operand: int, view: ParameterView) -> None:
        """Note the use of a parameter in an equation."""
        equation = block.jaxpr.eqns[position]
        name = equation.primitive.name
        rule = product_rule(equation, operand)
        if rule is None:
            rule, probed = DirectRule(), equation.invars[operand]
            number = block.operands.setdefault((position, operand), self._n_probes)
        else:
            probed = equation.outvars[0]
            number = block.results.setdefault(position, self._n_probes)
        self._n_probes = max(self._n_probes, number + 1)
        size = math.prod((*self._loops, *probed.aval.shape))
        self.uses.append(Use(number, name, rule, view, self._loops, size))

    def _call(
        self, block: ProbedJaxpr, position: int, equation: Any, inputs: list[_Known]
    ) -> list[_Known]:
        inner = _inner_block(equation)
        outs = self.block(inner, inputs)
        if inner.probed():
            block.inner[position] = inner
        return outs

    def _scan(
        self, block: ProbedJaxpr, position: int, equation: Any, inputs: list[_Known]
    ) -> list[_Known]:
        n_consts, n_carry = scan_counts(equation)
        inside: list[_Known] = []
        for operand, known in enumerate(inputs):
            if not isinstance(known, ParameterView):
                inside.append(known)
            elif operand < n_consts:
                inside.append(known.as_loop_constant())
            elif operand < n_consts + n_carry:
                self._site(block, position, operand, known)
                inside.append(None)
            else:
                inside.append(known.as_loop_slices())
        inner = _inner_block(equation)
        self._loops = (*self._loops, equation.params["length"])
        for out in self.block(inner, inside):
            self.give_up(out, "it is an output of a scan")
        self._loops = self._loops[:-1]
        if inner.probed():
            block.inner[position] = inner
        return [None] * len(equation.outvars)


def _inner_block(equation: Any) -> ProbedJaxpr:
    jaxpr = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    if isinstance(jaxpr, core.ClosedJaxpr):
        return ProbedJaxpr(jaxpr.jaxpr, jaxpr.consts)
    return ProbedJaxpr(jaxpr, ())


def _moved(equation: Any, inputs: list[_Known]) -> list[_Known] | None:
    """What is known of the results, where they are a parameter's entries moved or scaled."""
    name = equation.primitive.name
    match name, inputs:
        case "neg", [ParameterView() as view]:
            return [view.scaled(-1.0)]
        case "mul", [ParameterView() as view, float() as factor]:
            return [view.scaled(factor)] if _keeps_shape(equation, view) else None
        case "mul", [float() as factor, ParameterView() as view]:
            return [view.scaled(factor)] if _keeps_shape(equation, view) else None
        case "div", [ParameterView() as view, float() as divisor]:
            return [view.scaled(1 / divisor)] if _keeps_shape(equation, view) else None
        case _, [ParameterView() as view]:
            moves = moves_of(name, equation.params, view.shape)
            return None if moves is None else [view.moved(move) for move in moves]
    return None


def _keeps_shape(equation: Any, view: ParameterView) -> bool:
    return equation.outvars[0].aval.shape == view.shape


def _uniform(value: Any) -> float | None:
    """The constant that all entries of a small concrete array have."""
    if isinstance(value, jax.core.Tracer) or np.ndim(value) > 0 or np.iscomplexobj(value):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):  # a key, a string
        return None


def _fold(equation: Any, inputs: list[_Known]) -> float | None:
    """The result of an equation between scalar constants; its value when only broadcast."""
    constants = [known for known in inputs if isinstance(known, float)]
    if not inputs or len(constants) < len(inputs) or equation.effects:
        return None
    name, shape = equation.primitive.name, equation.outvars[0].aval.shape
    if name in ("broadcast_in_dim", "reshape"):
        return constants[0] if len(constants) == 1 else None
    if shape or any(atom.aval.shape for atom in equation.invars):
        return None
    operands = [
        np.asarray(known, atom.aval.dtype)
        for known, atom in zip(constants, equation.invars, strict=True)
    ]
    with jax.ensure_compile_time_eval():
        return _uniform(equation.primitive.bind(*operands, **equation.params))
