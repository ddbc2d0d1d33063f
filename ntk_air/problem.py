"""The problem that runs, claims and experiments work on: a kernel, its spectrum, labels.

Arrays alone, checked once. ``make_problem`` builds one from a data set and a kernel.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeAlias, TypeVar, get_args

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import (
    check_array,
    check_choice,
    check_finite,
    check_floating,
    check_kind,
    check_seed,
)
from ntk_air._base.precision import Precision
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray, CrossKernel, KernelMatrix, Targets, TestTargets
from ntk_air.data.dataset import Dataset
from ntk_air.data.noise import LabelNoise
from ntk_air.kernels.gram import gram_matrix
from ntk_air.kernels.operators.operator import KernelOperator, as_operator
from ntk_air.kernels.protocols import Kernel
from ntk_air.spectrum.decomposition import decompose, require_decomposition_memory
from ntk_air.spectrum.result import Spectrum
from ntk_air.spectrum.storage import spectrum_from_arrays, spectrum_to_arrays

Arrays: TypeAlias = Mapping[str, AnyArray]

Value = TypeVar("Value")

Stage: TypeAlias = Callable[[str, Callable[[], Arrays]], Arrays]
"""``stage(name, compute)``: the arrays that ``compute`` makes, from a file where there are any."""


class Labels(eqx.Module):
    """The labels of the training inputs, in the target coding (theory.md section 0).

    ±1 in one column for two classes, centred one-hot rows for more.

    Args:
        noisy: given labels ỹ, (n_train, n_out): what runs are trained on.
        clean: clean labels y, (n_train, n_out), that metrics are against; ``None`` where nobody
            knows them: metrics are then against ỹ, and a note says so.
        initial: outputs f_0 at the start, (n_train, n_out); ``None`` is 0.
        expected_noisy: expectation E[ỹ | y], (n_train, n_out), that centres the noise;
            ``None`` where it is not known.

    Raises:
        ValueError: for arrays that are not finite floating-point, or not of ``noisy``'s shape.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> na.Labels(noisy=np.array([[1.0], [-1.0]]), clean=np.array([[1.0], [1.0]])).noise.tolist()
    [[0.0], [-2.0]]
    """

    noisy: Targets
    clean: Targets | None = None
    initial: Targets | None = None
    expected_noisy: Targets | None = None

    def __check_init__(self):
        check_array("noisy", self.noisy)
        for name in ("noisy", "clean", "initial", "expected_noisy"):
            array = getattr(self, name)
            if array is None:
                continue
            check_array(name, array)
            if array.ndim != 2:
                raise ValueError(f"{name} must have shape (n_train, n_out); got {array.shape}")
            if array.shape != self.noisy.shape:
                raise ValueError(
                    f"{name} must have noisy's shape {self.noisy.shape}; got {array.shape}"
                )
            check_floating(name, array)
            check_finite(name, array)

    @property
    def noise(self) -> Targets:
        """ξ = ỹ − y, (n_train, n_out); raises ``ValueError`` where no clean labels are known."""
        return np.asarray(self.noisy) - np.asarray(known(self.clean, "clean"))


class HeldOut(eqx.Module):
    """What held-out predictions f_t(x) = f_0(x) + Θ(x, X)c_t and their metrics need.

    Args:
        cross_kernel: kernel Θ(x, X) between held-out and training inputs, (n_test, n_train).
        targets: clean labels in the target coding, (n_test, n_out).
        initial: outputs f_0(x) at the start, (n_test, n_out); ``None`` is 0.

    Raises:
        ValueError: for arrays that are not finite floating-point, or disagree in n_test or n_out.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> held_out = na.HeldOut(np.array([[0.5, 0.2]]), np.array([[1.0]]))
    >>> held_out.predictions(np.array([[2.0], [1.0]])).tolist()
    [[1.2...]]
    """

    cross_kernel: CrossKernel
    targets: TestTargets
    initial: TestTargets

    def __init__(
        self,
        cross_kernel: CrossKernel,
        targets: TestTargets,
        *,
        initial: TestTargets | None = None,
    ):
        for name, array in (("cross_kernel", cross_kernel), ("targets", targets)):
            check_floating(f"held_out {name}", array)
            if array.ndim != 2:
                raise ValueError(f"held_out {name} must have two axes; got shape {array.shape}")
        initial = jnp.zeros_like(targets) if initial is None else initial
        named = {"cross_kernel": cross_kernel, "targets": targets, "initial": initial}
        for name, array in named.items():
            check_floating(f"held_out {name}", array)
            check_finite(f"held_out {name}", array)
        if cross_kernel.shape[0] != targets.shape[0] or initial.shape != targets.shape:
            raise ValueError(
                "held_out arrays must share n_test and n_out; got cross_kernel "
                f"{cross_kernel.shape}, targets {targets.shape}, initial {initial.shape}"
            )
        self.cross_kernel = cross_kernel
        self.targets = targets
        self.initial = initial

    def predictions(self, dual: Targets) -> Float[Array, "n_test n_out"]:
        """f_t(x) at dual variables c_t, (n_train, n_out), in the unit of the outputs."""
        return jnp.asarray(self.initial) + jnp.matmul(self.cross_kernel, dual, precision="highest")

    def astype(self, dtype: jnp.dtype) -> "HeldOut":
        """The same in another precision."""
        return HeldOut(
            jnp.asarray(self.cross_kernel, dtype),
            jnp.asarray(self.targets, dtype),
            initial=jnp.asarray(self.initial, dtype),
        )


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


def known(value: Value | None, name: str) -> Value:
    """The value; raises ``ValueError`` naming what the problem lacks."""
    if value is None:
        raise ValueError(f"{name} must be given with the problem for this; got None")
    return value


def dataset_labels(dataset: Dataset) -> Labels:
    """All labels of a data set's training inputs in the target coding."""
    return Labels(
        noisy=dataset.noisy_targets(),
        clean=dataset.clean_targets(),
        expected_noisy=dataset.expected_noisy_targets(),
    )


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
        The problem, with the complete spectrum and, where the data set has a held-out part, the
        kernel between it and the training inputs.

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
    inputs, bound = dataset.inputs.astype(precision), max_memory_bytes
    require_decomposition_memory(len(inputs), precision=precision, max_bytes=bound)

    def gram(*x: np.ndarray) -> Arrays:
        return {"theta": gram_matrix(kernel, *x, max_memory_bytes=bound, progress=progress)}

    def spectrum() -> Arrays:
        found = decompose(theta, precision=precision, max_memory_bytes=bound)
        return spectrum_to_arrays(found)

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
