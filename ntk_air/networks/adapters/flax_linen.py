"""Models of ``flax.linen``."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx

from ntk_air._base.kinds import kind
from ntk_air._base.typing import Parameters
from ntk_air.networks.adapters.adapted import (
    AdaptedModel,
    Options,
    check_hashable,
    hashable_options,
    import_flax,
)


def from_flax_linen(module: Any, variables: Mapping[str, Any], **options: Any) -> AdaptedModel:
    """The function and the parameters of a ``flax.linen`` module.

    The collection ``params`` is trained; all others, such as ``batch_stats``, are held fixed.
    Modules of linen have no evaluation mode of their own: what switches it on in the module's
    ``__call__``, ``train=False`` or ``deterministic=True``, belongs into ``options``.

    Args:
        module: module of ``flax.linen``, hashable.
        variables: what its ``init`` returned, or a later state of it.
        options: keyword arguments of each call of the module, hashable.

    Returns:
        The function and the parameters, as kernels and training take them.

    Raises:
        ModuleNotFoundError: flax is missing; names the extra to install.
        ValueError: for what is no linen module or not hashable, and variables without ``params``;
            when called, for a module in training mode.

    >>> import flax.linen
    >>> import jax
    >>> import numpy as np
    >>> import ntk_air as na
    >>> module, x = flax.linen.Dense(2), np.eye(3, 4, dtype="float32")
    >>> model = na.adapters.from_flax_linen(module, module.init(jax.random.key(0), x))
    >>> na.empirical_ntk(*model, x).shape
    (3, 3)
    """
    linen = import_flax("flax.linen")
    if not isinstance(module, linen.Module):
        raise ValueError(f"module must be a flax.linen.Module; got a {type(module).__name__}")
    check_hashable("module, with the values of its fields,", module)
    if "params" not in variables:
        raise ValueError(f"variables must hold the collection 'params'; got {list(variables)}")
    collections = {name: variables[name] for name in variables if name != "params"}
    return AdaptedModel(
        _LinenFunction(module, collections, hashable_options(options)), variables["params"]
    )


@kind("flax_linen_function")
class _LinenFunction(eqx.Module):
    """A pytree: other running averages of the same shapes compile nothing."""

    module: Any = eqx.field(static=True)
    collections: dict[str, Any]
    options: Options = eqx.field(static=True)

    def __call__(self, params: Parameters, x: Any) -> Any:
        errors = import_flax("flax.errors")
        try:
            variables = {"params": params, **self.collections}
            return self.module.apply(variables, x, **dict(self.options))
        except errors.ModifyScopeVariableError as error:
            raise ValueError(
                "module must be in evaluation mode, or examples of a batch would act on each "
                "other; got one that updates its variables, as BatchNorm does in training: hand "
                "what switches it off, such as train=False, to from_flax_linen"
            ) from error
        except errors.InvalidRngError as error:
            raise ValueError(
                "module must be in evaluation mode; got one that asks for random numbers, as "
                "dropout does in training: hand what switches it off, such as "
                "deterministic=True, to from_flax_linen"
            ) from error
