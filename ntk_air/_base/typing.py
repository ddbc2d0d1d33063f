"""Array annotations: every axis is named once, here.

Axis names: ``n_train`` training inputs, ``n_test`` held-out inputs, ``n_out`` outputs,
``n_mode`` eigenmodes, ``n_time`` times. ``*features`` stands for the axes of one input.
Shapes are checked when a function runs under jaxtyping's import hook, as the tests do.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

AnyArray: TypeAlias = jax.Array | np.ndarray

Inputs: TypeAlias = Float[AnyArray, "n_train *features"]
TestInputs: TypeAlias = Float[AnyArray, "n_test *features"]
ClassLabels: TypeAlias = Int[AnyArray, " n_train"]
TestClassLabels: TypeAlias = Int[AnyArray, " n_test"]
Targets: TypeAlias = Float[AnyArray, "n_train n_out"]
TestTargets: TypeAlias = Float[AnyArray, "n_test n_out"]
KernelMatrix: TypeAlias = Float[AnyArray, "n_train n_train"]
CrossKernel: TypeAlias = Float[AnyArray, "n_test n_train"]
Eigenvalues: TypeAlias = Float[AnyArray, " n_mode"]
Eigenvectors: TypeAlias = Float[AnyArray, "n_train n_mode"]
Times: TypeAlias = Float[AnyArray, " n_time"]
Curve: TypeAlias = Float[AnyArray, " n_time"]
RowMask: TypeAlias = Bool[AnyArray, " n_train"]

Parameters: TypeAlias = Any
"""A pytree of arrays: the parameters of a finite network."""

ApplyFn: TypeAlias = Callable[[Parameters, Any], Any]
"""``apply_fn(params, x)`` with a leading batch axis in ``x`` and in the result."""
