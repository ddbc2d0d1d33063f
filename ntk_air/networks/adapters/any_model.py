"""A model of whatever library it is of."""

import sys
from typing import Any

import equinox as eqx

from ntk_air._base.checks import shown
from ntk_air.networks.adapters.adapted import AdaptedModel
from ntk_air.networks.adapters.equinox_modules import from_equinox
from ntk_air.networks.adapters.flax_linen import from_flax_linen
from ntk_air.networks.adapters.flax_nnx import from_flax_nnx


def adapt(model: Any) -> AdaptedModel:
    """The function and the parameters of a model, whatever library it is of.

    Args:
        model: a pair ``(apply_fn, params)`` of a plain function and its parameters, or what the
            adapters make; a pair of a ``flax.linen`` module and its variables; a ``flax.nnx``
            module; an equinox module, or a pair of it and its state. What needs options of a call,
            such as ``train=False``, goes through its adapter.

    Returns:
        The function and the parameters, as kernels and training take them.

    Raises:
        ValueError: anything else.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> model = na.adapters.adapt((lambda params, x: x @ params, np.ones((3, 1))))
    >>> na.EmpiricalNTK(*model)(np.eye(2, 3)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    first, *rest = model if isinstance(model, tuple) else (model,)
    if _is_a(first, "flax.linen") and len(rest) == 1:
        return from_flax_linen(first, rest[0])
    if _is_a(first, "flax.nnx") and not rest:
        return from_flax_nnx(first)
    if isinstance(first, eqx.Module) and callable(first):
        if not rest:
            return from_equinox(first)
        if len(rest) == 1 and isinstance(rest[0], eqx.nn.State):
            return from_equinox(first, rest[0])
    if len(rest) == 1 and callable(first) and not isinstance(first, type):
        return AdaptedModel(first, rest[0])
    raise ValueError(
        "model must be (apply_fn, params), a flax.linen module with its variables, a flax.nnx "
        f"module, an equinox module with or without its state; got {shown(model)}"
    )


def _is_a(model: Any, library: str) -> bool:
    """Whether this is a module of flax; where flax is not imported nothing can be."""
    return library in sys.modules and isinstance(model, sys.modules[library].Module)
