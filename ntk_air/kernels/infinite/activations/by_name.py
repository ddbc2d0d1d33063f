"""The activations of infinitely wide networks, by name, by object, or from any callable."""

from collections.abc import Callable
from typing import TypeAlias

from jaxtyping import Array

from ntk_air._base.checks import check_choice
from ntk_air.kernels.infinite.activations.dual import Activation
from ntk_air.kernels.infinite.activations.piecewise_linear import (
    PiecewiseLinear,
    absolute_value,
    identity,
    leaky_relu,
    relu,
)
from ntk_air.kernels.infinite.activations.quadrature import QuadratureActivation
from ntk_air.kernels.infinite.activations.smooth import GELU, Cosine, Erf, Sine

__all__ = [
    "GELU",
    "Activation",
    "ActivationLike",
    "Cosine",
    "Erf",
    "PiecewiseLinear",
    "QuadratureActivation",
    "Sine",
    "absolute_value",
    "as_activation",
    "identity",
    "leaky_relu",
    "relu",
]

ActivationLike: TypeAlias = str | Activation | Callable[[Array], Array]

_BY_NAME: dict[str, Callable[[], Activation]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "abs": absolute_value,
    "erf": Erf,
    "sine": Sine,
    "cosine": Cosine,
    "gelu": GELU,
    "identity": identity,
}


def as_activation(activation: ActivationLike) -> Activation:
    """An activation from its name, from itself, or from any callable by quadrature.

    Raises:
        ValueError: the name is unknown, or ``activation`` is none of these.
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str):
        check_choice("activation", activation, tuple(_BY_NAME))
        return _BY_NAME[activation]()
    if not callable(activation):
        raise ValueError(
            f"activation must be a name, an Activation or a callable; got {activation!r}"
        )
    return QuadratureActivation(activation)
