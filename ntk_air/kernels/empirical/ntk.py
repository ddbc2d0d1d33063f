"""Empirical neural tangent kernels: of a finite network, at given parameters."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_callable
from ntk_air._base.kinds import kind
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray, ApplyFn, Parameters
from ntk_air.kernels._tiling import assemble
from ntk_air.kernels.empirical.by_parameter import ParameterKernels, kernels_by_parameter
from ntk_air.kernels.empirical.methods import Outputs
from ntk_air.kernels.empirical.network import split
from ntk_air.kernels.empirical.planning import EmpiricalNTKPlan, choose
from ntk_air.kernels.empirical.task import Task, make_task

_Inputs1 = Float[AnyArray, "n1 *features1"]
_Inputs2 = Float[AnyArray, "n2 *features2"]


@kind("empirical_ntk")
class EmpiricalNTK(eqx.Module):
    """The empirical NTK of a network as a kernel, ``kernel(x1, x2=None)``.

    Θ_cc'(x, x') = Σ_p ∂f_c(x)/∂θ_p · ∂f_c'(x')/∂θ_p (Jacot, Gabriel, Hongler 2018, section 4),
    computed tile by tile. A network that lets one example of a batch influence another has no
    such kernel and is refused.

    Attributes:
        apply_fn: The network, ``apply_fn(params, x)`` of shape (n, n_out), for inputs ``x`` of
            shape (n, *features).
        params: The parameters, a pytree. Floating-point leaves are differentiated; integers,
            booleans and leaves that are no arrays are held fixed.
        outputs: The reduction of the output axes. ``"mean"`` averages Θ_cc over the outputs c:
            shape (n1, n2). ``"full"`` keeps every pair of outputs: shape (n1, n2, n_out, n_out).
            ``"logit_sum"`` is the NTK of the sum of the outputs, Σ_cc' Θ_cc': shape (n1, n2). An
            integer c selects Θ_cc: shape (n1, n2).
        method: The way to compute it. ``"auto"`` takes the method of the least estimated time
            that fits into memory. ``"layerwise"`` contracts each parameter where it enters the
            network, from activations and cotangents; ``"jacobian"`` contracts the per-example
            Jacobians; ``"ntk_vector_products"`` pushes each gradient forward through all rows
            (Novak, Sohl-Dickstein, Schoenholz 2022, sections 3.2 and 3.3).

    Example:
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> kernel = na.EmpiricalNTK(lambda w, x: jnp.tanh(x @ w), jnp.full((3, 2), 0.1))
        >>> na.gram_matrix(kernel, jnp.eye(4, 3), max_memory_bytes=1_000_000).shape
        (4, 4)
    """

    apply_fn: ApplyFn
    params: Parameters
    outputs: Outputs = eqx.field(default="mean", static=True)
    method: str = eqx.field(default="auto", static=True)

    def __call__(self, x1: _Inputs1, x2: _Inputs2 | None = None) -> Float[np.ndarray, "n1 n2 *o"]:
        """The kernel between all pairs of inputs; ``x2=None`` stands for ``x1``."""
        return self.evaluate(x1, x2)

    def evaluate(
        self,
        x1: _Inputs1,
        x2: _Inputs2 | None = None,
        *,
        max_memory_bytes: int | None = None,
        progress: Progress = no_progress,
    ) -> Float[np.ndarray, "n1 n2 *outputs"]:
        """The kernel between all pairs of inputs, under a bound on memory.

        Args:
            x1: Inputs, shape (n1, *features), in the precision of the parameters.
            x2: Other inputs, shape (n2, *features); ``None`` stands for ``x1`` and gives a result
                that is symmetric in every bit.
            max_memory_bytes: Bound in bytes on what this call holds, result and tiles together,
                beside inputs and parameters; ``None`` is no bound.
            progress: Function called after each tile.

        Returns:
            The kernel as a NumPy array in the precision of the parameters, with two axes of
            outputs behind the others for ``outputs="full"``.

        Raises:
            MemoryBudgetError: The result and a tile of one example cannot fit; nothing has been
                computed.
            ValueError: Inputs or parameters that are not finite, not of one precision, or empty;
                a network whose output is not of shape (n, n_out), or that mixes the examples of a
                batch; an unknown value of ``outputs`` or ``method``.
        """
        check_callable("progress", progress)
        task = self._task(x1, x2)
        return compute(task, self.method, max_memory_bytes=max_memory_bytes, progress=progress)

    def plan(
        self, x1: _Inputs1, x2: _Inputs2 | None = None, *, max_memory_bytes: int | None = None
    ) -> EmpiricalNTKPlan:
        """How ``evaluate`` would compute the kernel: by which method, why, in which tiles.

        Nothing of the kernel is computed. Operations and bytes are counted in the jaxpr of each
        method's tile; the size of the tiles is by the compiler's own account of its memory.

        Args:
            x1: Inputs, shape (n1, *features), in the precision of the parameters.
            x2: Other inputs, shape (n2, *features); ``None`` stands for ``x1``.
            max_memory_bytes: Bound in bytes on result and tiles together; ``None`` is no bound.

        Raises:
            MemoryBudgetError: The result and a tile of one example cannot fit.
            ValueError: Arguments that ``evaluate`` would refuse.
        """
        task = self._task(x1, x2)
        chosen, plan = choose(task, self.method, max_memory_bytes=max_memory_bytes)
        parameters = chosen.describe(task.network, task.tiles(plan.tile)[-1][0])
        return dataclasses.replace(plan, parameters=parameters)

    def as_function(
        self, x1: _Inputs1, x2: _Inputs2 | None = None, *, max_memory_bytes: int | None = None
    ) -> Callable[..., Float[Array, "n1 n *outputs"]]:
        """A pure function of parameters and inputs; the network is checked and the plan made once.

        For a kernel that is asked for again and again, as at each step of a training: the function
        does nothing but the contraction, and ``jax.jit``, ``jax.grad`` and ``jax.vmap`` pass
        through. It checks nothing: what it is given must have the shapes and dtypes of what it was
        made with, and values that a call of the kernel would not refuse.

        Args:
            x1: Inputs that the network is checked on, shape (n1, *features).
            x2: Other inputs, shape (n2, *features); ``None`` makes a function of one batch.
            max_memory_bytes: Bound in bytes that the whole kernel must fit in one tile.

        Returns:
            ``function(params, x1, x2=None)``, whose result is the kernel as an array of JAX's.

        Raises:
            MemoryBudgetError: The kernel cannot fit.
            ValueError: Arguments that ``evaluate`` would refuse, and inputs of more than one tile.

        Example:
            >>> import jax
            >>> import jax.numpy as jnp
            >>> import ntk_air as na
            >>> params, x = jnp.full((3, 2), 0.1), jnp.eye(4, 3)
            >>> kernel = na.EmpiricalNTK(lambda w, x: jnp.tanh(x @ w), params)
            >>> theta = jax.jit(kernel.as_function(x))
            >>> theta(params + 0.1, x).shape
            (4, 4)
        """
        task = self._task(x1, x2)
        chosen, plan = choose(task, self.method, max_memory_bytes=max_memory_bytes)
        if plan.tile < max(task.shape):
            raise ValueError(
                f"x1 and x2 must fit in one tile, here of {plan.tile} rows; got {task.shape} rows: "
                "evaluate goes tile by tile"
            )
        task.check_batches(plan.tile)

        def function(params: Parameters, x1: Any, x2: Any = None) -> Any:
            network = split(self.apply_fn, params)
            return chosen.tile(network, x1, x2, outputs=self.outputs, n_out=task.n_out)

        return function

    def by_parameter(
        self,
        x1: _Inputs1,
        x2: _Inputs2 | None = None,
        *,
        max_memory_bytes: int | None = None,
        progress: Progress = no_progress,
    ) -> ParameterKernels:
        """The kernel parameter by parameter: which layer learns what.

        Θ = Σ_ℓ Θ^ℓ, with Θ^ℓ_cc'(x, x') = ∂f_c(x)/∂θ_ℓ · ∂f_c'(x')/∂θ_ℓ for each parameter array
        θ_ℓ (Jacot, Gabriel, Hongler 2018, section 4), by layer-wise contraction whatever
        ``method`` is.

        Args:
            x1: Inputs, shape (n1, *features), in the precision of the parameters.
            x2: Other inputs, shape (n2, *features); ``None`` stands for ``x1`` and gives parts
                that are symmetric in every bit.
            max_memory_bytes: Bound in bytes on results and tiles together; ``None`` is no bound.
            progress: Function called after each tile.

        Raises:
            MemoryBudgetError: The results and a tile of one example cannot fit.
            ValueError: Arguments that ``evaluate`` would refuse.
        """
        check_callable("progress", progress)
        return kernels_by_parameter(
            self._task(x1, x2), max_memory_bytes=max_memory_bytes, progress=progress
        )

    def assemble(
        self,
        x1: _Inputs1,
        x2: _Inputs2 | None,
        *,
        max_memory_bytes: int | None,
        progress: Progress,
    ) -> Float[np.ndarray, "n1 n2"]:
        """The matrix under a bound on memory, for ``gram_matrix``.

        Raises:
            ValueError: ``outputs="full"``, which is no matrix; arguments that ``evaluate`` refuses.
        """
        if self.outputs == "full":
            raise ValueError(
                'outputs must not be "full" for a Gram matrix, which has two axes: use '
                "empirical_ntk for shape (n1, n2, n_out, n_out)"
            )
        return self.evaluate(x1, x2, max_memory_bytes=max_memory_bytes, progress=progress)

    def _task(self, x1: AnyArray, x2: AnyArray | None) -> Task:
        return make_task(self.apply_fn, self.params, x1, x2, outputs=self.outputs)


@kind("empirical_ntk_function")
def empirical_ntk(
    apply_fn: ApplyFn,
    params: Parameters,
    x1: _Inputs1,
    x2: _Inputs2 | None = None,
    *,
    outputs: Outputs = "mean",
    max_memory_bytes: int | None = None,
) -> Float[np.ndarray, "n1 n2 *outputs"]:
    """The empirical NTK of a network: inner products of the gradients of its outputs.

    Θ_cc'(x, x') = Σ_p ∂f_c(x)/∂θ_p · ∂f_c'(x')/∂θ_p (Jacot, Gabriel, Hongler 2018, section 4),
    computed tile by tile. A network that lets one example of a batch influence another has no
    such kernel and is refused. ``EmpiricalNTK`` is the same kernel as an object, with a choice of
    methods and a report of progress.

    Args:
        apply_fn: Network, ``apply_fn(params, x)`` of shape (n, n_out).
        params: Parameters of the network, a pytree. Floating-point leaves are differentiated;
            integers, booleans and leaves that are no arrays are held fixed.
        x1: Inputs, shape (n1, *features), in the precision of the parameters.
        x2: Other inputs, shape (n2, *features); ``None`` stands for ``x1`` and gives a result
            that is symmetric in every bit.
        outputs: Reduction of the output axes. ``"mean"`` averages Θ_cc over the outputs c: shape
            (n1, n2). ``"full"`` keeps every pair of outputs: shape (n1, n2, n_out, n_out).
            ``"logit_sum"`` is the NTK of the sum of the outputs, Σ_cc' Θ_cc': shape (n1, n2). An
            integer c selects Θ_cc: shape (n1, n2).
        max_memory_bytes: Bound in bytes on what this call holds, result and tiles together,
            beside inputs and parameters; ``None`` is no bound.

    Returns:
        The kernel as a NumPy array in the precision of the parameters.

    Raises:
        MemoryBudgetError: The result and a tile of one example cannot fit; nothing has been
            computed.
        ValueError: Inputs or parameters that are not finite, not of one precision, or empty; a
            network whose output is not of shape (n, n_out), or that mixes the examples of a batch;
            an unknown value of ``outputs``.

    Example:
        >>> import jax; jax.config.update("jax_enable_x64", True)
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> x = jnp.asarray([[1.0, 2.0], [0.0, 1.0]])
        >>> na.empirical_ntk(lambda w, x: x @ w, jnp.zeros((2, 1)), x)  # of a linear model: x·x'
        array([[5., 2.],
               [2., 1.]])
    """
    kernel = EmpiricalNTK(apply_fn, params, outputs)
    return kernel.evaluate(x1, x2, max_memory_bytes=max_memory_bytes)


def empirical_ntk_plan(
    apply_fn: ApplyFn,
    params: Parameters,
    x1: _Inputs1,
    x2: _Inputs2 | None = None,
    *,
    outputs: Outputs = "mean",
    max_memory_bytes: int | None = None,
) -> EmpiricalNTKPlan:
    """How ``empirical_ntk`` would compute a kernel: by which method, why, in which tiles.

    Nothing of the kernel is computed. Operations and bytes are counted in the jaxpr of each
    method's tile; the size of the tiles is by the compiler's own account of its memory.

    Args:
        apply_fn: Network, ``apply_fn(params, x)`` of shape (n, n_out).
        params: Parameters of the network, a pytree.
        x1: Inputs, shape (n1, *features), in the precision of the parameters.
        x2: Other inputs, shape (n2, *features); ``None`` stands for ``x1``.
        outputs: Reduction of the output axes: ``"mean"``, ``"full"``, ``"logit_sum"`` or the
            index of an output.
        max_memory_bytes: Bound in bytes on result and tiles together; ``None`` is no bound.

    Returns:
        The chosen method with its reason, the rows of a tile, the estimates of all methods
        compared, and for layer-wise contraction what it does with each parameter; ``print``
        shows them as a table.

    Raises:
        MemoryBudgetError: The result and a tile of one example cannot fit.
        ValueError: Inputs or parameters that are not finite, not of one precision, or empty; a
            network without such a kernel; an unknown value of ``outputs``.

    Example:
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> plan = na.empirical_ntk_plan(lambda w, x: x @ w, jnp.zeros((3, 2)), jnp.eye(5, 3))
        >>> plan.method, plan.tile
        ('layerwise', 5)
    """
    kernel = EmpiricalNTK(apply_fn, params, outputs)
    return kernel.plan(x1, x2, max_memory_bytes=max_memory_bytes)


def compute(
    task: Task,
    method: str = "auto",
    *,
    max_memory_bytes: int | None = None,
    progress: Progress = no_progress,
) -> Float[np.ndarray, "n1 n2 *outputs"]:
    """The kernel of checked arguments."""
    chosen, plan = choose(task, method, max_memory_bytes=max_memory_bytes)
    task.check_batches(plan.tile)
    return assemble(
        task.tile_at(chosen),
        task.shape + task.output_axes,
        tile=plan.tile,
        symmetric=task.columns is None,
        dtype=task.dtype,
        progress=functools.partial(progress, "empirical NTK"),
    )
