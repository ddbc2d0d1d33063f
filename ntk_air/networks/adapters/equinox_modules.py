"""Models of equinox."""

from typing import Any

import equinox as eqx
import jax

from ntk_air._base.kinds import kind
from ntk_air._base.typing import Parameters
from ntk_air.networks.adapters.adapted import AdaptedModel, Options, hashable_options


def from_equinox(
    model: Any, state: eqx.nn.State | None = None, *, batched: bool = False, **options: Any
) -> AdaptedModel:
    """The function and the parameters of an equinox model, in evaluation mode.

    All floating-point arrays of the model are trained. ``eqx.nn.inference_mode`` turns dropout
    off and makes BatchNorm use the running averages in ``state``.

    Args:
        model: model, called as ``model(example)`` or ``model(example, state)``, which then returns
            its outputs and a state.
        state: state of its layers, held fixed; ``None`` for a model without any.
        batched: whether the model takes batches. Else it takes one example, as is the custom.
        options: keyword arguments of each call of the model, hashable, such as ``key=None``.

    Returns:
        The function and the parameters, as kernels and training take them.

    Raises:
        ValueError: for what is no callable equinox module.

    >>> import equinox as eqx
    >>> import jax
    >>> import numpy as np
    >>> import ntk_air as na
    >>> network = eqx.nn.MLP(4, 2, width_size=8, depth=1, key=jax.random.key(0))
    >>> model = na.adapters.from_equinox(network)
    >>> na.empirical_ntk(*model, np.eye(3, 4, dtype=model.params.layers[0].weight.dtype)).shape
    (3, 3)
    """
    if not isinstance(model, eqx.Module) or not callable(model):
        raise ValueError(
            f"model must be an equinox.Module that can be called; got a {type(model).__name__}"
        )
    evaluated = eqx.nn.inference_mode(model)
    params, rest = eqx.partition(evaluated, eqx.is_inexact_array)
    return AdaptedModel(_EquinoxFunction(rest, state, batched, hashable_options(options)), params)


@kind("equinox_function")
class _EquinoxFunction(eqx.Module):
    """A pytree: another state of the same shapes compiles nothing."""

    rest: Any
    state: eqx.nn.State | None
    batched: bool = eqx.field(static=True)
    options: Options = eqx.field(static=True)

    def __call__(self, params: Parameters, x: Any) -> Any:
        model = eqx.combine(params, self.rest)

        def outputs(x: Any) -> Any:
            if self.state is None:
                return model(x, **dict(self.options))
            return model(x, self.state, **dict(self.options))[0]

        return outputs(x) if self.batched else jax.vmap(outputs)(x)
