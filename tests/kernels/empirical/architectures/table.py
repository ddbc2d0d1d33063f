"""How a test network is written down: a function of named parameters, and their shapes."""

import math
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

N_EXAMPLES = 4
N_OUT = 3


class Architecture(NamedTuple):
    """A network with parameters and inputs in float64, its outputs of shape (n, N_OUT).

    Constants inside a network are Python numbers or take the precision of ``x``, so that
    parameters and inputs can be cast to float32 under strict promotion.
    """

    name: str
    apply_fn: Callable[[dict[str, Any], Any], Any]
    params: dict[str, np.ndarray]
    inputs: np.ndarray


def architecture(
    features: tuple[int, ...], *, n_tokens: int | None = None, **shapes: tuple[int, ...]
) -> Callable[[Callable], Architecture]:
    """Make an ``Architecture`` of the decorated ``apply_fn(params, x)``.

    Args:
        features: the shape of one input.
        n_tokens: inputs are whole numbers below this instead of normal variates.
        shapes: of each parameter, N(0, 1 / fan-in), the last axis being the fan-out.
    """

    def make(apply_fn: Callable) -> Architecture:
        random = np.random.default_rng(zlib.crc32(apply_fn.__name__.encode()))
        params = {
            name: random.standard_normal(shape) / math.sqrt(math.prod(shape[:-1]))
            for name, shape in shapes.items()
        }
        size = (N_EXAMPLES, *features)
        if n_tokens is None:
            inputs = random.standard_normal(size)
        else:
            inputs = random.integers(n_tokens, size=size).astype(float)
        return Architecture(apply_fn.__name__, apply_fn, params, inputs)

    return make
