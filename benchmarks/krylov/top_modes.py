"""The top modes by blocks against libraries, and against spectra that are known, at n = 4,000.

What counts is passes over the kernel: ``scipy.sparse.linalg.eigsh`` (ARPACK) makes one for each
vector, ``lobpcg`` one for a block as wide as the modes asked for, ntk_air one for a block of a
width of one's own choice, with two more to see whether modes were missed. Neither library keeps
what it has done for an interrupted run. Seconds are of products with a matrix in memory.
"""

import dataclasses
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse.linalg
import tyro

from ntk_air._base import files
from ntk_air.data import load_dataset
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.infinite.dense import DenseNTK
from ntk_air.kernels.operators.operator import KernelOperator
from ntk_air.lab.provenance import device_state, package_versions, source_state
from ntk_air.spectrum.krylov.top_modes import TopModesOptions, top_modes

TOLERANCE = 1e-8


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    n: int = 4000
    """Rows of the kernels."""
    top_k: int = 100
    """Modes to find."""
    block: int = 16
    """Vectors of a pass."""
    out: Path = Path("runs/benchmark_top_modes")
    """Folder for results.json."""


class CountingKernel(KernelOperator):
    """A matrix whose products are counted."""

    matrix: np.ndarray
    widths: list[int]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.matrix.shape[0], self.matrix.shape[0]

    @property
    def dtype(self) -> jnp.dtype:
        """float64."""
        return jnp.dtype(self.matrix.dtype)

    def matvec(self, vectors: Any) -> Any:
        """The product."""
        self.widths.append(vectors.shape[1])
        return self.matrix @ vectors

    def to_dense(self) -> Any:
        """The matrix."""
        return self.matrix

    def diagonal(self) -> Any:
        """The diagonal."""
        return np.diagonal(self.matrix)


def main(config: Config) -> None:
    """Measure each kernel with each tool, print the table, save the rows."""
    rows = []
    for name, (matrix, values, vectors) in kernels(config):
        for tool, find in tools(config).items():
            kernel = CountingKernel(matrix, [])
            started = time.perf_counter()
            found_values, found_vectors, said = find(kernel)
            seconds = time.perf_counter() - started
            order = np.argsort(found_values)[::-1]
            gap = values[config.top_k - 1] - values[config.top_k]
            angles = scipy.linalg.subspace_angles(found_vectors, vectors[:, : config.top_k])
            errors = np.abs(found_values[order] - values[: config.top_k]) / values[0]
            rows.append(
                {
                    "kernel": name,
                    "tool": tool,
                    "passes": len(kernel.widths),
                    "vectors": sum(kernel.widths),
                    "seconds": seconds,
                    "eigenvalue_error": float(errors.max()),
                    # Without a gap the eigenspace is not determined.
                    "sine": float(np.sin(angles.max())) if gap > 1e-12 * values[0] else None,
                    **said,
                }
            )
            print(" ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    config.out.mkdir(parents=True, exist_ok=True)
    content = {
        "rows": rows,
        "config": dataclasses.asdict(config) | {"out": None},
        "device": device_state(),
        "package": source_state(),
        "versions": package_versions(),
    }
    files.write_json(config.out / "results.json", content)


def kernels(config: Config) -> Any:
    """Kernels by name with eigenvalues and eigenvectors, descending; one is of images."""
    rank = np.arange(1.0, config.n + 1)
    spectra = {
        "power_law": rank**-1.5,
        "step": np.where(rank <= 60, 1.0, 1e-3),
        "repeated": 3.0 ** -np.minimum((rank - 1) // 50, 30),
        "rank_deficient": np.where(rank <= 200, 1 / rank, 0),
    }
    for name, values in spectra.items():
        basis = np.eye(config.n)
        random = np.random.default_rng(0)
        for _ in range(3):  # reflections, which a decomposition of 4,000 rows need not make
            normal = random.standard_normal(config.n)
            normal /= np.linalg.norm(normal)
            basis -= np.outer(basis @ (2 * normal), normal)
        matrix = (basis * values) @ basis.T
        yield name, ((matrix + matrix.T) / 2, values, basis)
    dataset = load_dataset("mnist5k", n_train=config.n, n_test=0).normalised()
    matrix = gram_matrix(DenseNTK(depth=3), dataset.inputs)
    wanted = (config.n - config.top_k - 1, config.n - 1)
    values, vectors = scipy.linalg.eigh(matrix, subset_by_index=wanted)
    yield "mnist", (matrix, values[::-1], vectors[:, ::-1])


def tools(config: Config) -> dict[str, Callable[[CountingKernel], Any]]:
    """Each returns eigenvalues, eigenvectors, and what it says of their accuracy."""

    def ours(kernel: CountingKernel) -> Any:
        found = top_modes(
            kernel, config.top_k, options=TopModesOptions(block=config.block, accuracy=TOLERANCE)
        )
        said = {
            "residual": float(found.residuals.max()),
            "sine_estimated": found.subspace_sine,
        }
        return found.eigenvalues, found.eigenvectors, said

    def linear(kernel: CountingKernel) -> Any:
        def product(block: np.ndarray) -> np.ndarray:
            return kernel.matvec(block.reshape(config.n, -1))

        make: Any = scipy.sparse.linalg.LinearOperator  # scipy's stubs know no constructor
        return make(
            kernel.shape,
            matvec=lambda x: product(x)[:, 0],
            matmat=product,
            dtype=np.dtype(np.float64),
        )

    def eigsh(kernel: CountingKernel) -> Any:
        tolerance: Any = TOLERANCE
        values, vectors = scipy.sparse.linalg.eigsh(
            linear(kernel), k=config.top_k, which="LA", tol=tolerance
        )
        return values, vectors, {}

    def lobpcg(kernel: CountingKernel) -> Any:
        start = np.random.default_rng(0).standard_normal((config.n, config.top_k))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of modes that have not converged: the table shows it
            values, vectors = scipy.sparse.linalg.lobpcg(
                linear(kernel), start, tol=TOLERANCE, maxiter=200, largest=True
            )[:2]
        return values, vectors, {}

    name = f"ntk_air, blocks of {config.block}"
    return {name: ours, "scipy eigsh": eigsh, "scipy lobpcg": lobpcg}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(tyro.cli(Config, description=__doc__))
