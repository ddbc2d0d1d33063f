"""Kernels and models of a user's own: a function, a matrix in a file, a network of any library."""

import dataclasses
import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntk_air._base.kinds import kind
from ntk_air.lab.own_code import code_identity, own_function

if TYPE_CHECKING:  # options are read before JAX is needed
    from ntk_air._base.precision import Precision
    from ntk_air.data.dataset import Dataset
    from ntk_air.data.inputs import Rows
    from ntk_air.kernels.empirical import EmpiricalNTK
    from ntk_air.kernels.matrix_kernel import MatrixKernel

_HINT = "--cast converts it, --precision {other} computes in its own"
_CROSS = "cross_kernel"


@kind("own_function_kernel")
@dataclasses.dataclass(frozen=True)
class FunctionKernel:
    """A kernel that a function of a user's own computes, known by its text and its module's code.

    Attributes:
        text: ``MODULE:FUNCTION``; called as ``function(x1)`` and ``function(x1, x2)``, or with two
            arguments always where it asks for both.
        code: sha256 of the module's file.
        cast: whether values of another precision are converted to that of the inputs.
    """

    text: str
    code: str | None
    cast: bool

    @classmethod
    def named(cls, text: str, *, cast: bool) -> "FunctionKernel":
        """The kernel of a text; raises ``ValueError`` where that names no function."""
        own_function("kernel", text)
        return cls(text, code_identity("kernel", text), cast)

    def __call__(self, x1: Any, x2: Any = None) -> np.ndarray:
        """The values between all pairs of inputs, (n1, n2)."""
        function = own_function("kernel", self.text)
        alone = x2 is None and _takes_one(function)
        values = np.asarray(function(x1) if alone else function(x1, x1 if x2 is None else x2))
        if values.dtype == x1.dtype or values.dtype.kind != "f":
            return values  # what is no kernel is refused by whoever called
        if not self.cast:
            hint = _HINT.format(other=values.dtype)
            raise ValueError(
                f"kernel {self.text!r} must return the precision of its inputs, {x1.dtype}; got "
                f"{values.dtype}: {hint}"
            )
        return values.astype(x1.dtype)


def _takes_one(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # compiled functions may have no signature
        return True
    return True


def file_identity(option: str, path: Path) -> str:
    """The sha256 of a file's content; raises ``ValueError`` where there is no such file."""
    if not path.is_file():
        raise ValueError(f"{option} must be a file; there is none at {path}")
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def file_kernel(
    path: Path, dataset: "Dataset", *, precision: "Precision", cast: bool
) -> "MatrixKernel":
    """The kernel of a data set's inputs from a file of all rows' matrix.

    Args:
        path: an .npy file of the matrix between all rows that the data set was taken from, in their
            order, those of an official test part last; or an .npz file with ``kernel``, the matrix
            of all rows but those, and ``cross_kernel``, (n_test, n), of those with the others.
        dataset: inputs, which know their rows.
        precision: precision that the matrix must have.
        cast: whether another one is converted.

    Raises:
        DataFileError: no such file, or matrices of other shapes, of another precision without
            ``cast``, not finite, or not symmetric.
    """
    from ntk_air.data.readers.files import naming
    from ntk_air.kernels.matrix_kernel import MatrixKernel

    arrays = _read(path)
    with naming(f"kernel_file {path}"):
        for name, array in arrays.items():
            if array.dtype != precision and array.dtype.kind == "f" and not cast:
                hint = _HINT.format(other=array.dtype)
                raise ValueError(
                    f"{name} must have the precision of the run, {precision}; got {array.dtype}: "
                    f"{hint}"
                )
        theta, cross = _of_rows(arrays, dataset.rows)
        if cast:
            theta, cross = theta.astype(precision), cross.astype(precision)
        return MatrixKernel(theta, cross if len(cross) else None, inputs=dataset.inputs)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The matrices of a file by name."""
    from ntk_air.data.readers.files import DataFileError

    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if not isinstance(loaded, np.ndarray):
                loaded = {name: loaded[name] for name in loaded.files}
    # numpy reports a damaged file as whatever its zip, zlib or header reader raises.
    except Exception as error:
        raise DataFileError(f"kernel_file {path} is no readable .npy or .npz: {error}") from error
    arrays = loaded if isinstance(loaded, dict) else {"kernel": loaded}
    if set(arrays) not in ({"kernel"}, {"kernel", _CROSS}):
        raise DataFileError(
            f"kernel_file {path} must hold kernel, and {_CROSS} where rows are held out; got "
            f"{sorted(arrays)}"
        )
    return arrays


def _of_rows(arrays: Mapping[str, np.ndarray], rows: "Rows") -> tuple[np.ndarray, np.ndarray]:
    """The kernel between training rows, and between held-out and training ones."""
    kernel, cross = arrays["kernel"], arrays.get(_CROSS)
    n_cross = 0 if cross is None else len(cross)
    n = rows.n_all - n_cross
    if kernel.shape != (n, n):
        behind = "" if cross is None else f" behind the {n_cross} of {_CROSS}"
        raise ValueError(
            f"kernel must have shape {(n, n)}, a row and a column for each row of the data"
            f"{behind}; got {kernel.shape}"
        )
    if cross is not None and cross.shape != (n_cross, n):
        raise ValueError(f"{_CROSS} must have shape {(n_cross, n)}; got {cross.shape}")
    if n <= rows.train.max():
        raise ValueError(
            f"kernel must have all rows that are trained on, up to row {rows.train.max()}; "
            f"{_CROSS} is for an official test part, and stands behind them"
        )
    every = kernel if cross is None else np.concatenate([kernel, cross])
    return kernel[np.ix_(rows.train, rows.train)], every[np.ix_(rows.test, rows.train)]


def model_kernel(
    text: str, dataset: "Dataset", *, seed: int, precision: "Precision", cast: bool
) -> "EmpiricalNTK":
    """The empirical NTK of a model that a user's own function builds.

    Args:
        text: ``MODULE:FUNCTION``. The function is given what it asks for by name: ``inputs``, the
            first training input as a batch of one in the run's precision; ``n_out``, the number of
            outputs that the labels have; ``seed``. It returns a model as ``na.adapters.adapt``
            takes them.
        dataset: inputs and labels.
        seed: seed of the run.
        precision: precision that its parameters must have.
        cast: whether those of another one are converted.

    Raises:
        ValueError: no such function, arguments of other names, no model, parameters of another
            precision without ``cast``.
    """
    import jax

    from ntk_air.kernels.empirical import EmpiricalNTK
    from ntk_air.networks.adapters import adapt

    build = own_function("model", text)
    offered = {
        "inputs": jax.numpy.asarray(dataset.inputs[:1], precision),
        "n_out": dataset.n_out,
        "seed": seed,
    }
    parameters = inspect.signature(build).parameters
    needed = {name for name, each in parameters.items() if each.default is each.empty}
    if not needed <= set(offered):
        raise ValueError(
            f"model {text!r} must ask for inputs, n_out or seed by these names, or for nothing; "
            f"got {list(parameters)}"
        )
    made = build(**{name: value for name, value in offered.items() if name in parameters})
    try:
        model = adapt(made)
    except ValueError as error:
        raise ValueError(f"what model {text!r} returns: {error}") from error
    others = sorted(model.precisions() - {precision})
    if others and not cast:
        raise ValueError(
            f"model {text!r} must have parameters of the run's precision, {precision}; got "
            f"{', '.join(others)}: {_HINT.format(other=others[0])}"
        )
    return EmpiricalNTK(*(model.astype(precision) if cast else model))
