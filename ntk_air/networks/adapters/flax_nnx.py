"""Models of ``flax.nnx``."""

from typing import Any

import equinox as eqx

from ntk_air._base.kinds import kind
from ntk_air._base.typing import Parameters
from ntk_air.networks.adapters.adapted import AdaptedModel, Options, hashable_options, import_flax


def from_flax_nnx(model: Any, **options: Any) -> AdaptedModel:
    """The function and the parameters of a ``flax.nnx`` model, in evaluation mode.

    Variables of type ``nnx.Param`` are trained, as nested dictionaries of arrays; a variable that
    is shared between layers is one parameter. All other variables are held fixed. The model
    itself stays in its mode and is not changed by calls.

    Args:
        model: model; its ``eval()`` must turn off all that is random or acts across a batch.
        options: keyword arguments of each call of the model, hashable.

    Returns:
        The function and the parameters, as kernels and training take them.

    Raises:
        ModuleNotFoundError: flax is missing; names the extra to install.
        ValueError: for what is no nnx module.

    >>> import flax.nnx
    >>> import numpy as np
    >>> import ntk_air as na
    >>> model = na.adapters.from_flax_nnx(flax.nnx.Linear(4, 2, rngs=flax.nnx.Rngs(0)))
    >>> na.empirical_ntk(*model, np.eye(3, 4, dtype="float32")).shape
    (3, 3)
    """
    nnx = import_flax("flax.nnx")
    if not isinstance(model, nnx.Module):
        raise ValueError(f"model must be a flax.nnx.Module; got a {type(model).__name__}")
    evaluated = nnx.merge(*nnx.split(model))
    evaluated.eval()
    graph, trained, fixed = nnx.split(evaluated, nnx.Param, ...)
    function = _NnxFunction(graph, nnx.to_pure_dict(fixed), hashable_options(options))
    return AdaptedModel(function, nnx.to_pure_dict(trained))


@kind("flax_nnx_function")
class _NnxFunction(eqx.Module):
    """A pytree: other running averages of the same shapes compile nothing."""

    graph: Any = eqx.field(static=True)
    fixed: dict[str, Any]
    options: Options = eqx.field(static=True)

    def __call__(self, params: Parameters, x: Any) -> Any:
        model = import_flax("flax.nnx").merge(self.graph, params, self.fixed)
        return model(x, **dict(self.options))
