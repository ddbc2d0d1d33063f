"""The largest eigenpairs of a kernel by blocks of vectors: each pass over it serves a whole block.

Block Lanczos with full reorthogonalisation and thick restarts (Wu, Simon 2000). Where a kernel is
read from disk or computed anew for each product, passes are what it costs, and a block of twenty
vectors takes a pass as one vector does.
"""

import dataclasses
import math

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ntk_air._base.checks import (
    check_callable,
    check_fraction,
    check_kind,
    check_positive,
    check_seed,
    check_whole_number,
)
from ntk_air._base.memory import check_budget, require_memory
from ntk_air._base.progress import Progress, no_progress
from ntk_air.kernels.operators.operator import KernelOperator, check_operator
from ntk_air.spectrum.krylov.checkpoint import Checkpoint
from ntk_air.spectrum.krylov.mode_search import ModeSearch, Move
from ntk_air.spectrum.krylov.space import KrylovSpace, space_bytes
from ntk_air.spectrum.scaling import check_representable, scaled_back
from ntk_air.spectrum.solvers import DecompositionError

ACCURACIES = {"float64": 1e-10, "float32": 1e-6}
"""Residuals to stop at, ‖Θv − λv‖/λ₁, by the precision of the products."""

# Passes, two blocks wide, that a space has room for beside the modes.
_FEWEST_PASSES, _USUAL_PASSES = 6, 16

_CONVERGED, _PASSES = "top modes converged", "passes for the top modes"


class TopModes(eqx.Module):
    """The largest eigenpairs, descending, and how far they can be trusted."""

    eigenvalues: Float[np.ndarray, " n_mode"]
    """In units of Θ. Each lies within ``residuals``·λ₁ of an eigenvalue of Θ."""
    eigenvectors: Float[np.ndarray, "n n_mode"]
    """Orthonormal columns."""
    residuals: Float[np.ndarray, " n_mode"]
    """‖Θv − λv‖/λ₁, measured by a pass of their own."""
    next_eigenvalue: float
    """The largest Ritz value below them, from below; NaN where there is none."""
    n_products: int = eqx.field(static=True)
    """Passes over the kernel, that of the residuals included."""
    accuracy: float = eqx.field(static=True)
    """The residual that was asked for."""
    notes: tuple[str, ...] = eqx.field(static=True)
    """What fell short; empty where nothing did."""

    @property
    def subspace_sine(self) -> float:
        """The largest sine between the span of the modes and the eigenspace that it stands for.

        ‖ΘV − VΛ‖_F over the gap below the last mode (Davis, Kahan 1970), at most 1. The gap is
        between Ritz values: an estimate as good as ``next_eigenvalue``, and no bound.
        """
        norm = float(np.linalg.norm(self.residuals))
        gap = (float(self.eigenvalues[-1]) - self.next_eigenvalue) / float(self.eigenvalues[0])
        if math.isnan(gap):
            return 0.0
        return min(1.0, norm / gap) if gap > 0 else 1.0


@dataclasses.dataclass(frozen=True)
class TopModesOptions:
    """How the largest eigenpairs are searched for.

    Attributes:
        block: The number of vectors of a pass; n where that is less.
        accuracy: The residual ‖Θv − λv‖/λ₁ to stop at, in (0, 1]; ``None`` goes by the precision of
            the products: 1e-10 for float64, 1e-6 for float32.
        max_products: The number of passes after which the search gives up.
        seed: The seed of the random blocks.

    Raises:
        ValueError: An argument out of range.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
        >>> theta = na.recomputed_kernel(na.DenseNTK(depth=3), x)
        >>> found = na.top_modes(theta, 4, options=na.TopModesOptions(block=8, accuracy=1e-4))
        >>> found.eigenvalues.shape
        (4,)
    """

    block: int = 16
    accuracy: float | None = None
    max_products: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole_number("block", self.block, minimum=1)
        check_whole_number("max_products", self.max_products, minimum=1)
        check_seed("seed", self.seed)
        if self.accuracy is not None:
            check_positive("accuracy", self.accuracy)
            check_fraction("accuracy", self.accuracy)


_USUAL = TopModesOptions()


def top_modes(
    operator: KernelOperator,
    top_k: int,
    *,
    max_memory_bytes: int | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress = no_progress,
    options: TopModesOptions = _USUAL,
) -> TopModes:
    """The ``top_k`` largest eigenpairs, repeated eigenvalues included, from products alone.

    Block Lanczos with full reorthogonalisation and thick restarts (Wu, Simon 2000). Once the modes
    have converged a random block joins the space and is followed until its largest Ritz value
    outside the space so far is known: one above the last mode is a mode that was missed, for a
    block of p vectors sees p directions of each eigenspace, and the search goes on.

    Args:
        operator: Kernel operator Θ, n × n.
        top_k: Number of modes to find, from 1 to n.
        max_memory_bytes: Bound in bytes beside the kernel: small spaces restart more often.
        checkpoint: Folder that keeps every pass, to go on from bit by bit; ``None`` keeps nothing.
        progress: Function called after each pass, for passes and for modes that converged.
        options: Vectors of a pass, accuracy, the most passes, and seed.

    Returns:
        Eigenvalues, descending, in units of Θ; orthonormal eigenvectors, shape (n, top_k); their
        residuals, measured by a pass of their own; and what fell short.

    Raises:
        ValueError: ``top_k`` outside 1 … n, or a checkpoint of another computation.
        MemoryBudgetError: The smallest space that can be searched would not fit.
        DecompositionError: Products that are not finite; no convergence in time.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
        >>> modes = na.top_modes(na.recomputed_kernel(na.DenseNTK(depth=3), x), 4)
        >>> bool(modes.residuals.max() < 1e-6), modes.eigenvectors.shape
        (True, (50, 4))
    """
    check_operator("operator", operator)
    check_kind("options", options, TopModesOptions)
    check_kind("checkpoint", checkpoint, Checkpoint, type(None))
    check_callable("progress", progress)
    max_memory_bytes = check_budget(max_memory_bytes)
    top_k = check_whole_number("top_k", top_k, minimum=1, maximum=operator.shape[0])
    search = _begin(operator, top_k, options, max_memory_bytes)
    if checkpoint is not None:
        _resume(search, checkpoint, operator)
    while (move := search.next_move()) != "finish":
        if move == "advance" and search.n_products >= options.max_products:
            raise DecompositionError(
                f"{search.n_converged} of {top_k} modes converged in {options.max_products} "
                "products: raise max_products or accuracy, use larger blocks, or more memory"
            )
        _move_on(search, move, operator, checkpoint)
        if move == "advance":
            _report(search, progress)
    progress(_PASSES, search.n_products, search.n_products)
    return _measured(search, operator)


def _report(search: ModeSearch, progress: Progress) -> None:
    progress(_CONVERGED, search.n_converged, search.top_k)
    expected = expected_products(search.top_k, search.block)
    progress(_PASSES, search.n_products, max(expected, search.n_products + 1))


def _begin(
    operator: KernelOperator,
    top_k: int,
    options: TopModesOptions,
    max_memory_bytes: int | None,
) -> ModeSearch:
    """A search in a space as large as serves and fits."""
    n = operator.shape[0]
    accuracy = options.accuracy
    if accuracy is None:
        accuracy = ACCURACIES[np.dtype(operator.dtype).name]
    block = min(options.block, n)
    space = KrylovSpace(n, _capacity(n, top_k, block, max_memory_bytes))
    return ModeSearch(space, top_k, block=block, accuracy=accuracy, seed=options.seed)


def least_bytes(n: int, top_k: int, block: int) -> int:
    """The least that ``max_memory_bytes`` may be."""
    block = min(block, n)
    return _bytes(n, _fewest_columns(n, top_k, block), block)


def expected_products(top_k: int, block: int) -> int:
    """Passes to expect on spectra that fall like powers, measured at 100 modes; 0 for no modes."""
    return math.ceil(6 + 2.5 * top_k / block) if top_k else 0


def _fewest_columns(n: int, top_k: int, block: int) -> int:
    return min(n, top_k + _FEWEST_PASSES * 2 * block)


def _capacity(n: int, top_k: int, block: int, max_bytes: int | None) -> int:
    """Columns of the space, as many as serve and fit."""
    fewest = _fewest_columns(n, top_k, block)
    capacity = min(n, 2 * top_k + _USUAL_PASSES * 2 * block)
    while capacity > fewest and max_bytes is not None and _bytes(n, capacity, block) > max_bytes:
        capacity -= block
    capacity = max(capacity, fewest)
    require_memory(
        what=f"a Krylov space of {capacity} vectors of length {n}",
        needed_bytes=_bytes(n, capacity, block),
        max_bytes=max_bytes,
        way_out="ask for fewer modes with top_k, or use smaller blocks",
    )
    return capacity


def _bytes(n: int, columns: int, block: int) -> int:
    """A restart holds a second basis, and so does a checkpoint while it is written."""
    return space_bytes(n, columns, 2 * block) + 8 * n * columns


def _resume(search: ModeSearch, checkpoint: Checkpoint, operator: KernelOperator) -> None:
    """Take what a checkpoint holds, or begin one."""
    computation = {
        "what": "top_modes",
        "top_k": search.top_k,
        "accuracy": search.accuracy,
        "capacity": search.space.capacity,
        "shape": operator.shape,
        "dtype": np.dtype(operator.dtype).name,
    }
    records = checkpoint.open(computation, search.space.basis)
    if not records:
        checkpoint.begin(search.state())
        return
    search.restore(records[0])
    for record in records[1:]:
        search.accept(record)


def _move_on(
    search: ModeSearch, move: Move, operator: KernelOperator, checkpoint: Checkpoint | None
) -> None:
    """Do what is to be done next, and keep it."""
    if move == "advance":
        record = search.advance(operator)
        if checkpoint is not None:
            checkpoint.append(record)
        return
    search.restart() if move == "restart" else search.append_random()
    if checkpoint is not None:
        checkpoint.begin(search.state())


def _measured(search: ModeSearch, operator: KernelOperator) -> TopModes:
    """The modes with the residuals that a pass of their own finds."""
    values, vectors, following = search.modes()
    exponent = search.space.exponent
    given = scaled_back(values, exponent)
    if values[0] <= 0:
        raise ValueError(f"kernel must have a positive eigenvalue; the largest is {given[0]:.3g}")
    check_representable(float(given[0]), 0.0, "float64")
    defects = search.space.product(operator, vectors) - vectors * values
    residuals = np.linalg.norm(defects, axis=0) / values[0]
    notes: tuple[str, ...] = ()
    if (worst := float(residuals.max())) > search.accuracy:
        notes += (
            f"the residuals reach {worst:.2g}, not the accuracy asked for, {search.accuracy:.2g}: "
            "the products themselves are rounded more coarsely",
        )
    return TopModes(
        eigenvalues=given,
        eigenvectors=vectors,
        residuals=residuals,
        next_eigenvalue=float(scaled_back(following, exponent)),
        n_products=search.n_products + 1,
        accuracy=search.accuracy,
        notes=notes,
    )
