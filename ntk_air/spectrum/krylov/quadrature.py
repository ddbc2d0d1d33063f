"""Block Lanczos started at labels: one run over the kernel for all classes, signal and noise."""

from collections.abc import Mapping

import equinox as eqx
import numpy as np
import scipy.linalg
from jaxtyping import Float

from ntk_air._base.checks import (
    check_array,
    check_callable,
    check_finite,
    check_floating,
    check_kind,
    check_whole_number,
    shown,
)
from ntk_air._base.memory import check_budget
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray
from ntk_air.kernels.operators.operator import KernelOperator, check_operator
from ntk_air.spectrum.krylov.checkpoint import Checkpoint
from ntk_air.spectrum.krylov.jacobi import Rule, jacobi_of_projection
from ntk_air.spectrum.krylov.measure import SpectralMeasure
from ntk_air.spectrum.krylov.space import (
    EPSILON,
    KrylovSpace,
    orthonormal,
    require_space_memory,
    rounding,
)

_STAGE = "products with the labels"


class LabelQuadrature(eqx.Module):
    """What m products started at labels have found: measures of them, for m or fewer products."""

    projection: Float[np.ndarray, "n_all n_done"]
    """VᵀΘ of the basis' images, as computed: T on top, below it what leads out of the space. Over
    2^``exponent``."""
    block_ends: tuple[int, ...] = eqx.field(static=True)
    """The columns of the basis before each product, and at the end."""
    coordinates: dict[str, Float[np.ndarray, "rank _"]]
    """Each label matrix in the first block, (rank, n_column)."""
    dropped: float
    """What rank deflation left out, in units of Θ/2^``exponent``."""
    n: int = eqx.field(static=True)
    exponent: int = eqx.field(static=True, default=0)
    """0 unless squares of Θ's numbers would leave floating point."""

    @property
    def n_products(self) -> int:
        """m, the passes over the kernel."""
        return len(self.block_ends) - 1

    def measures(self, *, n_products: int | None = None) -> dict[str, SpectralMeasure]:
        """The measure of each label matrix.

        All is exact of a kernel Θ′ close to Θ. In exact arithmetic the projection is symmetric: how
        far it is not, S = ‖T − Tᵀ‖, shows the rounding of products inside the space. Independent
        errors, spread evenly over all n directions, of which the space has d, would make ‖Θ′ − Θ‖
        (1 + √(n/d))·S/√8, and √8 times as much is allowed for. That is an allowance, not a theorem.
        What rank deflation left out, and the backward error of LAPACK's eigensolver, are added.

        Args:
            n_products: use the first so many products alone; ``None`` is all.

        Raises:
            ValueError: more products than there were.
        """
        m = self.n_products if n_products is None else n_products
        m = check_whole_number("n_products", m, minimum=1, maximum=self.n_products)
        size, end = self.block_ends[m - 1 : m + 1]
        computed = self.projection[:size, :size]
        values, vectors = np.linalg.eigh((computed + computed.T) / 2)
        scale = float(np.abs(values).max())
        rounded = 8 * size**0.5 * EPSILON * scale
        asymmetry = spectral_norm(computed - computed.T)
        rounding_of_products = (1 + (self.n / size) ** 0.5) * asymmetry
        # Descending; the kernel is positive semi-definite, so what is below 0 is rounding.
        atoms, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
        leaving = self.projection[size:end, :size] @ vectors
        return {
            name: SpectralMeasure(
                columns=tuple(
                    jacobi_of_projection(atoms, column, leaving, m, tolerance=rounded)
                    for column in (vectors[: len(start)].T @ start).T
                    if column.any()
                ),
                modes=Rule(atoms, np.sum((vectors[: len(start)].T @ start) ** 2, axis=1)),
                amplitudes=vectors[: len(start)].T @ start,
                leaving=leaving,
                n_products=m,
                uncertainty=rounding_of_products + rounded + self.dropped,
                exponent=self.exponent,
            )
            for name, start in self.coordinates.items()
        }


def spectral_norm(matrix: Float[np.ndarray, "n n"]) -> float:
    """The largest singular value."""
    last = len(matrix) - 1
    square = scipy.linalg.eigvalsh(matrix.T @ matrix, subset_by_index=(last, last))
    return float(max(square[0], 0.0)) ** 0.5


def label_quadrature(
    operator: KernelOperator,
    labels: Mapping[str, AnyArray],
    n_products: int,
    *,
    checkpoint: Checkpoint | None = None,
    max_memory_bytes: int | None = None,
    progress: Progress = no_progress,
) -> LabelQuadrature:
    """m products with Θ, started at label matrices: their spectral measures with bounds.

    Block Lanczos with full reorthogonalisation (Golub, Underwood 1977; theory.md section 9). The
    first block spans all columns of all matrices; dependent ones are dropped. For a kernel Θ ⊗ I_C,
    as at infinite width, give Θ and labels of C columns; for one of n·C rows give each label matrix
    flattened, as one column: its measure is that of the sum.

    Args:
        operator: Kernel operator Θ, n × n.
        labels: Label matrices by name, shape (n, n_column) each, in any unit.
        n_products: Number m of passes over the kernel; fewer where the space becomes invariant.
        checkpoint: Folder that keeps every pass, so that an interrupted run goes on bit by bit as
            it would have; ``None`` keeps nothing.
        max_memory_bytes: Bound in bytes on what this call holds beside the kernel, refused before
            the start; ``None`` is no bound.
        progress: Function called after each pass.

    Returns:
        What the products have found; its ``measures()`` hold for each label matrix the training
        curve and the energies by eigenvalue, every number between two bounds.

    Raises:
        ValueError: Labels of another length, not finite, or all zero; ``n_products`` below 1; a
            checkpoint of another computation.
        MemoryBudgetError: The space would not fit.
        DecompositionError: The kernel's products are not finite.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
        >>> theta = na.recomputed_kernel(na.DenseNTK(depth=3), x)
        >>> found = na.label_quadrature(theta, {"signal": np.sign(x[:, :1])}, 8)
        >>> left = found.measures()["signal"].decay(np.array([0.0, 10.0, 100.0]))
        >>> bool(np.all(left.lower <= left.upper)), float(left.estimate[0])
        (True, 1.0)
    """
    check_operator("operator", operator)
    check_kind("checkpoint", checkpoint, Checkpoint, type(None))
    check_callable("progress", progress)
    max_memory_bytes = check_budget(max_memory_bytes)
    n_products = check_whole_number("n_products", n_products, minimum=1)
    columns = _columns(labels, operator.shape[0])
    space, coordinates = _started(columns, n_products, max_memory_bytes)
    keeper = None if checkpoint is None else _Keeper(checkpoint, operator, columns)
    block_ends = _follow(space, operator, n_products, keeper=keeper, progress=progress)
    widths = np.cumsum([matrix.shape[1] for matrix in labels.values()])[:-1]
    parts = np.split(coordinates, widths, axis=1)
    return LabelQuadrature(
        projection=np.vstack([space.projection, space.coupling]),
        block_ends=tuple(block_ends),
        coordinates=dict(zip(labels, parts, strict=True)),
        dropped=space.dropped,
        n=space.n,
        exponent=space.exponent,
    )


def _columns(labels: Mapping[str, AnyArray], n: int) -> Float[np.ndarray, "n n_all"]:
    """The columns of all label matrices, checked."""
    if not isinstance(labels, Mapping) or not labels:
        raise ValueError(f"labels must hold at least one matrix by its name; got {shown(labels)}")
    return np.hstack([_checked(name, matrix, n) for name, matrix in labels.items()])


def _checked(name: str, labels: AnyArray, n: int) -> np.ndarray:
    what = f"labels[{name!r}]"
    check_array(what, labels)
    if labels.ndim != 2 or len(labels) != n:
        raise ValueError(
            f"{what} must have shape (n, n_column) with n = {n} rows, as the kernel has; got "
            f"{labels.shape}"
        )
    check_floating(what, labels)
    check_finite(what, labels)
    if not np.any(np.asarray(labels)):
        raise ValueError(f"{what} must not be all zero: zero has no energy to share out")
    return np.asarray(labels, np.float64)


def _started(
    columns: Float[np.ndarray, "n n_all"], n_products: int, max_memory_bytes: int | None
) -> tuple[KrylovSpace, Float[np.ndarray, "rank n_all"]]:
    """A space that begins with the span of the labels, and their coordinates in it."""
    n = len(columns)
    tolerance = rounding(n) * float(np.max(np.linalg.norm(columns, axis=0)))
    first, coordinates, _ = orthonormal(columns, tolerance=tolerance, max_rank=n)
    width = first.shape[1]
    # One block more than products: the last leads out of the space, and bounds what is unknown.
    capacity = width * (n_products + 1)
    require_space_memory(n, capacity, width, max_bytes=max_memory_bytes)
    space = KrylovSpace(n, capacity)
    space.append_pending(first)
    return space, coordinates


class _Keeper:
    """The passes of one quadrature in its checkpoint."""

    def __init__(self, checkpoint: Checkpoint, operator: KernelOperator, columns: np.ndarray):
        self.checkpoint = checkpoint
        computation = {
            "what": "label_quadrature",
            "shape": operator.shape,
            "dtype": str(operator.dtype),
        }
        self._records = checkpoint.open(computation, columns)

    def resume(self, space: KrylovSpace, n_products: int) -> list[int]:
        """Take the passes kept, or begin; the basis' columns after each."""
        if not self._records:
            self.checkpoint.begin(space.state())
            return []
        space.restore(self._records[0])
        block_ends = []
        for record in self._records[1 : n_products + 1]:
            space.accept(record)
            block_ends.append(space.size)
        return block_ends


def _follow(
    space: KrylovSpace,
    operator: KernelOperator,
    n_products: int,
    *,
    keeper: _Keeper | None,
    progress: Progress,
) -> list[int]:
    """All passes; the basis' columns before the first and after each."""
    block_ends = [space.size]
    if keeper is not None:
        block_ends += keeper.resume(space, n_products)
    while len(block_ends) <= n_products and not space.is_invariant:
        progress(_STAGE, len(block_ends) - 1, n_products)
        record = space.advance(operator)
        if keeper is not None:
            keeper.checkpoint.append(record)
        block_ends.append(space.size)
    progress(_STAGE, n_products, n_products)
    return block_ends
