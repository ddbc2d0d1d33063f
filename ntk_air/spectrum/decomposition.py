"""Eigendecompositions of kernels: guards before the solver, residuals after it."""

import dataclasses
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import (
    check_at_least,
    check_choice,
    check_finite,
    check_floating,
    check_kind,
    check_seed,
    check_whole_number,
)
from ntk_air._base.memory import require_memory
from ntk_air._base.precision import Precision, as_precision
from ntk_air._base.typing import AnyArray, KernelMatrix
from ntk_air.kernels.operators.operator import DenseKernel, KernelOperator, as_operator
from ntk_air.spectrum import solvers
from ntk_air.spectrum.lanczos import lanczos, product
from ntk_air.spectrum.result import Spectrum
from ntk_air.spectrum.scaling import (
    binary_exponent,
    check_representable,
    scaled_back,
    scaled_down,
)
from ntk_air.spectrum.solvers import DecompositionError

__all__ = ["DecompositionError", "Method", "Spectrum", "decompose"]

Method: TypeAlias = Literal["auto", "dense", "iterative"]

# Arrays alive at the peak, measured at n = 3,000. All modes: the kernel, its symmetrised copy,
# eigh's copy and two of workspace, the eigenvectors reordered. Top k: the first two and one copy.
_FULL_MATRICES = 6
_TOP_MATRICES = 3
# n × k blocks: Lanczos keeps 2k + 1 vectors; the result, its products and copies are 4k more.
_BLOCKS = 6


@dataclasses.dataclass(frozen=True)
class DecompositionOptions:
    """What a decomposition accepts, and the limits of its solvers.

    Attributes:
        symmetry_tolerance: The asymmetry that is accepted and averaged away, max |Θ − Θᵀ| relative
            to max |Θ|; more is refused.
        seed: The seed of the iterative solver's start vector and of the symmetry probe.
        max_iterations: The most iterations of the iterative solver; ``None`` is ten times n.
        eigh_size_limit: The largest n that ``jax.numpy.linalg.eigh`` is trusted with; ``None`` is
            32,766 on a CPU, 16,000 elsewhere. Above it syevr takes its place, which is slower, and
            ``solver`` and ``notes`` of the spectrum say so.

    Raises:
        ValueError: A tolerance that is negative or not finite; a seed or a limit that is no whole
            number in range.

    Example:
        >>> import numpy as np
        >>> import ntk_air as na
        >>> kernel = np.array([[1.0, 0.01], [0.0, 1.0]], np.float32)
        >>> options = na.DecompositionOptions(symmetry_tolerance=0.1)
        >>> na.decompose(kernel, precision="float32", options=options).notes
        ('the kernel was asymmetric beyond rounding (0.01) and was averaged',)
    """

    symmetry_tolerance: float = 1e-5
    seed: int = 0
    max_iterations: int | None = None
    eigh_size_limit: int | None = None

    def __post_init__(self) -> None:
        check_at_least("symmetry_tolerance", self.symmetry_tolerance, 0.0)
        check_seed("seed", self.seed)
        for name in ("max_iterations", "eigh_size_limit"):
            if getattr(self, name) is not None:
                check_whole_number(name, getattr(self, name), minimum=1)


_USUAL = DecompositionOptions()


def decompose(
    kernel: KernelOperator | KernelMatrix,
    *,
    top_k: int | None = None,
    precision: Precision = "float64",
    method: Method = "auto",
    max_memory_bytes: int | None = None,
    options: DecompositionOptions = _USUAL,
) -> Spectrum:
    """Decompose a kernel, Θ = V diag(λ) Vᵀ, and check the result (theory.md section 0).

    Args:
        kernel: Operator Θ, or the matrix itself, shape (n_train, n_train).
        top_k: Number of the largest modes to compute; ``None`` is all.
        precision: Precision that the solver and its result run in, ``"float32"`` or ``"float64"``.
        method: Solver. ``"dense"`` takes the whole matrix: for all modes ``jax.numpy.linalg.eigh``
            on the matrix's device, for the top k LAPACK's syevr on the host. ``"iterative"`` is
            ARPACK's Lanczos on products Θ·v alone, for the top k. ``"auto"`` is the latter for
            the top k of an operator that is not dense.
        max_memory_bytes: Bound in bytes; what would need more is refused before the start.
        options: Accepted asymmetry, seed and limits of the solvers.

    Returns:
        The spectrum, eigenvalues descending, with residuals and the reasons for any shortfall.

    Raises:
        ValueError: A kernel that is not square, finite, floating and symmetric within the
            tolerance, or has no positive eigenvalue that its precision holds; ``top_k`` out of
            range.
        MemoryBudgetError: The need exceeds ``max_memory_bytes``.
        DecompositionError: The solver failed or lost more than half the digits.

    Example:
        >>> import jax; jax.config.update("jax_enable_x64", True)
        >>> import numpy as np
        >>> import ntk_air as na
        >>> spectrum = na.decompose(np.array([[2.0, 1.0], [1.0, 2.0]]))
        >>> np.asarray(spectrum.eigenvalues).round(12).tolist(), spectrum.n_below_precision
        ([3.0, 1.0], 0)
    """
    as_precision(0.0, precision, what="the decomposition")  # refuses before anything is computed
    check_kind("options", options, DecompositionOptions)
    operator = as_operator(kernel, "kernel")
    method = _choose_method(operator, top_k, method)
    top_k = _checked_top_k(operator.shape[0], top_k, method)
    require_decomposition_memory(
        operator.shape[0],
        top_k=top_k,
        precision=precision,
        method=method,
        max_bytes=max_memory_bytes,
    )
    diagonal = _checked_diagonal(operator)
    exponent = binary_exponent(operator, diagonal, precision)
    operator = scaled_down(operator, exponent)
    if method == "iterative":
        assert top_k is not None  # _checked_top_k saw to it
        solved = _solve_iteratively(operator, top_k, precision, options)
    else:
        solved = _solve_dense(operator, top_k, precision, options)
    trace = float(np.sum(scaled_back(diagonal, -exponent), dtype=np.float64))
    return _checked_spectrum(solved, trace=trace, precision=precision, exponent=exponent)


def _choose_method(operator: KernelOperator, top_k: int | None, method: Method) -> Method:
    check_choice("method", method, ("auto", "dense", "iterative"))
    if method != "auto":
        return method
    return "dense" if top_k is None or isinstance(operator, DenseKernel) else "iterative"


def _checked_diagonal(operator: KernelOperator) -> Float[AnyArray, " n"]:
    diagonal = operator.diagonal()
    check_floating("kernel", diagonal)
    check_finite("kernel diagonal", diagonal)
    return diagonal


def _checked_top_k(n: int, top_k: int | None, method: Method) -> int | None:
    if n == 0:
        raise ValueError("kernel must not be empty; got shape (0, 0)")
    if top_k is not None:
        top_k = check_whole_number("top_k", top_k, minimum=1, maximum=n)
    if method == "iterative" and (top_k is None or top_k >= n):
        raise ValueError(
            f"method='iterative' computes fewer than all modes: top_k must lie in 1 … {n - 1}; "
            f"got {top_k}; for all modes use method='dense'"
        )
    return top_k


def require_decomposition_memory(
    n: int,
    *,
    top_k: int | None = None,
    precision: Precision = "float64",
    method: Method = "dense",
    max_bytes: int | None,
) -> None:
    """Refuse a decomposition of n examples that needs more than ``max_bytes``.

    ``decompose`` asks this itself; asked before the kernel is evaluated it saves that work.

    Raises:
        MemoryBudgetError: naming the need and a way out.
    """
    way_out = "use fewer examples, precision='float32', or top_k with method='iterative'"
    if top_k is None:
        elements = _FULL_MATRICES * n * n
    elif method == "dense":
        elements = _TOP_MATRICES * n * n + _BLOCKS * n * top_k
    else:
        elements = _BLOCKS * n * top_k
        way_out = "ask for fewer modes with top_k"
    require_memory(
        what=f"decomposing a kernel of {n} examples",
        needed_bytes=elements * np.dtype(precision).itemsize,
        max_bytes=max_bytes,
        way_out=way_out,
    )


class _Solved(NamedTuple):
    """Eigenpairs as a solver returned them, with the kernel that they are of."""

    operator: KernelOperator
    eigenvalues: Float[Array, " n_mode"]
    eigenvectors: Float[Array, "n_train n_mode"]
    symmetry_error: float
    epsilon: float
    solver: str
    notes: tuple[str, ...] = ()


def _solve_dense(
    operator: KernelOperator,
    top_k: int | None,
    precision: Precision,
    options: DecompositionOptions,
) -> _Solved:
    matrix = as_precision(operator.to_dense(), precision, what="the decomposition")
    check_finite("kernel", matrix)
    symmetry_error = float(_asymmetry(matrix))
    _check_symmetry(symmetry_error, options.symmetry_tolerance)
    if symmetry_error > 0:
        matrix = (matrix + matrix.T) / 2
    solver, eigenvalues, eigenvectors, notes = _eigenpairs(matrix, top_k, options.eigh_size_limit)
    return _Solved(
        DenseKernel(matrix),
        eigenvalues,
        eigenvectors,
        symmetry_error=symmetry_error,
        epsilon=_epsilon(operator, precision),
        solver=solver,
        notes=notes,
    )


def _eigenpairs(
    matrix: Float[Array, "n n"], top_k: int | None, size_limit: int | None
) -> tuple[str, Array, Array, tuple[str, ...]]:
    """Run the solver, or the one that takes its place: (name, eigenvalues, eigenvectors, notes)."""
    n = matrix.shape[0]
    if top_k is not None and top_k < n:
        pairs = solvers.relatively_robust(np.asarray(matrix), top_k=top_k)
        return "lapack_syevr", *_from_host(pairs), ()
    limit = solvers.eigh_size_limit(matrix) if size_limit is None else size_limit
    if n <= limit:
        return "jax_eigh", *solvers.jax_eigh(matrix), ()
    note = (
        f"jax.numpy.linalg.eigh is not trusted at n = {n} (limit {limit}): "
        "LAPACK's slower syevr took its place"
    )
    pairs = solvers.relatively_robust(np.asarray(matrix))
    return "lapack_syevr", *_from_host(pairs), (note,)


def _from_host(pairs: solvers.HostPairs) -> tuple[Array, Array]:
    return jnp.asarray(pairs[0]), jnp.asarray(pairs[1])


def _solve_iteratively(
    operator: KernelOperator, top_k: int, precision: Precision, options: DecompositionOptions
) -> _Solved:
    dtype, seed = np.dtype(precision), options.seed
    probes = jnp.asarray(np.random.default_rng(seed).standard_normal((operator.shape[0], 2)), dtype)
    symmetry_error = float(_probed_asymmetry(probes, product(operator, probes)))
    _check_symmetry(symmetry_error, options.symmetry_tolerance)
    pairs = lanczos(operator, top_k, dtype=dtype, seed=seed, max_iterations=options.max_iterations)
    return _Solved(
        operator,
        *_from_host(pairs),
        symmetry_error=symmetry_error,
        epsilon=_epsilon(operator, precision),
        solver="arpack_lanczos",
    )


def _check_symmetry(symmetry_error: float, tolerance: float) -> None:
    # Not `>`: a kernel whose products are NaN must not pass.
    if not symmetry_error <= tolerance:
        raise ValueError(
            "kernel must be symmetric: max |Θ − Θᵀ| / max |Θ| is "
            f"{symmetry_error:.3g}, above symmetry_tolerance = {tolerance:.3g}"
        )


def _epsilon(operator: KernelOperator, precision: Precision) -> float:
    """The coarser epsilon: a kernel built in float32 gains no digits in a float64 solver."""
    return float(max(np.finfo(operator.dtype).eps, np.finfo(precision).eps))


def _checked_spectrum(
    solved: _Solved, *, trace: float, precision: Precision, exponent: int
) -> Spectrum:
    """Measure the defining equations, refuse a gross failure, and note the small ones.

    All that was solved, and the trace, are of the kernel over two to the ``exponent``.
    """
    operator, eigenvalues, eigenvectors, symmetry_error, epsilon, solver, notes = solved
    n, n_mode = eigenvectors.shape
    values, given = np.asarray(eigenvalues), scaled_back(eigenvalues, exponent)
    if values[0] <= 0:
        raise ValueError(f"kernel must have a positive eigenvalue; the largest is {given[0]:.3g}")
    check_representable(float(given[0]), float(scaled_back(trace, exponent)), precision)
    residuals, orthogonality_error = _defects(
        product(operator, eigenvectors), eigenvalues, eigenvectors
    )
    residual, orthogonality_error = float(np.max(residuals)), float(orthogonality_error)
    # Not max(…): it drops NaN.
    if not (residual <= epsilon**0.5 and orthogonality_error <= epsilon**0.5):
        raise DecompositionError(
            f"{solver} at n = {n} in {precision} returned no decomposition: max ‖Θv − λv‖/λ₁ = "
            f"{residual:.3g}, max |VᵀV − I| = {orthogonality_error:.3g}"
        )
    floor = n * epsilon * float(values[0])
    worst = max(residual, orthogonality_error)
    if worst > n * epsilon:
        notes += (
            f"residuals or orthogonality ({worst:.3g}) are above rounding, n·ε = {n * epsilon:.3g}",
        )
    if symmetry_error > n * epsilon:
        notes += (
            f"the kernel was asymmetric beyond rounding ({symmetry_error:.3g}) and was averaged",
        )
    if values[-1] < -floor:
        notes += (f"not positive semi-definite: the smallest eigenvalue is {given[-1]:.3g}",)
    return Spectrum(
        eigenvalues=eigenvalues if exponent == 0 else jnp.asarray(given),
        eigenvectors=eigenvectors,
        residuals=residuals,
        trace=float(scaled_back(trace, exponent)),
        symmetry_error=symmetry_error,
        orthogonality_error=orthogonality_error,
        n_negative=int(np.sum(values < 0)),
        n_below_precision=int(np.sum(values <= floor)),
        epsilon=epsilon,
        precision=precision,
        complete=n_mode == n,
        solver=solver,
        notes=notes,
    )


@jax.jit
def _asymmetry(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    largest = jnp.max(jnp.abs(matrix))
    return jnp.max(jnp.abs(matrix - matrix.T)) / jnp.where(largest > 0, largest, 1)


@jax.jit
def _probed_asymmetry(
    probes: Float[Array, "n 2"], products: Float[Array, "n 2"]
) -> Float[Array, ""]:
    """|uᵀΘw − wᵀΘu| relative to ‖u‖‖Θw‖ for one random pair (u, w)."""
    crossed = jnp.abs(probes[:, 0] @ products[:, 1] - probes[:, 1] @ products[:, 0])
    scale = jnp.linalg.norm(probes[:, 0]) * jnp.linalg.norm(products[:, 1])
    return crossed / jnp.where(scale > 0, scale, 1)


@jax.jit
def _defects(
    products: Float[Array, "n n_mode"],
    eigenvalues: Float[Array, " n_mode"],
    eigenvectors: Float[Array, "n n_mode"],
) -> tuple[Float[Array, " n_mode"], Float[Array, ""]]:
    """‖Θv − λv‖/λ₁ of each mode, and max |VᵀV − I|."""
    residuals = jnp.linalg.norm(products - eigenvectors * eigenvalues, axis=0) / eigenvalues[0]
    gram = jnp.matmul(eigenvectors.T, eigenvectors, precision="highest")
    deviation = gram - jnp.eye(gram.shape[0], dtype=gram.dtype)
    return residuals, jnp.max(jnp.abs(deviation))
