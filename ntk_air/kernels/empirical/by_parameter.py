"""The kernels that each parameter of a network alone would have."""

import functools

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ntk_air._base.progress import Progress, no_progress
from ntk_air._base.typing import AnyArray, ApplyFn, Parameters
from ntk_air.kernels._tiling import assemble
from ntk_air.kernels.empirical.layerwise.tile import BY_PARAMETER
from ntk_air.kernels.empirical.methods import Outputs
from ntk_air.kernels.empirical.network import parameter_names
from ntk_air.kernels.empirical.planning import choose
from ntk_air.kernels.empirical.task import make_task


class ParameterKernels(eqx.Module):
    """The empirical NTK as a sum over parameters.

    Attributes:
        names: the path of each parameter in ``params``.
        kernels: the part of each, (n_parameters, n1, n2, *outputs); their sum is the kernel.
    """

    names: tuple[str, ...]
    kernels: Float[np.ndarray, "n_parameters n1 n2 *outputs"]

    def __getitem__(self, name: str) -> Float[np.ndarray, "n1 n2 *outputs"]:
        """The part of one parameter.

        Raises:
            KeyError: no parameter has that name.
        """
        if name not in self.names:
            raise KeyError(f"no parameter is called {name!r}; there are {', '.join(self.names)}")
        return self.kernels[self.names.index(name)]


def empirical_ntk_by_parameter(
    apply_fn: ApplyFn,
    params: Parameters,
    x1: Float[AnyArray, "n1 *features1"],
    x2: Float[AnyArray, "n2 *features2"] | None = None,
    *,
    outputs: Outputs = "mean",
    max_memory_bytes: int | None = None,
    progress: Progress = no_progress,
) -> ParameterKernels:
    """The empirical NTK, parameter by parameter: which layer learns what.

    Θ = Σ_ℓ Θ^ℓ, with Θ^ℓ_cc'(x, x') = ∂f_c(x)/∂θ_ℓ · ∂f_c'(x')/∂θ_ℓ for each parameter array θ_ℓ
    (Jacot, Gabriel, Hongler 2018, section 4), by layer-wise contraction.

    Args:
        apply_fn: as of ``empirical_ntk``, like all other arguments.
        params: its parameters.
        x1: inputs, shape (n1, *features).
        x2: other inputs, shape (n2, *features); ``None`` stands for ``x1`` and gives parts that
            are symmetric in every bit.
        outputs: how the output axes are reduced.
        max_memory_bytes: a bound in bytes on what this call holds, results and tiles together.
        progress: called after each tile.

    Raises:
        MemoryBudgetError: the results and a tile of one example cannot fit.
        ValueError: as ``empirical_ntk``.
    """
    task = make_task(apply_fn, params, x1, x2, outputs)
    names = parameter_names(task.network)
    task = task._replace(part_axes=(len(names),))
    chosen, plan = choose(
        task,
        BY_PARAMETER.name,
        max_memory_bytes=max_memory_bytes,
        methods={BY_PARAMETER.name: BY_PARAMETER},
    )
    kernels = assemble(
        task.tile_at(chosen),
        task.shape + task.output_axes,
        tile=plan.tile,
        symmetric=x2 is None,
        dtype=task.dtype,
        progress=functools.partial(progress, "empirical NTK by parameter"),
    )
    return ParameterKernels(names, np.moveaxis(kernels, -1, 0))
