"""The work of ``ntk-air labels``: features, kernel, top modes, beliefs; in stages that resume."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ntk_air._base.memory import parse_bytes
from ntk_air._base.progress import Progress
from ntk_air.data.dataset import Dataset
from ntk_air.dynamics.noise_aware.clean_labels import clean_labels
from ntk_air.dynamics.noise_aware.kernel_learner import KernelLearner
from ntk_air.dynamics.noise_aware.options import CleaningOptions
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.matrix_kernel import MatrixKernel
from ntk_air.kernels.operators.operator import KernelOperator, as_operator
from ntk_air.kernels.tiles.tiled import tiled_kernel
from ntk_air.lab.features import features_from_text
from ntk_air.lab.labels.config import LabelsConfig
from ntk_air.lab.labels.results import curves, noise_results
from ntk_air.lab.run_folder import RunFolder
from ntk_air.spectrum.decomposition import decompose
from ntk_air.spectrum.krylov.checkpoint import Checkpoint
from ntk_air.spectrum.krylov.top_modes import TopModesOptions, top_modes

_COPIES = 4
"""Matrices of n × n that a dense decomposition holds at its peak, with room to spare."""


_BLOCK, _ACCURACY = 48, 1e-6
"""Wide blocks, for a pass reads all tiles; residuals as tiles in float32 have them."""


def find_wrong_labels(
    config: LabelsConfig, dataset: Dataset, run: RunFolder, progress: Progress
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What is known of a data set's given labels: numbers and curves.

    Args:
        config: options.
        dataset: inputs with given labels.
        run: folder whose stages keep what is finished.
        progress: callback after each part.
    """
    bound = parse_bytes(config.max_memory)
    if config.features is not None:
        features = features_from_text(config.features, max_memory_bytes=bound)
        inputs = dataset.inputs
        kept = run.stage("features", lambda: {"features": features(inputs)})["features"]
        dataset = dataset.with_inputs(lambda _: kept)
    dataset = config.kernel.prepare(dataset)
    kernel, name = config.kernel.build(dataset, seed=config.seed, precision="float64")
    if config.features is not None:
        name += f", on features {config.features}"

    def operator() -> KernelOperator:
        return _operator(kernel, dataset.inputs, run, bound=bound, progress=progress)

    arrays = run.stage(
        "modes", lambda: _modes(operator(), config.n_modes, run, bound=bound, progress=progress)
    )
    learner = KernelLearner(arrays["eigenvalues"], arrays["eigenvectors"])
    found = clean_labels(
        learner,
        dataset.noisy_labels,
        options=CleaningOptions(n_modes=config.n_modes, folds=config.folds),
        seed=config.seed,
        progress=progress,
    )
    results = noise_results(found, dataset, name)
    return results, curves(found, dataset, learner)


def _operator(
    kernel: Any, inputs: np.ndarray, run: RunFolder, *, bound: int, progress: Progress
) -> KernelOperator:
    """The matrix where it fits; else tiles on disk in float32, in the run's folder."""
    if isinstance(kernel, MatrixKernel):
        return as_operator(kernel.theta, "kernel")
    n = len(inputs)
    if _fits(n, bound):
        return as_operator(
            gram_matrix(kernel, inputs, max_memory_bytes=bound, progress=progress), "kernel"
        )
    run.begin()
    folder = run.stage_path("tiles")
    single = jnp.asarray(inputs, jnp.float32)
    return tiled_kernel(kernel, single, folder, max_memory_bytes=bound // 4, progress=progress)


def _modes(
    operator: KernelOperator, n_modes: int, run: RunFolder, *, bound: int, progress: Progress
) -> Mapping[str, np.ndarray]:
    n = operator.shape[0]
    if _fits(n, bound):
        spectrum = decompose(
            operator, top_k=None if n_modes >= n else n_modes, max_memory_bytes=bound
        )
    else:
        run.begin()
        spectrum = top_modes(
            operator,
            n_modes,
            max_memory_bytes=bound // 2,
            checkpoint=Checkpoint(run.stage_path("passes"), belongs_to=run.data_sha256),
            progress=progress,
            options=TopModesOptions(block=_BLOCK, accuracy=_ACCURACY),
        )
    return {
        "eigenvalues": np.asarray(spectrum.eigenvalues, np.float64),
        "eigenvectors": np.asarray(spectrum.eigenvectors, np.float64),
    }


def _fits(n: int, bound: int) -> bool:
    """Whether the matrix and its decomposition fit, in float64."""
    return _COPIES * 8 * n * n <= bound
