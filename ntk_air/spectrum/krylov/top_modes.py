"""The largest eigenpairs of a kernel by blocks of vectors: each pass over it serves a whole block.

Block Lanczos with full reorthogonalisation and thick restarts (Wu, Simon 2000). Where a kernel is
read from disk or computed anew for each product, passes are what it costs, and a block of twenty
vectors takes a pass as one vector does.
"""

import math
from typing import Literal

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ntk_air._base.checks import check_at_least, check_fraction, check_positive
from ntk_air._base.memory import require_memory
from ntk_air._base.progress import Progress, no_progress
from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.spectrum.krylov.checkpoint import Checkpoint, Record
from ntk_air.spectrum.krylov.space import KrylovSpace, product, random_block, space_bytes
from ntk_air.spectrum.solvers import DecompositionError

ACCURACIES = {"float64": 1e-10, "float32": 1e-6}
"""Residuals to stop at, ‖Θv − λv‖/λ₁, by the precision of the products."""

# Passes, two blocks wide, that a space has room for beside the modes.
_FEWEST_PASSES, _USUAL_PASSES = 6, 16

# A search for missed modes takes these passes at least, and ends with a residual so much smaller
# than the last mode.
_LEAST_PASSES, _SEARCH_TOLERANCE = 2, 1e-2
_CUT_SHORT = -1

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
        norm = float(np.linalg.norm(self.residuals)) * float(self.eigenvalues[0])
        gap = float(self.eigenvalues[-1]) - self.next_eigenvalue
        if math.isnan(gap):
            return 0.0
        return min(1.0, norm / gap) if gap > 0 else 1.0


def top_modes(
    operator: KernelOperator,
    top_k: int,
    *,
    block: int = 16,
    accuracy: float | None = None,
    max_products: int = 500,
    max_memory_bytes: int | None = None,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    progress: Progress = no_progress,
) -> TopModes:
    """The ``top_k`` largest eigenpairs, repeated eigenvalues included.

    A block of p vectors sees p directions of each eigenspace. So once the modes have converged a
    random block joins the space and is followed until its largest Ritz value outside the space so
    far has settled: one above the last mode is a mode that was missed, and the search goes on.

    Args:
        operator: Θ.
        top_k: modes to find.
        block: vectors of a pass.
        accuracy: ‖Θv − λv‖/λ₁ to stop at; ``None`` goes by the precision of the products.
        max_products: passes after which it gives up.
        max_memory_bytes: a bound in bytes beside the kernel; a smaller space restarts more often.
        seed: of the random blocks.
        checkpoint: keeps every pass; an interrupted run goes on bit by bit as it would have.
        progress: called after each pass: passes, of those expected, and modes that converged.

    Raises:
        ValueError: ``top_k`` outside 1 … n, arguments out of range, or a checkpoint of another
            computation.
        MemoryBudgetError: the smallest space that can be searched would not fit.
        DecompositionError: products that are not finite; not converged within ``max_products``.
    """
    n = operator.shape[0]
    if not 1 <= top_k <= n:
        raise ValueError(f"top_k must lie in 1 … n = {n}; got {top_k}")
    check_at_least("block", block, 1)
    check_at_least("max_products", max_products, 1)
    if accuracy is None:
        accuracy = ACCURACIES[np.dtype(operator.dtype).name]
    check_positive("accuracy", accuracy)
    check_fraction("accuracy", accuracy)
    block = min(block, n)
    capacity = _capacity(n, top_k, block, max_memory_bytes)
    search = _Search(n, top_k, block=block, capacity=capacity, accuracy=accuracy, seed=seed)
    computation = {
        "what": "top_modes",
        "top_k": top_k,
        "accuracy": accuracy,
        "capacity": capacity,
        "shape": operator.shape,
        "dtype": np.dtype(operator.dtype).name,
    }
    _follow(search, operator, computation, max_products, checkpoint, progress)
    return _measured(search, operator)


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


def _follow(
    search: "_Search",
    operator: KernelOperator,
    computation: dict[str, object],
    max_products: int,
    checkpoint: Checkpoint | None,
    progress: Progress,
) -> None:
    """Take what a checkpoint holds, and go on to the end."""
    records = []
    if checkpoint is not None:
        records = checkpoint.open(computation, search.space.basis)
    if records:
        search.restore(records[0])
        for record in records[1:]:
            search.accept(record)
    elif checkpoint is not None:
        checkpoint.begin(search.state())
    expected = expected_products(search.top_k, search.block)
    while (move := search.next_move()) != "finish":
        if move == "advance":
            if search.n_products >= max_products:
                raise DecompositionError(
                    f"{search.n_converged} of {search.top_k} modes converged in {max_products} "
                    "products: raise max_products or accuracy, use larger blocks, or more memory"
                )
            record = search.advance(operator)
            if checkpoint is not None:
                checkpoint.append(record)
            progress(_CONVERGED, search.n_converged, search.top_k)
            progress(_PASSES, search.n_products, max(expected, search.n_products + 1))
            continue
        search.restart() if move == "restart" else search.append_random()
        if checkpoint is not None:
            checkpoint.begin(search.state())
    progress(_PASSES, search.n_products, search.n_products)


class _Search:
    """A Krylov space on its way to the modes. What it does next depends on its state alone."""

    def __init__(
        self, n: int, top_k: int, *, block: int, capacity: int, accuracy: float, seed: int
    ):
        self.top_k, self.accuracy = top_k, accuracy
        self.block, self._capacity, self._seed = block, capacity, seed
        self.space = KrylovSpace(n, capacity)
        self.n_products = 0
        # Random blocks so far; the column that the last one begins at; the passes since, or
        # _CUT_SHORT where a restart has mixed its columns with the others.
        self._n_random = self._random_from = self._random_passes = 0
        self.append_random()

    def state(self) -> Record:
        """The whole of it, as ``restore`` takes it."""
        counters = (self.n_products, self._n_random, self._random_from, self._random_passes)
        return self.space.state() | {"counters": np.array(counters)}

    def restore(self, record: Record) -> None:
        """Become what ``state`` described."""
        self.space.restore(record)
        counters = (int(counter) for counter in record["counters"])
        self.n_products, self._n_random, self._random_from, self._random_passes = counters
        self._see()

    def next_move(self) -> Literal["advance", "restart", "random", "finish"]:
        """What is to be done."""
        space, n_pending = self.space, self.space.size - self.space.n_done
        if space.is_invariant and space.size == space.n:
            return "finish"
        if self.n_converged == self.top_k and self._is_settled():
            if self._n_random > 1 and self._outside()[0] <= self._last_value + self._tolerance:
                return "finish"
            if space.size < space.n:
                # One pass of a search tells nothing: it must be able to go on.
                room = self.block + _LEAST_PASSES * (n_pending + self.block)
                return "random" if self._has_room(room) or not self._can_shrink else "restart"
        if space.is_invariant:
            return "random"
        return "advance" if self._has_room(n_pending) else "restart"

    def advance(self, operator: KernelOperator) -> Record:
        """One pass over the kernel; returns what is new."""
        record = self.space.advance(operator)
        self._count()
        return record

    def accept(self, record: Record) -> None:
        """Add what ``advance`` found."""
        self.space.accept(record)
        self._count()

    def restart(self) -> None:
        """Compress the space to its largest Ritz vectors."""
        space, kept = self.space, self._n_kept
        if not self._can_shrink:
            raise self._no_room()
        vectors = self._vectors[:, :kept]
        pending = space.basis[:, space.n_done :]
        space.restore(
            {
                "basis": np.hstack([space.basis[:, : space.n_done] @ vectors, pending]),
                "projection": np.vstack([np.diag(self._values[:kept]), space.coupling @ vectors]),
                "dropped": np.asarray(space.dropped),
            }
        )
        self._random_passes = _CUT_SHORT
        self._see()

    def append_random(self) -> None:
        """Let a random block join, to be followed for modes that the space has not seen."""
        space = self.space
        width = min(self.block, space.room)
        if width == 0:
            raise self._no_room()
        block = random_block(space, width, (self._seed, self._n_random))
        self._n_random, self._random_from, self._random_passes = self._n_random + 1, space.size, 0
        space.append_pending(block)
        self._see()

    @property
    def n_converged(self) -> int:
        """Modes with a residual at most the accuracy, from the first on."""
        good = self._residuals[: self.top_k] <= self._tolerance
        return len(good) if good.all() else int(np.argmin(good))

    def modes(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Eigenvalues, eigenvectors, and the largest Ritz value below them."""
        values, k = self._values, self.top_k
        vectors = self.space.basis[:, : self.space.n_done] @ self._vectors[:, :k]
        return values[:k], vectors, float(values[k]) if len(values) > k else math.nan

    @property
    def _tolerance(self) -> float:
        """The accuracy, in units of Θ."""
        return self.accuracy * float(max(self._values[0], 0)) if len(self._values) else 0.0

    @property
    def _last_value(self) -> float:
        return float(self._values[self.top_k - 1])

    @property
    def _n_kept(self) -> int:
        """Ritz vectors that a restart keeps: more than asked for, which converge sooner for it."""
        return min(self.top_k + (self._capacity - self.top_k) // 3, self.space.n_done)

    @property
    def _can_shrink(self) -> bool:
        return self._n_kept < self.space.n_done

    def _no_room(self) -> DecompositionError:
        n_pending = self.space.size - self.space.n_done
        return DecompositionError(
            f"a Krylov space of {self._capacity} vectors has no room for blocks of {n_pending}, "
            "which many equal eigenvalues ask for: allow more memory"
        )

    def _has_room(self, columns: int) -> bool:
        return self.space.room >= min(columns, self.space.n - self.space.size)

    def _is_settled(self) -> bool:
        """Whether it is known how large the eigenvalues outside the space can be.

        That is the space before the last random block joined. Of the first there is none.
        """
        if self._n_random == 1 or self._random_passes == _CUT_SHORT:
            return True
        if self._random_passes < _LEAST_PASSES and not self.space.is_invariant:
            return False
        largest, residual = self._outside()
        known = max(_SEARCH_TOLERANCE * self._last_value, self._tolerance)
        return residual <= known or largest + residual <= self._last_value

    def _outside(self) -> tuple[float, float]:
        """The largest Ritz value of what joined since the last random block, and its residual."""
        if self._random_passes == _CUT_SHORT:
            return math.inf, 0.0
        since = slice(self._random_from, self.space.n_done)
        projection = self.space.projection[since, since]
        if not projection.size:
            return 0.0, 0.0
        values, vectors = np.linalg.eigh((projection + projection.T) / 2)
        leaving = self.space.coupling[:, since] @ vectors[:, -1]
        return float(values[-1]), float(np.linalg.norm(leaving))

    def _count(self) -> None:
        self.n_products += 1
        if self._random_passes != _CUT_SHORT:
            self._random_passes += 1
        self._see()

    def _see(self) -> None:
        """Ritz values, descending, with vectors and residuals."""
        projection = self.space.projection
        values, vectors = np.linalg.eigh((projection + projection.T) / 2)
        self._values, self._vectors = values[::-1], vectors[:, ::-1]
        self._residuals = np.linalg.norm(self.space.coupling @ self._vectors, axis=0)


def _measured(search: _Search, operator: KernelOperator) -> TopModes:
    """The modes with the residuals that a pass of their own finds."""
    values, vectors, following = search.modes()
    if values[0] <= 0:
        raise ValueError(f"kernel must have a positive eigenvalue; the largest is {values[0]:.3g}")
    defects = product(operator, vectors) - vectors * values
    residuals = np.linalg.norm(defects, axis=0) / values[0]
    notes: tuple[str, ...] = ()
    if (worst := float(residuals.max())) > search.accuracy:
        notes += (
            f"the residuals reach {worst:.2g}, not the accuracy asked for, {search.accuracy:.2g}: "
            "the products themselves are rounded more coarsely",
        )
    return TopModes(
        eigenvalues=values.copy(),
        eigenvectors=vectors,
        residuals=residuals,
        next_eigenvalue=following,
        n_products=search.n_products + 1,
        accuracy=search.accuracy,
        notes=notes,
    )
