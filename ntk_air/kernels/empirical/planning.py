"""Which method, and how large a tile: estimated for each method, and said on request."""

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx

from ntk_air._base.checks import check_choice
from ntk_air._base.memory import MemoryBudgetError, check_budget, format_bytes
from ntk_air.kernels._tiling import TileLimits, plan_tile
from ntk_air.kernels.empirical.jacobian import JACOBIAN
from ntk_air.kernels.empirical.layerwise.description import ParameterContraction
from ntk_air.kernels.empirical.layerwise.tile import LAYERWISE
from ntk_air.kernels.empirical.methods import InapplicableMethodError, Method, Tile
from ntk_air.kernels.empirical.ntk_vector_products import NTK_VECTOR_PRODUCTS
from ntk_air.kernels.empirical.task import Task, compiled_tile_bytes

METHODS: dict[str, Method] = {
    method.name: method for method in (LAYERWISE, JACOBIAN, NTK_VECTOR_PRODUCTS)
}
"""The methods to choose from."""

LARGEST_TILE = 2048
"""Rows of a tile where memory allows: more than of other kernels, for every tile takes each of its
examples through the network again."""

UNBOUNDED_TILE_BYTES = 2**30
"""Bytes that a tile may take where the caller sets no bound."""

OPERATIONS_PER_BYTE = 10.0
"""Operations that take the time of moving one byte: of processors and accelerators alike, about."""


class MethodEstimate(eqx.Module):
    """What a method would do for a kernel.

    Attributes:
        method: The name of the method.
        tile: The rows of a tile.
        operations: Multiplications and additions in all tiles together.
        bytes_moved: Bytes written and read in all tiles together, if nothing is fused.
        bytes_held: Bytes that one tile holds at its peak, before the compiler reuses buffers.
    """

    method: str
    tile: int
    operations: float
    bytes_moved: float
    bytes_held: float

    @property
    def score(self) -> float:
        """Operations, with those added that would take the time of moving the bytes."""
        return self.operations + OPERATIONS_PER_BYTE * self.bytes_moved


class EmpiricalNTKPlan(eqx.Module):
    """How an empirical NTK would be computed.

    Attributes:
        method: The name of the method.
        reason: The sentence that says why it was chosen.
        tile: The rows of a tile.
        estimates: The estimates for the methods that were compared, best first.
        parameters: A line for each parameter that says how it is contracted, for layer-wise
            contraction; empty for the other methods.
    """

    method: str
    reason: str
    tile: int
    estimates: tuple[MethodEstimate, ...]
    parameters: tuple[ParameterContraction, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.method}, tiles of {self.tile} rows: {self.reason}"]
        for each in self.estimates:
            lines.append(
                f"{each.method:>20}: {each.operations:.3g} operations, "
                f"{format_bytes(each.bytes_moved)} moved, {format_bytes(each.bytes_held)} held by "
                f"a tile of {each.tile} rows"
            )
        lines.extend(f"{'':>20}  {each}" for each in self.parameters)
        return "\n".join(lines)


class ChosenMethod(NamedTuple):
    """A method with the tile it runs in, and the plan that says so."""

    method: Method
    plan: EmpiricalNTKPlan


def choose(
    task: Task,
    method: str,
    *,
    max_memory_bytes: int | None,
    methods: Mapping[str, Method] = METHODS,
) -> ChosenMethod:
    """The method of the least estimated time that fits, or the one that is asked for.

    Raises:
        InapplicableMethodError: the method that is asked for cannot serve the network.
        MemoryBudgetError: no method fits.
        ValueError: an unknown method, or a bound that is not positive.
    """
    check_choice("method", method, ("auto", *methods))
    max_memory_bytes = check_budget(max_memory_bytes)
    candidates = list(methods.values()) if method == "auto" else [methods[method]]
    passed_over: list[str] = []
    estimates: list[MethodEstimate] = []
    for candidate in candidates:
        try:
            estimates.append(_estimate(task, candidate, max_memory_bytes))
        except InapplicableMethodError:
            if method != "auto":
                raise
            passed_over.append(f"{candidate.name} does not apply")
    estimates.sort(key=lambda estimate: estimate.score)
    refusal: MemoryBudgetError | None = None
    for rank, estimate in enumerate(estimates):
        chosen = methods[estimate.method]
        try:
            tile = _largest_tile(task, chosen, estimate, max_memory_bytes)
        except MemoryBudgetError as error:
            refusal = refusal or error
            passed_over.append(f"{chosen.name} does not fit into memory")
            continue
        reason = "as asked" if method != "auto" else _reason(estimates[rank:], passed_over)
        plan = EmpiricalNTKPlan(chosen.name, reason, tile, tuple(estimates))
        return ChosenMethod(chosen, plan)
    assert refusal is not None
    raise refusal


def _reason(estimates: list[MethodEstimate], passed_over: list[str]) -> str:
    """Why the first of the estimates is taken."""
    chosen, *others = estimates
    advantage = "no other method is left"
    if others:
        times = others[0].score / chosen.score
        advantage = f"by estimate {times:.2g} times as fast as {others[0].method}"
    return "; ".join([advantage, *passed_over])


def _estimate(task: Task, method: Method, max_memory_bytes: int | None) -> MethodEstimate:
    """The work of all tiles, in tiles that fit if nothing is fused."""

    def held(tile: Tile) -> float:
        return method.work(method.tile, task.network, tile).bytes_held

    limits = TileLimits(LARGEST_TILE, 1, _tile_bound(task, max_memory_bytes), growth=1)
    length = plan_tile(task.need(held), None, limits)
    operations = moved = 0.0
    tiles = task.tiles(length)
    for tile, count in tiles:
        work = method.work(method.tile, task.network, tile)
        operations += count * work.operations
        moved += count * work.bytes_moved
    return MethodEstimate(method.name, length, operations, moved, held(tiles[-1][0]))


def _tile_bound(task: Task, max_memory_bytes: int | None) -> int:
    if max_memory_bytes is None:
        return UNBOUNDED_TILE_BYTES
    return max(0, min(max_memory_bytes - task.result_bytes, UNBOUNDED_TILE_BYTES))


def _largest_tile(
    task: Task, method: Method, estimate: MethodEstimate, max_memory_bytes: int | None
) -> int:
    """Rows of a tile by the compiler's own account, at most those of the estimate."""

    def held(tile: Tile) -> float:
        compiled = compiled_tile_bytes(method, task.network, tile)
        if compiled is None:
            return method.work(method.tile, task.network, tile).bytes_held
        return float(compiled)

    largest = min(LARGEST_TILE, estimate.tile)
    limits = TileLimits(largest, 1, UNBOUNDED_TILE_BYTES, growth=1)
    return plan_tile(task.need(held), max_memory_bytes, limits)
