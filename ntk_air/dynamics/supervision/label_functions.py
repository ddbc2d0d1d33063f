"""Label functions: from a teacher's outputs to the labels it gives, row by row.

Target coding (theory.md section 0): binary labels are ±1 in one column, C classes are centred
one-hot rows e_c − 1/C. h(0) = 0: a row without an opinion gives none. One that did, as
sign(0) = +1 does, would pull every row to one label at f_0 = 0.

A user's own is any callable from (rows, n_out) to (rows, n_out) with h(0) = 0, traceable by JAX.
"""

import abc
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import as_float, check_positive
from ntk_air._base.typing import AnyArray

Rows: TypeAlias = Float[AnyArray, "rows n_out"]

LabelFunctionLike: TypeAlias = Callable[[Array], Array]


class LabelFunction(eqx.Module):
    """A map from outputs to labels in the target coding, row by row."""

    @abc.abstractmethod
    def __call__(self, outputs: Rows) -> Float[Array, "rows n_out"]:
        """The labels h(f) for outputs f, both (rows, n_out)."""


class Identity(LabelFunction):
    """h(f) = f: the outputs themselves."""

    def __call__(self, outputs: Rows) -> Float[Array, "rows n_out"]:
        """The outputs, (rows, n_out)."""
        return jnp.asarray(outputs)


class Sharpened(LabelFunction):
    """h(f) = softmax(f/T) − 1/C; binary h(f) = tanh(f/(2T)), the same on logits (f/2, −f/2).

    T → 0 is ``Hard``, ties included. For large T it is linear: (f − mean f)/(CT), binary
    f/(2T). (Hinton, Vinyals, Dean 2015, section 2, centred.)

    Args:
        temperature: T, in the unit of the outputs, above 0. One above the size of the outputs
            makes h smaller than they are: labels then shrink instead of being sharpened.

    Raises:
        ValueError: for a temperature that is not a finite number above 0.
    """

    temperature: float = eqx.field(converter=as_float)

    def __check_init__(self):
        check_positive("temperature", self.temperature)

    def __call__(self, outputs: Rows) -> Float[Array, "rows n_out"]:
        """The sharpened labels, (rows, n_out)."""
        outputs = jnp.asarray(outputs)
        n_out = outputs.shape[1]
        if n_out == 1:
            return jnp.tanh(outputs / (2.0 * self.temperature))
        return jax.nn.softmax(outputs / self.temperature, axis=1) - 1.0 / n_out


class Hard(LabelFunction):
    """h(f) = e_argmax(f) − 1/C; binary h(f) = sign(f) with sign(0) = 0.

    A row of exact ties shares the label evenly among its k maxima, 1/k each, less 1/C: the limit
    of ``Sharpened`` at T → 0. A row whose entries are all equal so gives 0, no opinion.
    """

    def __call__(self, outputs: Rows) -> Float[Array, "rows n_out"]:
        """The hard labels, (rows, n_out)."""
        outputs = jnp.asarray(outputs)
        n_out = outputs.shape[1]
        if n_out == 1:
            return jnp.sign(outputs)
        largest = outputs == jnp.max(outputs, axis=1, keepdims=True)
        shares = largest.astype(outputs.dtype)
        # A row with NaN has no largest entry: 0/0 carries the NaN on instead of hiding it.
        return shares / jnp.sum(shares, axis=1, keepdims=True) - 1.0 / n_out


def check_label_function(
    label_function: LabelFunctionLike, n_out: int, dtype: np.dtype
) -> Float[Array, "rows n_out"]:
    """Require that h keeps shape and precision and has no opinion at 0.

    Returns:
        h of single outputs between −9 and 9, for what else there is to check.

    Raises:
        ValueError: naming what h(0) was.
    """
    probes = [scale * np.eye(n_out) for scale in (0, -9, -1, -0.1, 0.1, 1, 9)]
    rows = np.concatenate(probes).astype(dtype)
    got = _label(trace_floats(label_function), rows)
    if got.shape != rows.shape or got.dtype != dtype:
        raise ValueError(
            f"label_function must map {rows.shape} {np.dtype(dtype)} to the same; "
            f"got {got.shape} {got.dtype}"
        )
    if np.asarray(got[0]).any():
        raise ValueError(
            "label_function must have no opinion at 0, h(0) = 0: otherwise it labels every row "
            f"alike at f_0 = 0; got h(0) = {np.asarray(got[0]).tolist()}"
        )
    return got


@eqx.filter_jit
def _label(label_function: LabelFunctionLike, rows: Rows) -> Array:
    return label_function(jnp.asarray(rows))


_Tree = TypeVar("_Tree")


def trace_floats(tree: _Tree) -> _Tree:
    """Turn Python floats into weakly typed arrays, so that a new value compiles nothing."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, float) else leaf, tree)
