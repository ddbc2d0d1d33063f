"""The work that is measured: each row is a call on the default device, with what it costs.

Values are compared with float64 on a CPU of the same process: of a few rows of a kernel, of all
eigenvalues, of whole curves. A share of peak is of the rate that a square matrix product of that
precision reaches on the same device in the same run.
"""

import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import ntk_air as na
from benchmarks.empirical_ntk.cases import CASES
from benchmarks.empirical_ntk.networks import NETWORKS
from benchmarks.empirical_ntk.tools import jax_operations
from ntk_air.air.enclosures import air_curve_enclosure
from ntk_air.kernels.operators.operator import DenseKernel
from ntk_air.lab.catalogue import load_experiment

N_COMPARED = 8
"""Rows of a kernel that are compared."""


@dataclasses.dataclass(frozen=True)
class Work:
    """A piece of work.

    Attributes:
        call: does it on the default device and returns what came out, as NumPy arrays.
        reference: the same of a part, in float64 on a CPU: what ``part`` of the result must equal.
        part: what is compared of a result.
        operations: floating-point operations of its products; ``None`` where they do not bound it.
        tolerance: largest difference from the reference, relative to its largest value.
        precision: of the products that its rate is compared with.
    """

    call: Callable[[], Any]
    reference: Callable[[], np.ndarray] | None = None
    part: Callable[[Any], np.ndarray] = np.asarray
    operations: float | None = None
    tolerance: float = 1e-4
    precision: str = "float32"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large the work is; ``SMOKE`` is of seconds on two CPUs."""

    product: int = 8192
    gram: int = 8192
    images: int = 128
    side: int = 16
    spectrum: int = 4096
    top: int = 100
    empirical: dict[str, int] = dataclasses.field(
        default_factory=lambda: {"dense": 512, "residual": 16, "transformer": 32}
    )
    full: int = 60_000
    products: int = 20
    descent: int = 4096
    steps: int = 1000
    main_job: tuple[str, ...] = ()


SMOKE = Sizes(
    product=256, gram=64, images=4, side=4, spectrum=64, top=4, empirical={"dense": 8},
    full=200, products=6, descent=48, steps=20, main_job=("--smoke",),
)  # fmt: skip


def all_work(sizes: Sizes) -> dict[str, Work]:
    """The rows by their names, the cheap ones first."""
    return {
        **{f"product, {name}": _product(sizes, name) for name in _PRECISIONS},
        **{f"dense kernel, {name}": _dense(sizes, name) for name in _PRECISIONS},
        "main job": _main_job(sizes),
        **{f"convolutional kernel, {name}": _convolutional(sizes, name) for name in _PRECISIONS},
        **{f"eigendecomposition, {name}": _decomposition(sizes, name) for name in _PRECISIONS},
        "top modes": _top_modes(sizes),
        **{f"empirical kernel, {name}": _empirical(name, n) for name, n in sizes.empirical.items()},
        "descent, closed form": _descent(sizes, na.ClosedForm(), None),
        "descent, steps": _descent(sizes, na.Stepwise(), None),
        "self-distillation, steps": _descent(sizes, na.Stepwise(), 0.5),
        "AIR of all inputs": _full(sizes),
    }


_PRECISIONS = ("float32", "float64")
_TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


def on_cpu(call: Callable[[], Any]) -> np.ndarray:
    """A call on the first CPU, whatever the default device is."""
    with jax.default_device(jax.devices("cpu")[0]):
        return np.asarray(call())


def _inputs(n: int, *features: int, precision: str = "float64") -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, *features)).astype(precision)


def _product(sizes: Sizes, precision: str) -> Work:
    n = sizes.product
    factor = _inputs(n, n, precision=precision)
    product = jax.jit(lambda a: jnp.matmul(a, a.T, precision="highest"))
    on_device: list[Any] = []

    def call() -> np.ndarray:
        if not on_device:
            on_device.append(jnp.asarray(factor))
        return jax.block_until_ready(product(on_device[0]))

    def reference() -> np.ndarray:
        rows = factor[:N_COMPARED].astype(np.float64)
        return rows @ factor.T.astype(np.float64)

    return Work(call, reference, _first_rows, 2.0 * n**3, _TOLERANCE[precision], precision)


def _first_rows(matrix: Any) -> np.ndarray:
    return np.asarray(matrix[:N_COMPARED])


def _dense(sizes: Sizes, precision: str) -> Work:
    n, kernel = sizes.gram, na.DenseNTK(depth=3)
    x = _inputs(n, 784, precision=precision)
    return Work(
        lambda: kernel(x).block_until_ready(),
        lambda: on_cpu(lambda: kernel(x[:N_COMPARED].astype(np.float64), x.astype(np.float64))),
        _first_rows,
        2.0 * n * n * 784,
        _TOLERANCE[precision],
        precision,
    )


def _convolutional(sizes: Sizes, precision: str) -> Work:
    kernel = na.ConvolutionalNTK((2, 1, 1) if sizes.side >= 16 else (1, 1))
    images = _inputs(sizes.images, sizes.side, sizes.side, 3, precision=precision)
    few = images[:N_COMPARED].astype(np.float64)
    return Work(
        lambda: na.gram_matrix(kernel, images),
        lambda: on_cpu(lambda: kernel(few)),
        lambda matrix: np.asarray(matrix[:N_COMPARED, :N_COMPARED]),
        None,
        _TOLERANCE[precision],
        precision,
    )


def _theta(n: int) -> np.ndarray:
    """A kernel whose eigenvalues j^−1.5 are known, in a basis of two reflections."""
    basis = np.eye(n)
    for normal in np.random.default_rng(1).standard_normal((2, n, 1)):
        normal = normal / np.linalg.norm(normal)
        basis -= 2 * normal @ (normal.T @ basis)
    return (basis * np.arange(1.0, n + 1) ** -1.5) @ basis.T


def _decomposition(sizes: Sizes, precision: str) -> Work:
    theta = _theta(sizes.spectrum).astype(precision)
    return Work(
        lambda: na.decompose(theta, precision=precision).eigenvalues,  # pyright: ignore
        lambda: np.arange(1.0, len(theta) + 1) ** -1.5,
        tolerance=_TOLERANCE[precision],
        precision=precision,
    )


def _top_modes(sizes: Sizes) -> Work:
    theta = DenseKernel(_theta(sizes.spectrum).astype(np.float32))
    return Work(
        lambda: na.top_modes(theta, sizes.top, max_memory_bytes=10**10).eigenvalues,
        lambda: np.arange(1.0, sizes.top + 1) ** -1.5,
    )


def _empirical(name: str, n: int) -> Work:
    case = CASES[name]
    network, arrays = NETWORKS[case.network], case.arrays(n, "float32")
    x = arrays.pop("x")

    def kernel(precision: str, rows: np.ndarray) -> np.ndarray:
        parameters = {key: jnp.asarray(value, precision) for key, value in arrays.items()}
        return na.empirical_ntk(
            lambda params, x: network(jax_operations, params, x), parameters, rows.astype(precision)
        )

    few = min(n, N_COMPARED)
    return Work(
        lambda: kernel("float32", x),
        lambda: on_cpu(lambda: kernel("float64", x[:few])),
        lambda matrix: matrix[:few, :few],
    )


def _descent(sizes: Sizes, method: Any, weight: float | None) -> Work:
    n = sizes.descent
    theta = _theta(n)
    rng = np.random.default_rng(2)
    clean = np.sign(theta @ rng.standard_normal((n, 1)))
    noisy = np.where(rng.random((n, 1)) < 0.2, -clean, clean)

    def problem(precision: str) -> na.Problem:
        labels = na.Labels(noisy.astype(precision), clean.astype(precision))
        kernel = theta.astype(precision)
        spectrum = na.decompose(kernel, precision=precision)  # pyright: ignore
        return na.Problem(labels, kernel, spectrum)

    rule: Any = na.Descent()
    if weight is not None:
        rule = na.Supervision(na.label_functions.Hard(), na.weights.Constant(weight))
    held: list[na.Problem] = []

    def call() -> np.ndarray:
        if not held:
            held.append(problem("float32"))
        run = na.solve(held[0], rule, [0, sizes.steps // 2, sizes.steps], method=method)
        return np.asarray(run.train.rms_distance)

    def reference() -> np.ndarray:
        exact = na.ClosedForm() if weight is None else method
        run = na.solve(problem("float64"), rule, [0, sizes.steps // 2, sizes.steps], method=exact)
        return np.asarray(run.train.rms_distance)

    operations = None if isinstance(method, na.ClosedForm) else 2.0 * n * n * sizes.steps
    return Work(call, lambda: on_cpu(reference), operations=operations, tolerance=1e-3)


def _full(sizes: Sizes) -> Work:
    """Bounds on the AIR-AUC of many inputs, from products that compute the kernel anew."""
    data = na.load_dataset("clusters", n_train=sizes.full, n_test=0, seed=0)
    noisy = data.with_label_noise(na.SymmetricNoise(0.4), seed=0)
    labels = {
        "signal": np.asarray(noisy.clean_targets(), np.float32),
        "noise": np.asarray(noisy.noisy_targets() - noisy.expected_noisy_targets(), np.float32),
    }
    inputs = np.asarray(data.inputs, np.float32)

    def call() -> np.ndarray:
        theta = na.recomputed_kernel(na.DenseNTK(depth=3), inputs)
        measures = na.label_quadrature(theta, labels, sizes.products).measures()
        area = air_curve_enclosure(measures["signal"], measures["noise"]).area
        return np.array([np.min(area.lower), np.max(area.upper)])

    return Work(call)


def _main_job(sizes: Sizes) -> Work:
    """The README's first command, in this process; its tables are not shown."""

    def call() -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            out = Path(folder) / "run"
            status = load_experiment("eigen_spectrum").main(
                [*sizes.main_job, "--out", str(out)], program="experiments/eigen_spectrum.py"
            )
            if status:
                raise RuntimeError(f"the main job ended with status {status}")
            return np.zeros(0)

    return Work(call)
