"""What an adapter makes of a model, and what all adapters share."""

import importlib
from collections.abc import Hashable
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax

from ntk_air._base.precision import Precision, as_precision
from ntk_air._base.typing import ApplyFn, Parameters

Options: TypeAlias = tuple[tuple[str, Hashable], ...]
"""Keyword arguments of a model, in an order of their own: part of what is compiled."""


class AdaptedModel(NamedTuple):
    """A model as its function and its parameters, so that ``empirical_ntk(*model, x)`` reads well.

    Attributes:
        apply_fn: function ``apply_fn(params, x)`` from inputs (n, *features) to outputs.
        params: parameters that are trained, a pytree of arrays.

    >>> import numpy as np
    >>> import ntk_air as na
    >>> model = na.adapters.AdaptedModel(lambda params, x: x @ params, np.ones((3, 1)))
    >>> na.empirical_ntk(*model, np.eye(2, 3)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    apply_fn: ApplyFn
    params: Parameters

    def precisions(self) -> set[str]:
        """The precisions of the floating-point parameters."""
        leaves = jax.tree.leaves(eqx.filter(self.params, eqx.is_inexact_array))
        return {str(leaf.dtype) for leaf in leaves}

    def astype(self, precision: Precision) -> "AdaptedModel":
        """The same model with all its floating-point arrays, fixed ones too, in a precision."""

        def cast(leaf: Any) -> Any:
            is_floating = eqx.is_inexact_array(leaf)
            return as_precision(leaf, precision, what="the model") if is_floating else leaf

        return AdaptedModel(*jax.tree.map(cast, tuple(self)))


def import_flax(name: str) -> Any:
    """A module of flax, which is no dependency.

    Raises:
        ModuleNotFoundError: flax is missing; names the extra to install.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'{name} is needed for models of flax: pip install "ntk-air[models]"'
        ) from error


def hashable_options(options: dict[str, Any]) -> Options:
    """Keyword arguments of a model as a part of what is compiled.

    Raises:
        ValueError: one is not hashable.
    """
    for name, value in options.items():
        check_hashable(f"the option {name}", value)
    return tuple(sorted(options.items()))


def check_hashable(what: str, value: Any) -> None:
    """Require what decides on the compiled program to be hashable."""
    try:
        hash(value)
    except TypeError as error:
        raise ValueError(f"{what} must be hashable; got {value!r}") from error
