"""Where claims are checked: data, labels, a kernel and its spectrum."""

import dataclasses
from functools import cached_property

import numpy as np

from ntk_air.data.dataset import Dataset
from ntk_air.data.noise import LabelNoise
from ntk_air.dynamics.held_out import HeldOut
from ntk_air.kernels.gram import Kernel, gram_matrix
from ntk_air.spectrum.decomposition import decompose
from ntk_air.spectrum.result import Spectrum
from ntk_air.typing import KernelMatrix, Targets


@dataclasses.dataclass(frozen=True)
class Scene:
    """A data set with noisy labels, the kernel on its inputs, and the kernel's spectrum.

    Attributes:
        dataset: with noisy labels.
        theta: Θ on the training inputs, (n_train, n_train).
        spectrum: of Θ, complete.
        held_out: Θ between held-out and training inputs with their labels, where there are any.
        seed: of what a claim draws.
    """

    dataset: Dataset
    theta: KernelMatrix
    spectrum: Spectrum
    held_out: HeldOut | None
    seed: int

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
        """What made the noisy labels."""
        if self.dataset.label_noise is None:
            raise ValueError("dataset must have label noise; got clean labels")
        return self.dataset.label_noise

    @property
    def learning_rate(self) -> float:
        """η = 1/λ₁."""
        return self.spectrum.default_learning_rate

    def with_label_noise(self, noise: LabelNoise) -> "Scene":
        """The same inputs and kernel with other noisy labels, drawn from the clean ones."""
        clean = self.dataset.without_label_noise()
        return dataclasses.replace(self, dataset=clean.with_label_noise(noise, seed=self.seed))

    def with_kernel(self, theta: KernelMatrix) -> "Scene":
        """The same labels with another kernel on the training inputs; nothing held out."""
        return dataclasses.replace(self, theta=theta, spectrum=decompose(theta), held_out=None)


def make_scene(dataset: Dataset, kernel: Kernel, *, seed: int = 0) -> Scene:
    """Evaluate and decompose a kernel on a data set with noisy labels.

    Args:
        dataset: with noisy labels, prepared for the kernel.
        kernel: any ``kernel(x1, x2=None)``.
        seed: of what claims draw.

    Raises:
        ValueError: a data set whose labels are all clean.
    """
    if dataset.noise_fraction == 0:
        raise ValueError("dataset must have noisy labels to check claims about them; got none")
    theta = gram_matrix(kernel, dataset.inputs)
    held_out = None
    if dataset.n_test:
        cross = gram_matrix(kernel, dataset.test_inputs, dataset.inputs)
        held_out = HeldOut(cross, dataset.test_targets())
    return Scene(dataset, theta, decompose(theta), held_out, seed)
