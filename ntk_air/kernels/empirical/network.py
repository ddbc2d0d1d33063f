"""A network as the empirical NTK sees it: checked, and split into what JAX differentiates."""

from collections.abc import Hashable
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ntk_air._base.typing import ApplyFn, Parameters

_Static: TypeAlias = tuple[tuple[Hashable, ...], Any]


class Network(eqx.Module):
    """A network split into what JAX differentiates, what it traces, and the rest.

    A pytree: a jitted function of it compiles once for all parameters of the same shapes.
    """

    trainable: Parameters
    fixed: Any
    static: _Static = eqx.field(static=True)

    def batch(self, trainable: Parameters, x: Any) -> Any:
        """The outputs of a batch, at other trainable parameters."""
        leaves, structure = self.static
        apply_fn, rest = eqx.combine(self.fixed, jax.tree.unflatten(structure, leaves))
        return apply_fn(eqx.combine(trainable, rest), x)

    def one(self, trainable: Parameters, example: Any) -> Any:
        """The outputs of one example, without a batch axis, shape (n_out,)."""
        return self.batch(trainable, example[None])[0]


def split(apply_fn: ApplyFn, params: Parameters) -> Network:
    """The network of a function and its parameters."""
    apply_fn, params = jax.tree.map(_as_jax, (apply_fn, params))
    trainable, rest = eqx.partition(params, eqx.is_inexact_array)
    fixed, static = eqx.partition((apply_fn, rest), eqx.is_array)
    leaves, structure = jax.tree.flatten(static)
    return Network(trainable, fixed, (tuple(leaves), structure))


def parameter_names(network: Network) -> tuple[str, ...]:
    """The path of each trainable parameter in ``params``, in the order of its leaves."""
    leaves = jax.tree_util.tree_leaves_with_path(network.trainable)
    return tuple(f"params{jax.tree_util.keystr(path)}" for path, _ in leaves)


def _as_jax(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf


@jax.jit
def _outputs(network: Network, x: Any) -> Any:
    """The network's outputs; jitted so that a second look at their shape traces nothing."""
    return network.batch(network.trainable, x)


def check_parameters(params: Parameters, dtype: np.dtype) -> None:
    """Require finite floating-point leaves, at least one, in the precision of the inputs."""
    n_trainable = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = f"params{jax.tree_util.keystr(path)}"
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
            if isinstance(leaf, float | complex):
                raise ValueError(
                    f"{name} must be an array, so that it has a precision; got the number {leaf!r}"
                )
            continue
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        n_trainable += 1
        if jax.dtypes.canonicalize_dtype(leaf.dtype) != dtype:
            raise ValueError(
                f"{name} must have the precision of the inputs, {dtype}; got {leaf.dtype}"
            )
        if not np.isfinite(np.asarray(leaf)).all():
            raise ValueError(f"{name} must be finite; got NaN or infinity")
    if n_trainable == 0:
        raise ValueError("params must hold at least one floating-point array; got none")


def count_outputs(network: Network, features: tuple[int, ...], dtype: np.dtype) -> int:
    """The number of outputs, from abstract batches of one and two."""
    n_out = 0
    for n in (1, 2):
        result = _outputs.eval_shape(network, jax.ShapeDtypeStruct((n, *features), dtype))
        shape = getattr(result, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] != n or 0 in shape:
            got = f"shape {shape}" if shape is not None else f"a {type(result).__name__}"
            raise ValueError(
                "apply_fn(params, x) must return one array of shape (n, n_out); got "
                f"{got} for a batch of {n}"
            )
        if result.dtype != dtype:
            raise ValueError(
                f"apply_fn must return the precision of its arguments, {dtype}; got {result.dtype}"
            )
        n_out = shape[1]
    return n_out
