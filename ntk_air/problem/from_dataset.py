"""A problem from a data set and a kernel."""

from collections.abc import Callable, Mapping
from typing import TypeAlias, get_args

import numpy as np

from ntk_air._base.checks import check_callable, check_choice, check_kind
from ntk_air._base.precision import Precision
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray
from ntk_air.data.dataset import Dataset
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.operators.operator import as_operator
from ntk_air.kernels.protocols import Kernel
from ntk_air.problem.labels import HeldOut, dataset_labels
from ntk_air.problem.problem import Problem
from ntk_air.spectrum.decomposition import decompose, require_decomposition_memory
from ntk_air.spectrum.storage import spectrum_from_arrays, spectrum_to_arrays

Arrays: TypeAlias = Mapping[str, AnyArray]

Stage: TypeAlias = Callable[[str, Callable[[], Arrays]], Arrays]
"""``stage(name, compute)``: the arrays that ``compute`` makes, from a file where there are any."""


def compute_directly(name: str, compute: Callable[[], Arrays]) -> Arrays:
    """A stage that keeps no files."""
    return compute()


def make_problem(
    dataset: Dataset,
    kernel: Kernel,
    *,
    precision: Precision = "float64",
    max_memory_bytes: int | None = None,
    stage: Stage = compute_directly,
    progress: Progress = no_progress,
) -> Problem:
    """Evaluate a kernel on a data set, decompose it and bring the labels into the target coding.

    Args:
        dataset: data set, prepared for the kernel (flat and normalised inputs for dense ones).
        kernel: any ``kernel(x1, x2=None)`` that returns the matrix of values between two batches.
        precision: precision of kernel and spectrum, ``"float64"`` or ``"float32"``.
        max_memory_bytes: bound in bytes; what would need more is refused before it starts.
        stage: keeper of finished parts on disk, ``stage(name, compute)``.
        progress: callback after each tile.

    Returns:
        The problem: complete spectrum, and the kernel to the held-out part where there is one.

    Raises:
        MemoryBudgetError: if kernel or decomposition exceed ``max_memory_bytes``.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import ntk_air as na
    >>> data = na.load_dataset("digits", n_train=60).normalised()
    >>> problem = na.make_problem(data.with_label_noise(na.SymmetricNoise(0.4), seed=0),
    ...                           na.DenseNTK(depth=3))
    >>> problem.n_train, problem.n_out, problem.spectrum.complete
    (60, 10, True)
    """
    check_kind("dataset", dataset, Dataset)
    check_choice("precision", precision, get_args(Precision))
    check_callable("stage", stage)
    check_callable("progress", progress)
    inputs, bound = dataset.inputs.astype(precision), max_memory_bytes
    require_decomposition_memory(len(inputs), precision=precision, max_bytes=bound)

    def gram(*x: np.ndarray) -> Arrays:
        return {"theta": gram_matrix(kernel, *x, max_memory_bytes=bound, progress=progress)}

    def spectrum() -> Arrays:
        return spectrum_to_arrays(decompose(theta, precision=precision, max_memory_bytes=bound))

    theta = np.asarray(stage("kernel", lambda: gram(inputs))["theta"])
    progress("eigendecomposition", 0, 1)
    arrays = stage("spectrum", spectrum)
    progress("eigendecomposition", 1, 1)
    held_out = None
    if dataset.n_test:
        test_inputs = dataset.test_inputs.astype(precision)
        cross = np.asarray(stage("held_out", lambda: gram(test_inputs, inputs))["theta"])
        held_out = HeldOut(cross, dataset.test_targets().astype(precision))
    return Problem(
        dataset_labels(dataset),
        as_operator(theta),
        spectrum_from_arrays(arrays),
        held_out=held_out,
        dataset=dataset,
    )
