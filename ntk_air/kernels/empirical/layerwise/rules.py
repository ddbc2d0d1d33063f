"""Products of a parameter with an activation, and the parameter's gradient there in two factors.

Where y = a ∘ v is linear in both the activation a and the parameter's value v, the gradient of an
output with respect to v is a sum over positions p of activations times cotangents δ of y,

    G[k, i, j] = Σ_p A[k, p, i] · D[k, p, j].

The entries of v are (k, i, j): k runs over the axes that a, v and y share, i over those that the
product sums, j over those that survive in y. A dense layer has one position, a convolution one
for each output pixel, an embedding one for each token.
"""

import abc
import dataclasses
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

Shape = tuple[int, ...]


class ProductRule(abc.ABC):
    """How one equation multiplies a parameter's value with an activation.

    Attributes:
        activation: the index of the operand that is the activation.
    """

    activation: int

    @abc.abstractmethod
    def activations(self, operand: Array) -> Float[Array, "k p i"]:
        """A, of the activation that the equation saw."""

    @abc.abstractmethod
    def cotangents(self, cotangent: Array) -> Float[Array, "k p j"]:
        """D, of the cotangent of the equation's result."""

    @abc.abstractmethod
    def entries(self, value: np.ndarray) -> Shaped[np.ndarray, "k i j"]:
        """The entries of v, sorted by k, i and j."""


class DirectRule:
    """Any other use of the value: its gradient is a cotangent itself, at one position; A is 1."""

    def cotangents(self, cotangent: Array) -> Float[Array, "1 1 j"]:
        """D, of the cotangent of the value."""
        return cotangent.reshape(1, 1, -1)

    def entries(self, value: np.ndarray) -> Shaped[np.ndarray, "1 1 j"]:
        """The entries of v in their order."""
        return value.reshape(1, 1, -1)


def product_rule(equation: Any, operand: int) -> ProductRule | None:
    """The rule for a parameter in that operand of an equation; ``None`` where there is none.

    Args:
        equation: an equation of a jaxpr.
        operand: the index of the operand that is the parameter's value.
    """
    name, params = equation.primitive.name, equation.params
    shapes = tuple(atom.aval.shape for atom in equation.invars)
    if name in ("dot_general", "conv_general_dilated"):
        values = (*equation.invars, *equation.outvars)
        if not all(jnp.issubdtype(value.aval.dtype, jnp.floating) for value in values):
            return None
    if name == "dot_general":
        return _DotRule(params["dimension_numbers"], shapes, operand)
    if name == "conv_general_dilated" and operand == 1 and params["batch_group_count"] == 1:
        return _ConvolutionRule(params, shapes)
    if name == "gather" and operand == 0 and _looks_up_rows(params, shapes):
        return _GatherRule(params, shapes)
    if name == "dynamic_slice" and operand == 0 and _slices_a_row(params, shapes):
        return _RowRule(shapes[0], row_axes=None, clips=True)
    return None


class _DotRule(ProductRule):
    """``dot_general`` of any dimension numbers."""

    def __init__(self, dimension_numbers: Any, shapes: tuple[Shape, ...], operand: int):
        contracted, shared = dimension_numbers
        self.activation = 1 - operand
        self._axes = [
            _DotAxes(tuple(shared[side]), tuple(contracted[side]), len(shapes[side]))
            for side in (0, 1)
        ]
        self._operand = operand
        shared_sizes = [shapes[0][axis] for axis in self._axes[0].shared]
        free_sizes = [
            math.prod(shapes[side][axis] for axis in self._axes[side].free) for side in (0, 1)
        ]
        self._result = (math.prod(shared_sizes), *free_sizes)

    def activations(self, operand: Array) -> Float[Array, "k p i"]:
        axes = self._axes[self.activation]
        order = (*axes.shared, *axes.free, *axes.contracted)
        shape = (self._result[0], self._result[1 + self.activation], -1)
        return operand.transpose(order).reshape(shape)

    def cotangents(self, cotangent: Array) -> Float[Array, "k p j"]:
        by_side = cotangent.reshape(self._result)
        return by_side if self._operand == 1 else by_side.swapaxes(1, 2)

    def entries(self, value: np.ndarray) -> Shaped[np.ndarray, "k i j"]:
        axes = self._axes[self._operand]
        order = (*axes.shared, *axes.contracted, *axes.free)
        return value.transpose(order).reshape(self._result[0], -1, self._result[1 + self._operand])


@dataclasses.dataclass(frozen=True)
class _DotAxes:
    shared: Shape
    contracted: Shape
    n_axes: int

    @property
    def free(self) -> Shape:
        return tuple(a for a in range(self.n_axes) if a not in self.shared + self.contracted)


class _ConvolutionRule(ProductRule):
    """``conv_general_dilated`` with the parameter as its filter."""

    activation = 0

    def __init__(self, params: dict[str, Any], shapes: tuple[Shape, ...]):
        self._params = params
        numbers = params["dimension_numbers"]
        # Images as (images, *pixels, channels), filters as (out, in, *window).
        self._image_order = _channels_last(numbers.lhs_spec)
        self._filter_order = tuple(numbers.rhs_spec)
        self._result_order = _channels_last(numbers.out_spec)
        self._groups = params["feature_group_count"]
        self._window = tuple(shapes[1][axis] for axis in self._filter_order[2:])

    def activations(self, operand: Array) -> Float[Array, "k p i"]:
        """The patches under the window, (groups, images · pixels, window · channels)."""
        images = self._padded(operand.transpose(self._image_order))
        n_channels = images.shape[-1]
        patches = [
            jax.lax.slice(images, *self._bounds(images.shape, offset))
            for offset in itertools.product(*map(range, self._window))
        ]
        if self._groups == 1:
            side_by_side = jnp.concatenate(patches, axis=-1)
            return side_by_side.reshape(1, -1, side_by_side.shape[-1])
        flat = [patch.reshape(-1, self._groups, n_channels // self._groups) for patch in patches]
        return jnp.concatenate(flat, axis=-1).swapaxes(0, 1)

    def cotangents(self, cotangent: Array) -> Float[Array, "k p j"]:
        images = cotangent.transpose(self._result_order)
        return images.reshape(-1, self._groups, images.shape[-1] // self._groups).swapaxes(0, 1)

    def entries(self, value: np.ndarray) -> Shaped[np.ndarray, "k i j"]:
        filters = value.transpose(self._filter_order)
        n_out, n_in = filters.shape[:2]
        grouped = filters.reshape(self._groups, n_out // self._groups, n_in, -1)
        return grouped.transpose(0, 3, 2, 1).reshape(self._groups, -1, n_out // self._groups)

    def _padded(self, images: Array) -> Array:
        dilations = self._params["lhs_dilation"]
        low_high = self._params["padding"]
        pixels = [
            (low, high, dilation - 1)
            for (low, high), dilation in zip(low_high, dilations, strict=True)
        ]
        padding = [(0, 0, 0), *pixels, (0, 0, 0)]
        return jax.lax.pad(images, jnp.zeros((), images.dtype), padding)

    def _bounds(self, shape: Shape, offset: Shape) -> tuple[Shape, Shape, Shape]:
        """Start, limit and stride of the pixels that one entry of the window meets."""
        starts, limits, strides = [0], [shape[0]], [1]
        dilations, steps = self._params["rhs_dilation"], self._params["window_strides"]
        for axis, (size, at) in enumerate(zip(shape[1:-1], offset, strict=True)):
            reach = (self._window[axis] - 1) * dilations[axis]
            n_positions = (size - reach - 1) // steps[axis] + 1
            starts.append(at * dilations[axis])
            limits.append(starts[-1] + (n_positions - 1) * steps[axis] + 1)
            strides.append(steps[axis])
        return (*starts, 0), (*limits, shape[-1]), (*strides, 1)


def _channels_last(spec: Any) -> Shape:
    """The order that takes an image's axes to (images, *pixels, channels)."""
    images, channels, *pixels = spec
    return (images, *pixels, channels)


class _RowRule(ProductRule):
    """Whole rows of a table by their numbers: ``dynamic_slice``. A is one-hot.

    Args:
        shape: the shape of the table.
        row_axes: the axes of the result that run along a row, ``None`` for all of them.
        clips: whether a number outside the table stands for the nearest row; else its row is
            no part of the table.
    """

    activation = 1

    def __init__(self, shape: Shape, *, row_axes: Shape | None, clips: bool):
        self._n_rows = shape[0]
        self._row_size = math.prod(shape[1:])
        self._row_axes = row_axes
        self._clips = clips

    def numbers(self, operand: Array) -> Array:
        """The numbers of the rows, out of the operand that holds them."""
        return operand

    def activations(self, operand: Array) -> Float[Array, "k p i"]:
        rows = self.numbers(operand).reshape(-1)
        if rows.dtype.itemsize < 4:  # the table can have more rows than such a number counts
            rows = rows.astype(jnp.int32)
        if self._clips:
            rows = jnp.clip(rows, 0, self._n_rows - 1)
        return jax.nn.one_hot(rows, self._n_rows, dtype=jnp.result_type(float))[None]

    def cotangents(self, cotangent: Array) -> Float[Array, "k p j"]:
        row_axes = tuple(range(cotangent.ndim)) if self._row_axes is None else self._row_axes
        positions = [axis for axis in range(cotangent.ndim) if axis not in row_axes]
        return cotangent.transpose(*positions, *row_axes).reshape(1, -1, self._row_size)

    def entries(self, value: np.ndarray) -> Shaped[np.ndarray, "k i j"]:
        return value.reshape(1, self._n_rows, self._row_size)


class _GatherRule(_RowRule):
    """``gather`` of whole rows of a table: an embedding."""

    def __init__(self, params: dict[str, Any], shapes: tuple[Shape, ...]):
        numbers = params["dimension_numbers"]
        self._place = tuple(numbers.start_index_map).index(0)
        clips = params["mode"] == jax.lax.GatherScatterMode.CLIP
        super().__init__(shapes[0], row_axes=tuple(numbers.offset_dims), clips=clips)

    def numbers(self, operand: Array) -> Array:
        return operand[..., self._place]


def _looks_up_rows(params: dict[str, Any], shapes: tuple[Shape, ...]) -> bool:
    """Whether a ``gather`` takes whole rows, each by one number."""
    numbers = params["dimension_numbers"]
    starts = tuple(numbers.start_index_map)
    # Where other axes have a start as well, it is clipped to 0: their slices are whole.
    one_number = starts == (0,) or (0 in starts and params["mode"] in _WHOLE_SLICES_START_AT_0)
    return (
        one_number
        and not numbers.operand_batching_dims
        and tuple(params["slice_sizes"]) == (1, *shapes[0][1:])
    )


_WHOLE_SLICES_START_AT_0 = (
    jax.lax.GatherScatterMode.CLIP,
    jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS,
)


def _slices_a_row(params: dict[str, Any], shapes: tuple[Shape, ...]) -> bool:
    """Whether a ``dynamic_slice`` takes one whole row."""
    return tuple(params["slice_sizes"]) == (1, *shapes[0][1:])
