"""What a kernel is: a function of two sets of inputs, which may know more of itself."""

from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

from ntk_air._base.progress import Progress


@runtime_checkable
class Kernel(Protocol):
    """``kernel(x1, x2=None)``: the values between all pairs of inputs, shape (n1, n2)."""

    def __call__(self, x1: Any, x2: Any = None, /) -> Any:
        """Evaluate the kernel; ``x2=None`` stands for ``x1``."""
        ...


@runtime_checkable
class SizedKernel(Kernel, Protocol):
    """A kernel that knows its need of memory."""

    def tile_bytes(self, x1: jax.ShapeDtypeStruct, x2: jax.ShapeDtypeStruct) -> int:
        """The bytes held at the peak of ``kernel(x1, x2)``, its result included."""
        ...


@runtime_checkable
class AssemblingKernel(Kernel, Protocol):
    """A kernel that chooses its own tiles, because they share work."""

    def assemble(
        self, x1: Any, x2: Any, *, max_memory_bytes: int | None, progress: Progress
    ) -> np.ndarray:
        """The whole matrix, under the bound on memory of ``gram_matrix``."""
        ...
