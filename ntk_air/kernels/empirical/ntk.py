"""Empirical neural tangent kernels: of a finite network, at given parameters."""

import dataclasses
import functools

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ntk_air._base.kinds import kind
from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray, ApplyFn, Parameters
from ntk_air.kernels._tiling import assemble
from ntk_air.kernels.empirical.methods import Outputs
from ntk_air.kernels.empirical.planning import EmpiricalNTKPlan, choose
from ntk_air.kernels.empirical.task import Task, make_task


@kind("empirical_ntk_function")
def empirical_ntk(
    apply_fn: ApplyFn,
    params: Parameters,
    x1: Float[AnyArray, "n1 *features1"],
    x2: Float[AnyArray, "n2 *features2"] | None = None,
    *,
    outputs: Outputs = "mean",
    method: str = "auto",
    max_memory_bytes: int | None = None,
    progress: Progress = no_progress,
) -> Float[np.ndarray, "n1 n2 *outputs"]:
    """The empirical NTK: inner products of the gradients of a network's outputs.

    Θ_cc'(x, x') = Σ_p ∂f_c(x)/∂θ_p · ∂f_c'(x')/∂θ_p (Jacot, Gabriel, Hongler 2018, section 4),
    computed tile by tile. A network that lets one example of a batch influence another has no
    such kernel and is refused.

    Args:
        apply_fn: the network, ``apply_fn(params, x)`` of shape (n, n_out).
        params: its parameters. Floating-point leaves are differentiated; integers, booleans
            and leaves that are no arrays are held fixed.
        x1: inputs, shape (n1, *features), in the precision of the parameters.
        x2: other inputs, shape (n2, *features); ``None`` stands for ``x1`` and gives a result
            that is symmetric in every bit.
        outputs: ``"mean"`` averages Θ_cc over the outputs c: shape (n1, n2). ``"full"`` keeps
            every pair of outputs: shape (n1, n2, n_out, n_out). ``"logit_sum"`` is the NTK of
            the sum of the outputs, Σ_cc' Θ_cc': shape (n1, n2). An integer c selects Θ_cc:
            shape (n1, n2).
        method: ``"auto"`` takes the method of the least estimated time that fits into memory,
            which ``empirical_ntk_plan`` shows. ``"layerwise"`` contracts each
            parameter where it enters the network, from activations and cotangents;
            ``"jacobian"`` contracts the per-example Jacobians; ``"ntk_vector_products"`` pushes
            each gradient forward through all rows (Novak, Sohl-Dickstein, Schoenholz 2022,
            sections 3.2 and 3.3).
        max_memory_bytes: a bound in bytes on what this call holds, result and tiles together,
            beside inputs and parameters; ``None`` is no bound.
        progress: called after each tile.

    Returns:
        The kernel as a NumPy array in the precision of the parameters.

    Raises:
        MemoryBudgetError: the result and a tile of one example cannot fit; nothing has been
            computed.
        ValueError: inputs or parameters that are not finite, not of one precision, or empty;
            a network whose output is not of shape (n, n_out), or that mixes the examples of a
            batch; an unknown value of ``outputs`` or ``method``.
    """
    task = make_task(apply_fn, params, x1, x2, outputs)
    return compute(task, method, max_memory_bytes=max_memory_bytes, progress=progress)


def compute(
    task: Task,
    method: str = "auto",
    *,
    max_memory_bytes: int | None = None,
    progress: Progress = no_progress,
) -> Float[np.ndarray, "n1 n2 *outputs"]:
    """The kernel of checked arguments, as by ``empirical_ntk``."""
    chosen, plan = choose(task, method, max_memory_bytes=max_memory_bytes)
    return assemble(
        task.tile_at(chosen),
        task.shape + task.output_axes,
        tile=plan.tile,
        symmetric=task.columns is None,
        dtype=task.dtype,
        progress=functools.partial(progress, "empirical NTK"),
    )


def empirical_ntk_plan(
    apply_fn: ApplyFn,
    params: Parameters,
    x1: Float[AnyArray, "n1 *features1"],
    x2: Float[AnyArray, "n2 *features2"] | None = None,
    *,
    outputs: Outputs = "mean",
    method: str = "auto",
    max_memory_bytes: int | None = None,
) -> EmpiricalNTKPlan:
    """How ``empirical_ntk`` would compute a kernel: by which method, why, in which tiles.

    Nothing of the kernel is computed. Operations and bytes are counted in the jaxpr of each
    method's tile; the size of the tiles is by the compiler's own account of its memory.

    Args:
        apply_fn: as of ``empirical_ntk``, like all other arguments.
        params: its parameters.
        x1: inputs, shape (n1, *features).
        x2: other inputs, shape (n2, *features), or ``None``.
        outputs: how the output axes are reduced.
        method: ``"auto"`` compares all methods.
        max_memory_bytes: the bound on memory in bytes, or ``None``.

    Returns:
        The chosen method with its reason, the rows of a tile, the estimates of all methods
        compared, and for layer-wise contraction what it does with each parameter; ``print``
        shows them as a table.

    Raises:
        MemoryBudgetError: as ``empirical_ntk``.
        ValueError: as ``empirical_ntk``.
    """
    task = make_task(apply_fn, params, x1, x2, outputs)
    chosen, plan = choose(task, method, max_memory_bytes=max_memory_bytes)
    parameters = chosen.describe(task.network, task.tiles(plan.tile)[-1][0])
    return dataclasses.replace(plan, parameters=parameters)


@kind("empirical_ntk")
class EmpiricalNTK(eqx.Module):
    """The empirical NTK of a network as a kernel, ``kernel(x1, x2=None)``.

    Arguments as of ``empirical_ntk``; ``gram_matrix`` hands its bound on memory to it.
    """

    apply_fn: ApplyFn
    params: Parameters
    outputs: Outputs = eqx.field(default="mean", static=True)
    method: str = eqx.field(default="auto", static=True)

    def __call__(
        self,
        x1: Float[AnyArray, "n1 *features1"],
        x2: Float[AnyArray, "n2 *features2"] | None = None,
    ) -> Float[np.ndarray, "n1 n2 *outputs"]:
        """The kernel between all pairs of inputs; ``x2=None`` stands for ``x1``."""
        return empirical_ntk(
            self.apply_fn, self.params, x1, x2, outputs=self.outputs, method=self.method
        )

    def assemble(
        self,
        x1: Float[AnyArray, "n1 *features1"],
        x2: Float[AnyArray, "n2 *features2"] | None,
        *,
        max_memory_bytes: int | None,
        progress: Progress,
    ) -> Float[np.ndarray, "n1 n2 *outputs"]:
        """The matrix under a bound on memory, for ``gram_matrix``.

        Raises:
            ValueError: ``outputs="full"``, which is no matrix; what ``empirical_ntk`` refuses.
        """
        if self.outputs == "full":
            raise ValueError(
                'outputs must not be "full" for a Gram matrix, which has two axes: use '
                "empirical_ntk for shape (n1, n2, n_out, n_out)"
            )
        return empirical_ntk(
            self.apply_fn,
            self.params,
            x1,
            x2,
            outputs=self.outputs,
            method=self.method,
            max_memory_bytes=max_memory_bytes,
            progress=progress,
        )
