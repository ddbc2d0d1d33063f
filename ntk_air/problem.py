"""Where data meet a kernel: what claims and experiments work on."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np

from ntk_air._base.precision import Precision
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray, KernelMatrix, Targets
from ntk_air.data.dataset import Dataset
from ntk_air.data.noise import LabelNoise
from ntk_air.dynamics.run.held_out import HeldOut
from ntk_air.kernels.gram import Kernel, gram_matrix
from ntk_air.spectrum.decomposition import decompose, require_decomposition_memory
from ntk_air.spectrum.result import Spectrum
from ntk_air.spectrum.storage import spectrum_from_arrays, spectrum_to_arrays

Arrays: TypeAlias = Mapping[str, AnyArray]

Value = TypeVar("Value")

Stage: TypeAlias = Callable[[str, Callable[[], Arrays]], Arrays]
"""``stage(name, compute)``: the arrays that ``compute`` makes, from a file where there are any."""


@dataclasses.dataclass(frozen=True)
class Scene:
    """A data set with its labels, the kernel on its inputs, and the kernel's spectrum.

    Attributes:
        dataset: with noisy labels.
        theta: Θ on the training inputs, (n_train, n_train).
        spectrum: of Θ, complete.
        held_out: Θ between held-out and training inputs with their labels, where there are any.
        seed: of what is drawn from here on.
    """

    dataset: Dataset
    theta: KernelMatrix
    spectrum: Spectrum
    held_out: HeldOut | None
    seed: int
    _remembered: dict[str, Any] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def remember(self, name: str, compute: Callable[[], Value]) -> Value:
        """The value of a name, computed the first time that this scene is asked for it."""
        if name not in self._remembered:
            self._remembered[name] = compute()
        return self._remembered[name]

    @cached_property
    def clean(self) -> Targets:
        """y, (n_train, n_out)."""
        return self.dataset.clean_targets()

    @cached_property
    def noisy(self) -> Targets:
        """ỹ, (n_train, n_out)."""
        return self.dataset.noisy_targets()

    @property
    def noise(self) -> Targets:
        """ξ = ỹ − y, (n_train, n_out)."""
        return np.asarray(self.noisy) - np.asarray(self.clean)

    @property
    def noise_rms(self) -> float:
        """‖ξ‖/√n: the RMS distance of the noisy labels from the clean ones."""
        return float(np.linalg.norm(self.noise)) / self.dataset.n_train**0.5

    @property
    def label_noise(self) -> LabelNoise:
        """What made the noisy labels; raises ``ValueError`` where nothing did."""
        if self.dataset.label_noise is None:
            raise ValueError("dataset must have label noise; got clean labels")
        return self.dataset.label_noise

    @property
    def learning_rate(self) -> float:
        """η = 1/λ₁."""
        return self.spectrum.default_learning_rate

    def labels(self) -> dict[str, Any]:
        """The labels and held-out inputs as runs of ``ntk_air.dynamics`` take them."""
        return {"noisy": self.noisy, "clean": self.clean, "held_out": self.held_out}

    def with_label_noise(self, noise: LabelNoise, *, seed: int | None = None) -> "Scene":
        """The same inputs and kernel with other noisy labels, drawn from the clean ones."""
        seed = self.seed if seed is None else seed
        noisy = self.dataset.without_label_noise().with_label_noise(noise, seed=seed)
        return dataclasses.replace(self, dataset=noisy)

    def with_kernel(self, theta: KernelMatrix) -> "Scene":
        """The same labels with another kernel on the training inputs; nothing held out."""
        return dataclasses.replace(self, theta=theta, spectrum=decompose(theta), held_out=None)


def compute_directly(name: str, compute: Callable[[], Arrays]) -> Arrays:
    """A stage that keeps no files."""
    return compute()


def make_scene(
    dataset: Dataset,
    kernel: Kernel,
    *,
    seed: int = 0,
    precision: Precision = "float64",
    max_memory_bytes: int | None = None,
    stage: Stage = compute_directly,
    progress: Progress = no_progress,
) -> Scene:
    """Evaluate and decompose a kernel on a data set.

    Args:
        dataset: prepared for the kernel.
        kernel: any ``kernel(x1, x2=None)``.
        seed: of what is drawn from here on.
        precision: of kernel and spectrum.
        max_memory_bytes: refuse before the start what would need more.
        stage: keeps finished parts, such as ``RunFolder.stage``.
        progress: called after each tile.

    Raises:
        MemoryBudgetError: if kernel or decomposition exceed ``max_memory_bytes``.
    """
    inputs = dataset.inputs.astype(precision)
    require_decomposition_memory(len(inputs), precision=precision, max_bytes=max_memory_bytes)

    def gram(*x: np.ndarray) -> dict[str, np.ndarray]:
        matrix = gram_matrix(kernel, *x, max_memory_bytes=max_memory_bytes, progress=progress)
        return {"theta": matrix}

    theta = np.asarray(stage("kernel", lambda: gram(inputs))["theta"])
    progress("eigendecomposition", 0, 1)
    arrays = stage(
        "spectrum",
        lambda: spectrum_to_arrays(
            decompose(theta, precision=precision, max_memory_bytes=max_memory_bytes)
        ),
    )
    progress("eigendecomposition", 1, 1)
    held_out = None
    if dataset.n_test:
        test_inputs = dataset.test_inputs.astype(precision)
        cross = np.asarray(stage("held_out", lambda: gram(test_inputs, inputs))["theta"])
        held_out = HeldOut(cross, dataset.test_targets().astype(precision))
    return Scene(dataset, theta, spectrum_from_arrays(arrays), held_out, seed)
