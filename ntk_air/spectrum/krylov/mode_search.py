"""The search for top modes: a Krylov space, and what is to be done with it next."""

import math
from typing import Literal, TypeAlias

import numpy as np

from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.spectrum.krylov.checkpoint import Record
from ntk_air.spectrum.krylov.space import KrylovSpace, random_block
from ntk_air.spectrum.solvers import DecompositionError

Move: TypeAlias = Literal["advance", "restart", "random", "finish"]

# A search for missed modes takes these passes at least, and ends with a residual so much smaller
# than the last mode.
_LEAST_PASSES, _SEARCH_TOLERANCE = 2, 1e-2
_CUT_SHORT = -1


class ModeSearch:
    """A Krylov space on its way to the modes. What it does next depends on its state alone.

    Args:
        space: an empty space of the capacity that memory allows.
        top_k: the number of modes.
        block: the number of vectors of a pass.
        accuracy: ‖Θv − λv‖/λ₁ to stop at.
        seed: the seed of the random blocks.
    """

    def __init__(self, space: KrylovSpace, top_k: int, *, block: int, accuracy: float, seed: int):
        self.top_k, self.accuracy = top_k, accuracy
        self.block, self._seed = block, seed
        self.space = space
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

    def next_move(self) -> Move:
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
                "exponent": np.asarray(space.exponent),
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
        return min(self.top_k + (self.space.capacity - self.top_k) // 3, self.space.n_done)

    @property
    def _can_shrink(self) -> bool:
        return self._n_kept < self.space.n_done

    def _no_room(self) -> DecompositionError:
        n_pending = self.space.size - self.space.n_done
        return DecompositionError(
            f"a Krylov space of {self.space.capacity} vectors has no room for blocks of "
            f"{n_pending}, which many equal eigenvalues ask for: allow more memory"
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
