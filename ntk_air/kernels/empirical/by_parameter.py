"""The kernels that each parameter of a network alone would have."""

import functools

import equinox as eqx
import numpy as np
from jaxtyping import Float

from ntk_air._base.progress import Progress
from ntk_air.kernels._tiling import assemble
from ntk_air.kernels.empirical.layerwise.tile import BY_PARAMETER
from ntk_air.kernels.empirical.network import parameter_names
from ntk_air.kernels.empirical.planning import choose
from ntk_air.kernels.empirical.task import Task


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


def kernels_by_parameter(
    task: Task, *, max_memory_bytes: int | None, progress: Progress
) -> ParameterKernels:
    """The part of each parameter, by layer-wise contraction.

    Raises:
        MemoryBudgetError: the results and a tile of one example cannot fit.
    """
    names = parameter_names(task.network)
    task = task._replace(part_axes=(len(names),))
    chosen, plan = choose(
        task,
        BY_PARAMETER.name,
        max_memory_bytes=max_memory_bytes,
        methods={BY_PARAMETER.name: BY_PARAMETER},
    )
    task.check_batches(plan.tile)
    kernels = assemble(
        task.tile_at(chosen),
        task.shape + task.output_axes,
        tile=plan.tile,
        symmetric=task.columns is None,
        dtype=task.dtype,
        progress=functools.partial(progress, "empirical NTK by parameter"),
    )
    return ParameterKernels(names, np.moveaxis(kernels, -1, 0))
