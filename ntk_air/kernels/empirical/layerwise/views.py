"""Values that hold entries of one parameter, only moved and scaled, on their way to a product."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class ParameterView:
    """A value that is ``scale · θ.ravel()[indices]`` for one parameter θ.

    Attributes:
        leaf: the number of the parameter.
        scale: the constant factor.
        indices: the place that each entry comes from, (*loops, *value_shape). An axis of loops
            belongs to a ``scan`` around the value, the outermost first: its length is that of the
            loop where each iteration sees another slice, 1 where all see the same.
        n_loops: the number of axes of loops.
    """

    leaf: int
    scale: float
    indices: np.ndarray
    n_loops: int = 0

    @classmethod
    def of_leaf(cls, leaf: int, shape: tuple[int, ...]) -> "ParameterView":
        """The parameter itself."""
        size = math.prod(shape)
        dtype = np.int32 if size < 2**31 else np.int64
        return cls(leaf, 1.0, np.arange(size, dtype=dtype).reshape(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self.indices.shape[self.n_loops :]

    @property
    def iterations(self) -> list[np.ndarray]:
        """The indices of the value in each iteration of the loops that see another slice."""
        return [np.asarray(block) for block in self.indices.reshape(-1, *self.shape)]

    def scaled(self, factor: float) -> "ParameterView":
        """The value times a constant."""
        return dataclasses.replace(self, scale=self.scale * factor)

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> "ParameterView":
        """The value after a rearrangement of its entries, the same in each iteration."""
        loops = self.indices.shape[: self.n_loops]
        blocks = [move(block) for block in self.iterations]
        indices = np.stack(blocks).reshape((*loops, *blocks[0].shape))
        return dataclasses.replace(self, indices=indices)

    def as_loop_constant(self) -> "ParameterView":
        """The value as the body of a further ``scan`` sees it when it is the same throughout."""
        return self._in_loop(np.expand_dims(self.indices, self.n_loops))

    def as_loop_slices(self) -> "ParameterView":
        """The value's slices along its first axis, as the body of a ``scan`` over it sees them."""
        return self._in_loop(self.indices)

    def _in_loop(self, indices: np.ndarray) -> "ParameterView":
        return dataclasses.replace(self, indices=indices, n_loops=self.n_loops + 1)


Moves = tuple[Callable[[np.ndarray], np.ndarray], ...]
"""One rearrangement for each output of an equation."""


def moves_of(name: str, params: dict[str, Any], shape: tuple[int, ...]) -> Moves | None:
    """How a primitive moves the entries of its only operand; ``None`` where it does more.

    Args:
        name: the name of the primitive.
        params: the parameters of the equation.
        shape: the shape of the operand.
    """
    match name:
        case "copy":
            return (lambda block: block,)
        # Not to complex numbers: the cotangent of a real value is the real part of theirs.
        case "convert_element_type" if jnp.issubdtype(params["new_dtype"], jnp.floating):
            return (lambda block: block,)
        case "reshape":
            order = params.get("dimensions") or tuple(range(len(shape)))
            return (lambda block: block.transpose(order).reshape(params["new_sizes"]),)
        case "squeeze":
            return (lambda block: block.squeeze(tuple(params["dimensions"])),)
        case "expand_dims":
            return (lambda block: np.expand_dims(block, tuple(params["dimensions"])),)
        case "broadcast_in_dim" if math.prod(params["shape"]) == math.prod(shape):
            return (lambda block: block.reshape(params["shape"]),)
        case "transpose":
            return (lambda block: block.transpose(params["permutation"]),)
        case "rev":
            return (lambda block: np.flip(block, tuple(params["dimensions"])),)
        case "slice":
            return (lambda block: block[_slices(params, len(shape))],)
        case "split":
            return _split_moves(params)
    return None


def _slices(params: dict[str, Any], n_axes: int) -> tuple[slice, ...]:
    strides = params["strides"] or (1,) * n_axes
    bounds = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return tuple(slice(*bound) for bound in bounds)


def _split_moves(params: dict[str, Any]) -> Moves:
    sizes, axis = params["sizes"], params["axis"]
    ends = np.cumsum(sizes)

    def part(index: int) -> Callable[[np.ndarray], np.ndarray]:
        selected = (slice(None),) * axis + (slice(ends[index] - sizes[index], ends[index]),)
        return lambda block: block[selected]

    return tuple(part(index) for index in range(len(sizes)))
