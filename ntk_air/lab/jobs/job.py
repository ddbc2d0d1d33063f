"""A job: a kernel on all inputs of a data set, by one of the four kinds of operators."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from ntk_air._base.checks import check_at_least, check_choice
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import Targets
from ntk_air.data.dataset import Dataset
from ntk_air.kernels.empirical import EmpiricalNTK
from ntk_air.kernels.empirical.products import matrix_free_kernel
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.operators.operator import DenseKernel, KernelOperator
from ntk_air.kernels.operators.sharded import sharded_kernel
from ntk_air.kernels.protocols import Kernel
from ntk_air.kernels.tiles.recomputed import recomputed_kernel
from ntk_air.kernels.tiles.tiled import TileOptions, tiled_kernel
from ntk_air.lab.config import OPERATORS, OperatorKind

# Larger tiles gain nothing. Products of all outputs hold a few vectors of n · n_out beside them.
_LEAST_BYTES, _MOST_BYTES, _MOST_BYTES_OF_ALL_OUTPUTS = 2**26, 2**29, 2**30


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be computed, and with what.

    Attributes:
        kernel: ``kernel(x1, x2=None)``.
        inputs: (n, *features), in the precision of the kernel.
        labels: label matrices of n rows by name; ``blocks`` are those of the operator's rows.
        operator: ``"dense"`` holds the matrix, ``"tiled"`` keeps it on disk, ``"matrix-free"`` has
            products alone (an empirical kernel's are those of all outputs, n · n_out rows),
            ``"sharded"`` holds it by rows on all devices.
        n_products: number of products of the label quadrature.
        top_k: eigenpairs to find; 0 is none.
        block: vectors of a pass of the search for eigenpairs.
        max_memory_bytes: a bound on the resident size of the process.
        tiles: the folder for ``"tiled"``.
    """

    kernel: Kernel
    inputs: np.ndarray
    labels: Mapping[str, Targets]
    operator: OperatorKind
    n_products: int
    top_k: int
    block: int
    max_memory_bytes: int
    tiles: Path

    def __post_init__(self):
        check_choice("operator", self.operator, OPERATORS)
        check_at_least("n_products", self.n_products, 1)
        check_at_least("top_k", self.top_k, 0)
        check_at_least("block", self.block, 1)
        if self.top_k > self.n_rows:
            raise ValueError(f"top_k must be at most {self.n_rows}, the rows; got {self.top_k}")

    @property
    def n(self) -> int:
        """The number of inputs."""
        return len(self.inputs)

    @property
    def has_all_outputs(self) -> bool:
        """Whether the operator's rows are those of inputs and outputs."""
        return self.operator == "matrix-free" and isinstance(self.kernel, EmpiricalNTK)

    @property
    def n_rows(self) -> int:
        """The rows of the operator."""
        return self.blocks["signal"].shape[0]

    @functools.cached_property
    def blocks(self) -> dict[str, np.ndarray]:
        """The label matrices as the operator takes them: flattened where its rows are outputs."""
        return {
            name: np.asarray(matrix, np.float64).reshape(-1, 1)
            if self.has_all_outputs
            else np.asarray(matrix, np.float64)
            for name, matrix in self.labels.items()
        }

    @property
    def product_precision(self) -> np.dtype:
        """Of products; tiles are multiplied in float64 whatever they are kept in."""
        by_tiles = self.operator == "tiled" or (
            self.operator == "matrix-free" and not self.has_all_outputs
        )
        return np.dtype(np.float64) if by_tiles else self.inputs.dtype

    def build(
        self, *, max_memory_bytes: int, n: int | None = None, progress: Progress = no_progress
    ) -> KernelOperator:
        """The operator.

        Args:
            max_memory_bytes: a bound on what it holds, vectors and their images aside.
            n: number of first inputs that it is of, with tiles in a folder beside the others.
            progress: called after each tile.

        Raises:
            MemoryBudgetError: it would not fit.
            DiskSpaceError: its tiles would not fit.
        """
        x = self.inputs[:n]
        if self.operator == "dense":
            matrix = gram_matrix(
                self.kernel, x, max_memory_bytes=max_memory_bytes, progress=progress
            )
            return DenseKernel(matrix)
        if self.operator == "sharded":
            return sharded_kernel(
                self.kernel,
                x,
                max_memory_bytes=max_memory_bytes // jax.local_device_count(),
                progress=progress,
            )
        if isinstance(self.kernel, EmpiricalNTK) and self.operator == "matrix-free":
            return matrix_free_kernel(
                self.kernel.apply_fn,
                self.kernel.params,
                x,
                outputs="full",
                max_memory_bytes=max_memory_bytes,
            )
        if self.operator == "matrix-free":
            return recomputed_kernel(
                self.kernel, x, precision="float64", max_memory_bytes=max_memory_bytes
            )
        return tiled_kernel(
            self.kernel,
            x,
            self.tiles if n is None else self.tiles.with_name(f"{self.tiles.name}-{n}"),
            max_memory_bytes=max_memory_bytes,
            progress=progress,
            options=TileOptions(precision="float64"),
        )

    def operator_bytes(self, free_bytes: int) -> int:
        """How much of what is free the operator may hold; the rest is for vectors.

        A matrix in memory may have it all but what the vectors need; tiles gain nothing from more
        than a little.
        """
        if self.operator in ("dense", "sharded"):
            return free_bytes
        if self.has_all_outputs:
            return max(_LEAST_BYTES, min(_MOST_BYTES_OF_ALL_OUTPUTS, 2 * free_bytes // 5))
        return max(_LEAST_BYTES, min(_MOST_BYTES, free_bytes // 3))


def label_matrices(dataset: Dataset) -> dict[str, Targets]:
    """Signal y, centred noise ζ = ỹ − E[ỹ | y], and the noisy labels ỹ themselves.

    Raises:
        ValueError: clean labels alone.
    """
    signal, noisy = dataset.clean_targets(), dataset.noisy_targets()
    noise = noisy - dataset.expected_noisy_targets()
    if not np.any(noise):
        raise ValueError("noise must be above 0: AIR compares signal and noise; got clean labels")
    return {"signal": signal, "noise": noise, "noisy": noisy}
