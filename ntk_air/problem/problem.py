"""The problem that runs, claims and experiments work on: a kernel, its spectrum, labels."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from ntk_air._base.checks import check_kind, check_seed
from ntk_air._base.typing import KernelMatrix, Targets
from ntk_air.data.dataset import Dataset
from ntk_air.data.noise import LabelNoise
from ntk_air.kernels.operators.operator import KernelOperator, as_operator
from ntk_air.problem.labels import HeldOut, Labels, dataset_labels, known
from ntk_air.spectrum.decomposition import decompose
from ntk_air.spectrum.result import Spectrum

Value = TypeVar("Value")


class Problem:
    """A kernel with the labels of its inputs, checked once for all that is done with it.

    Args:
        labels: labels of the training inputs.
        operator: kernel Θ on the training inputs, as an operator or as the (n_train, n_train)
            matrix; ``None`` where only its spectrum is held, which steps cannot be taken with.
        spectrum: eigenvalues and eigenvectors of Θ; ``None`` where only products are to be had,
            which closed forms cannot be taken from.
        held_out: held-out inputs to predict and to measure on, where there are any.
        dataset: data set that all of this came from, where it came from one.
        seed: first seed of what claims and experiments draw from here on, at least 0.

    Raises:
        ValueError: for parts that disagree in n_train or n_out, and without kernel and spectrum.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> theta = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> labels = na.Labels(noisy=np.array([[1.0], [-1.0]]))
    >>> problem = na.Problem(labels, theta, na.decompose(theta))
    >>> problem.n_train, problem.n_out, round(problem.largest_eigenvalue, 12)
    (2, 1, 3.0)
    """

    def __init__(
        self,
        labels: Labels,
        operator: KernelOperator | KernelMatrix | None = None,
        spectrum: Spectrum | None = None,
        *,
        held_out: HeldOut | None = None,
        dataset: Dataset | None = None,
        seed: int = 0,
    ):
        if operator is None and spectrum is None:
            raise ValueError("problem must have an operator or a spectrum; got neither")
        check_kind("labels", labels, Labels)
        check_kind("spectrum", spectrum, Spectrum, type(None))
        check_kind("held_out", held_out, HeldOut, type(None))
        check_kind("dataset", dataset, Dataset, type(None))
        self.labels, self.held_out, self.seed = labels, held_out, check_seed("seed", seed)
        self._operator = None if operator is None else as_operator(operator, "operator")
        self._spectrum, self._dataset = spectrum, dataset
        self._remembered: dict[str, Any] = {}
        _check_rows(labels, self._operator, spectrum)
        if held_out is not None:
            got = (held_out.cross_kernel.shape[1], held_out.targets.shape[1])
            if got != (self.n_train, self.n_out):
                raise ValueError(
                    f"held_out must have (n_train, n_out) = {(self.n_train, self.n_out)}; got {got}"
                )

    def replace(self, **parts: Any) -> "Problem":
        """The same problem with other parts, named as in the constructor; checked anew."""
        own = {"labels": self.labels, "operator": self._operator, "spectrum": self._spectrum}
        own |= {"held_out": self.held_out, "dataset": self._dataset, "seed": self.seed}
        return Problem(**(own | parts))

    @property
    def has_operator(self) -> bool:
        """Whether products with Θ can be taken."""
        return self._operator is not None

    @property
    def has_spectrum(self) -> bool:
        """Whether eigenvalues and eigenvectors of Θ are held."""
        return self._spectrum is not None

    @property
    def has_dataset(self) -> bool:
        """Whether it came from a data set."""
        return self._dataset is not None

    @property
    def operator(self) -> KernelOperator:
        """Θ on the training inputs; raises ``ValueError`` where only its spectrum is held."""
        return known(self._operator, "operator")

    @property
    def spectrum(self) -> Spectrum:
        """The spectrum of Θ; raises ``ValueError`` where only products are to be had."""
        return known(self._spectrum, "spectrum")

    @property
    def dataset(self) -> Dataset:
        """The data set that this came from; raises ``ValueError`` where it came from none."""
        return known(self._dataset, "dataset")

    @property
    def n_train(self) -> int:
        """The number of training inputs, n."""
        return self.labels.noisy.shape[0]

    @property
    def n_out(self) -> int:
        """The number of outputs: 1 for two classes, C for more."""
        return self.labels.noisy.shape[1]

    @property
    def noisy(self) -> Targets:
        """ỹ, (n_train, n_out)."""
        return self.labels.noisy

    @property
    def clean(self) -> Targets:
        """y, (n_train, n_out); raises ``ValueError`` where nobody knows them."""
        return known(self.labels.clean, "clean")

    @property
    def noise(self) -> Targets:
        """ξ = ỹ − y, (n_train, n_out)."""
        return self.labels.noise

    @property
    def noise_rms(self) -> float:
        """‖ξ‖/√n: the RMS distance of the noisy labels from the clean ones."""
        return float(np.linalg.norm(self.noise)) / self.n_train**0.5

    @cached_property
    def theta(self) -> KernelMatrix:
        """Θ as a matrix, (n_train, n_train); raises ``ValueError`` without an operator."""
        return np.asarray(self.operator.to_dense())

    @cached_property
    def largest_eigenvalue(self) -> float:
        """λ₁: of the spectrum, or by Lanczos from products alone."""
        if self.has_spectrum:
            return self.spectrum.lambda_max
        method = "iterative" if self.n_train > 1 else "dense"
        precision = "float64" if self.operator.dtype == jnp.float64 else "float32"
        return decompose(self.operator, top_k=1, precision=precision, method=method).lambda_max

    def with_largest_eigenvalue(self, value: float) -> "Problem":
        """The same problem, told the λ₁ that was found before, so that it is not looked for."""
        same = self.replace()
        vars(same)["largest_eigenvalue"] = value
        return same

    @property
    def learning_rate(self) -> float:
        """η = 1/λ₁: the largest at which no mode of plain descent overshoots."""
        return 1 / self.largest_eigenvalue

    @property
    def label_noise(self) -> LabelNoise:
        """What made the noisy labels; raises ``ValueError`` where nothing did."""
        if self.dataset.label_noise is None:
            raise ValueError("dataset must have label noise; got clean labels")
        return self.dataset.label_noise

    def remember(self, name: str, compute: Callable[[], Value]) -> Value:
        """The value of a name, computed the first time that this problem is asked for it."""
        if name not in self._remembered:
            self._remembered[name] = compute()
        return self._remembered[name]

    def with_label_noise(self, noise: LabelNoise, *, seed: int | None = None) -> "Problem":
        """The same inputs and kernel with other noisy labels, drawn from the clean ones.

        Args:
            noise: rule that the labels are flipped by.
            seed: seed of the draw, at least 0; ``None`` is the problem's own.
        """
        seed = self.seed if seed is None else seed
        dataset = self.dataset.without_label_noise().with_label_noise(noise, seed=seed)
        return self.replace(dataset=dataset, labels=dataset_labels(dataset))

    def with_kernel(self, theta: KernelMatrix) -> "Problem":
        """The same labels with another kernel (n_train, n_train); nothing held out."""
        return self.replace(operator=theta, spectrum=decompose(theta), held_out=None)


def _check_rows(labels: Labels, operator: KernelOperator | None, spectrum: Spectrum | None) -> None:
    n_train = labels.noisy.shape[0]
    rows = {
        "operator": None if operator is None else operator.shape[0],
        "spectrum": None if spectrum is None else spectrum.n_train,
    }
    for name, n in rows.items():
        if n not in (None, n_train):
            raise ValueError(
                f"noisy must have one row for each of the kernel's {n} inputs; got shape "
                f"{labels.noisy.shape} beside a problem's {name} with {n} rows"
            )
