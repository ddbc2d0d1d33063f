"""A block Krylov space: an orthonormal basis, and what the kernel does to it.

The basis lives on the host in float64, whatever precision the kernel's products have: its
orthogonality is what every bound rests on, and the kernel is what a pass costs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.linalg
from jaxtyping import Float

from ntk_air._base.memory import require_memory
from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.spectrum.krylov.checkpoint import Record
from ntk_air.spectrum.scaling import exponent_of_products, far_down, scaled_products
from ntk_air.spectrum.solvers import DecompositionError

VectorBlock = Float[np.ndarray, "n p"]

EPSILON = float(np.finfo(np.float64).eps)
_ROUNDS = 4


class KrylovSpace:
    """An orthonormal basis V = [V_done, V_pending] with ΘV_done = V·projection.

    Only the pending columns have no image yet; ``advance`` gives them one and makes what leaves
    the basis the new pending columns, each orthogonalised against all others, twice (full
    reorthogonalisation). A direction whose part outside the basis is of the size of rounding is
    dropped (rank deflation): blocks shrink, and a space without pending columns is invariant.

    Args:
        n: rows of the kernel.
        capacity: columns that the basis may come to.
    """

    def __init__(self, n: int, capacity: int):
        self.n = n
        self.capacity = capacity = min(capacity, n)
        # Columns are contiguous, and memory is touched only where one is written.
        self._basis = np.zeros((n, capacity), order="F")
        self._projection = np.zeros((capacity, capacity))
        self.n_done = self.size = 0
        self.dropped = 0.0
        """‖what rank deflation left out‖, in units of Θ/2^exponent."""
        self.exponent = 0
        """What the first pass found: 0, unless squares of Θ's numbers would leave floating point;
        the projection is in the same units."""

    @property
    def basis(self) -> VectorBlock:
        """V, (n, size)."""
        return self._basis[:, : self.size]

    @property
    def projection(self) -> Float[np.ndarray, "done done"]:
        """V_doneᵀ Θ V_done, as computed: its asymmetry is the rounding of the products."""
        return self._projection[: self.n_done, : self.n_done]

    @property
    def coupling(self) -> Float[np.ndarray, "pending done"]:
        """V_pendingᵀ Θ V_done: what keeps the space from being invariant."""
        return self._projection[self.n_done : self.size, : self.n_done]

    @property
    def room(self) -> int:
        """Columns that may still be added."""
        return self._basis.shape[1] - self.size

    @property
    def is_invariant(self) -> bool:
        """Whether Θ does not lead out of the space."""
        return self.n_done == self.size

    def state(self) -> Record:
        """The whole of it, as ``restore`` takes it."""
        return {
            "basis": self.basis,
            "projection": self._projection[: self.size, : self.n_done],
            "dropped": np.asarray(self.dropped),
            "exponent": np.asarray(self.exponent),
        }

    def restore(self, record: Mapping[str, np.ndarray]) -> None:
        """Become what ``state`` described."""
        basis, projection = record["basis"], record["projection"]
        self.n_done, self.size = projection.shape[1], basis.shape[1]
        self._basis[:, : self.size] = basis
        self._projection[:] = 0
        self._projection[: self.size, : self.n_done] = projection
        self.dropped = float(record["dropped"])
        self.exponent = int(record.get("exponent", 0))

    def append_pending(self, block: VectorBlock) -> None:
        """Add orthonormal columns, orthogonal to the basis, that no image leads to."""
        self._basis[:, self.size : self.size + block.shape[1]] = block
        self.size += block.shape[1]

    def advance(self, operator: KernelOperator) -> Record:
        """One pass over the kernel: the image of the pending columns; returns what is new.

        Raises:
            DecompositionError: the kernel's products are not finite.
        """
        block = self._basis[:, self.n_done : self.size]
        if self.n_done == 0:
            rest, exponent = _first_product(operator, block)
        else:
            rest, exponent = self.product(operator, block), self.exponent
        coefficients = self._remove(rest)
        scale = max(self._scale(), float(np.max(np.linalg.norm(coefficients, axis=0), initial=0)))
        new, coupling, dropped = orthonormal(
            rest, tolerance=rounding(self.n) * scale, max_rank=self.n - self.size
        )
        for _ in range(_ROUNDS if new.shape[1] else 0):
            # Twice is enough (Parlett 1998, section 6.9), but where a space is nearly invariant:
            # what is left is rounding, mostly inside the basis.
            inside = self._remove(new)
            coefficients += inside @ coupling
            new, triangle = np.linalg.qr(new)
            coupling = triangle @ coupling
            if np.min(np.abs(np.diagonal(triangle))) > 0.5:  # nothing to speak of was inside
                break
        record = {
            "block": new,
            "coefficients": np.vstack([coefficients, coupling]),
            "dropped": np.asarray(np.hypot(self.dropped, dropped)),
            "exponent": np.asarray(exponent),
        }
        self.accept(record)
        return record

    def accept(self, record: Mapping[str, np.ndarray]) -> None:
        """Add what ``advance`` found."""
        new, coefficients = record["block"], record["coefficients"]
        if new.shape[1] > self.room:
            raise DecompositionError("the Krylov space has no room for another block")
        end = self.size + new.shape[1]
        self._projection[:end, self.n_done : self.size] = coefficients
        self._basis[:, self.size : end] = new
        self.n_done, self.size = self.size, end
        self.dropped = float(record["dropped"])
        self.exponent = int(record.get("exponent", 0))

    def product(self, operator: KernelOperator, block: VectorBlock) -> VectorBlock:
        """Θ·block/2^exponent."""
        return product(scaled_products(operator, self.exponent), block)

    def _remove(self, block: VectorBlock) -> Float[np.ndarray, "size p"]:
        """Subtract from a block, in place, its part inside the basis; return its coordinates."""
        coordinates = self.basis.T @ block
        block -= self.basis @ coordinates
        return coordinates

    def _scale(self) -> float:
        done = self._projection[: self.size, : self.n_done]
        return float(np.max(np.linalg.norm(done, axis=0), initial=0))


def _first_product(operator: KernelOperator, block: VectorBlock) -> tuple[VectorBlock, int]:
    """Θ·block/2ᵉ and e, in one pass where Θ itself is in range."""
    dtype, divided_by = np.dtype(operator.dtype), 0
    try:
        image = product(operator, block)
    except DecompositionError:  # perhaps a sum overflows, of numbers that do not
        divided_by = far_down(dtype)
        image = product(scaled_products(operator, divided_by), block)
    exponent = exponent_of_products(image, dtype, divided_by=divided_by)
    if exponent != divided_by:
        image = product(scaled_products(operator, exponent), block)
    return image, exponent


def product(operator: KernelOperator, block: VectorBlock) -> VectorBlock:
    """Θ·block in float64 on the host, computed in the operator's own precision.

    Raises:
        DecompositionError: the result is not finite.
    """
    image = operator.matvec(np.ascontiguousarray(block, dtype=operator.dtype))
    result = np.array(image, np.float64, order="F")
    if not np.isfinite(result).all():
        raise DecompositionError(
            "the kernel's products must be finite; got NaN or infinity in "
            f"{int(np.sum(~np.isfinite(result).all(axis=1)))} rows"
        )
    return result


def rounding(n: int) -> float:
    """What of a unit vector in n dimensions is rounding after a product."""
    return 4 * EPSILON * n**0.5


def orthonormal(
    block: VectorBlock, *, tolerance: float, max_rank: int
) -> tuple[Float[np.ndarray, "n rank"], Float[np.ndarray, "rank p"], float]:
    """block = basis · coefficients with an orthonormal basis of its range.

    Args:
        block: columns, any of which may depend on the others.
        tolerance: the norm at which what is left of a column counts as nothing.
        max_rank: the dimensions that there are.

    Returns:
        The basis, (n, rank); the coefficients, (rank, p); the norm of what was left out.
    """
    factors: Any = scipy.linalg.qr(block, mode="economic", pivoting=True, check_finite=False)
    basis, triangle, order = factors
    diagonal = np.abs(np.diagonal(triangle))
    rank = min(int(np.sum(diagonal > tolerance)), max_rank)
    coefficients = np.empty_like(triangle)
    coefficients[:, order] = triangle
    left_out = float(np.linalg.norm(coefficients[rank:]))
    return np.asfortranarray(basis[:, :rank]), coefficients[:rank], left_out


def random_block(space: KrylovSpace, width: int, seed: tuple[int, ...]) -> VectorBlock:
    """Random orthonormal columns orthogonal to a space; fewer where the dimensions end."""
    width = min(width, space.n - space.size)
    block = np.random.default_rng(seed).standard_normal((space.n, width))
    for _ in range(2):
        block -= space.basis @ (space.basis.T @ block)
        block, _ = np.linalg.qr(block)
    return block


def require_space_memory(n: int, columns: int, block: int, *, max_bytes: int | None) -> None:
    """Refuse a space that cannot fit.

    Raises:
        MemoryBudgetError: naming the need and a way out.
    """
    require_memory(
        what=f"a Krylov space of {columns} vectors of length {n}",
        needed_bytes=space_bytes(n, columns, block),
        max_bytes=max_bytes,
        way_out="ask for fewer products or modes, or use smaller blocks",
    )


def space_bytes(n: int, columns: int, block: int) -> int:
    """Bytes of a space at its peak: the basis, its projection and eigenvectors, and a pass.

    Of a pass, ten blocks were counted at the most: vectors and image in two precisions, the
    factors of a QR decomposition, and a checkpoint's copy.
    """
    columns = min(columns, n)
    return 8 * (n * columns + 4 * columns**2 + 10 * n * block)
