"""A kernel that is given as its matrix, such as one that another library has computed."""

from typing import Any

import numpy as np

from ntk_air._base.arrays import real_array
from ntk_air._base.checks import check_finite, check_floating
from ntk_air._base.progress import Progress, no_progress


class MatrixKernel:
    """A kernel of which the values are known: between training inputs, and to held-out ones.

    It stands wherever a kernel does for the inputs that it is of, all of them at once; those of
    other inputs are not known, and refused.

    Args:
        theta: kernel between the training inputs, (n_train, n_train), float32 or float64.
        cross: kernel between held-out and training inputs, (n_test, n_train); ``None`` where
            nothing is held out.
        inputs: training inputs that the rows are of, (n_train, *features): others are then refused
            even where they are as many, and the first of them are known too; ``None`` goes by
            their number alone.

    Raises:
        ValueError: matrices that are not finite floating-point numbers of one precision, not of
            those shapes, or not symmetric.

    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import numpy as np
    >>> import ntk_air as na
    >>> data = na.Dataset(np.eye(3), [0, 1, 1])
    >>> problem = na.make_problem(data, na.MatrixKernel(np.diag([3.0, 2.0, 1.0])))
    >>> problem.spectrum.eigenvalues.tolist()
    [3.0, 2.0, 1.0]
    """

    def __init__(
        self,
        theta: Any,
        cross: Any = None,
        *,
        inputs: Any = None,
    ):
        self.theta = _checked("theta", theta)
        n = len(self.theta)
        if self.theta.shape != (n, n) or n == 0:
            raise ValueError(f"theta must be square; got shape {self.theta.shape}")
        scale = max(self.theta.max(), -self.theta.min())
        asymmetry = float(np.abs(self.theta - self.theta.T).max())
        if asymmetry > np.sqrt(np.finfo(self.theta.dtype).eps) * scale:
            raise ValueError(
                f"theta must be symmetric; got a difference of {asymmetry:.3g} beside values up "
                f"to {scale:.3g}"
            )
        self.cross = None if cross is None else _checked("cross", cross)
        if self.cross is not None and (self.cross.ndim != 2 or self.cross.shape[1] != n):
            raise ValueError(
                f"cross must have shape (n_test, {n}), a column for each row of theta; got "
                f"{self.cross.shape}"
            )
        if self.cross is not None and self.cross.dtype != self.theta.dtype:
            raise ValueError(
                f"cross must have the precision of theta, {self.theta.dtype}; got "
                f"{self.cross.dtype}"
            )
        self._inputs = None if inputs is None else np.asarray(inputs)

    def __call__(self, x1: Any, x2: Any = None) -> np.ndarray:
        """The kernel of the training inputs, or of the held-out with the training ones."""
        return self.assemble(x1, x2, max_memory_bytes=None, progress=no_progress)

    def assemble(
        self, x1: Any, x2: Any, *, max_memory_bytes: int | None, progress: Progress
    ) -> np.ndarray:
        """The matrix, for ``gram_matrix``; it is there, and needs no more memory.

        Raises:
            ValueError: other inputs than those that the matrices are of, or in another precision.
        """
        found, name = (self.theta, "theta") if x2 is None else (self.cross, "cross")
        columns = x1 if x2 is None else x2
        if found is not None and self._inputs is not None and x2 is None:
            found = found[: len(x1), : len(x1)]
        if found is None or found.shape != (len(x1), len(columns)):
            held = "no cross" if found is None else f"{name} of shape {found.shape}"
            raise ValueError(
                "a kernel given as its matrix is known for its own inputs alone; got "
                f"{len(x1)} × {len(columns)} inputs beside {held}"
            )
        if found.dtype != x1.dtype:
            raise ValueError(
                f"{name} must have the precision of the inputs, {x1.dtype}; got {found.dtype}"
            )
        if self._inputs is not None and not np.array_equal(
            self._inputs[: len(columns)].astype(columns.dtype), np.asarray(columns)
        ):
            raise ValueError(
                "a kernel given as its matrix is known for its own inputs alone; got others"
            )
        progress("Gram matrix", 1, 1)
        return found


def _checked(name: str, matrix: Any) -> np.ndarray:
    checked = np.asarray(real_array(name, matrix))
    check_floating(name, checked)
    check_finite(name, checked)
    return checked
