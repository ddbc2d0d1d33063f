"""Tangent kernels of what a differential operator makes of a network, block by block.

A physics-informed network descends on residuals of an equation and on boundary values at once.
How fast each falls is told by the kernel whose blocks are ∂_θ(D_a u)(x)·∂_θ(D_b u)(x') (Wang, Yu,
Perdikaris 2022, section 4).
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ntk_air._base.checks import (
    check_callable,
    check_inputs,
    check_same_dtype,
    check_same_features,
    shown,
)
from ntk_air._base.memory import require_memory
from ntk_air._base.typing import AnyArray, ApplyFn, Parameters
from ntk_air.kernels.empirical.independence import check_examples_are_independent
from ntk_air.kernels.empirical.network import Network, check_parameters, count_outputs, split

Field: TypeAlias = Callable[[Any], Any]
"""A function of one point, shape (d,), to a number."""

Operator: TypeAlias = Callable[[Field], Field]
"""What is made of a field: itself, a derivative, the residual of an equation."""


def laplacian(field: Field) -> Field:
    """Σ_i ∂²u/∂x_i², as a function of one point, shape (d,).

    Args:
        field: Function u of one point to a number.

    Example:
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> u = lambda x: x[0] ** 2 + 3 * x[1] ** 2
        >>> float(na.networks.laplacian(u)(jnp.array([1.0, 2.0])))
        8.0
    """
    return lambda point: jnp.trace(jax.hessian(field)(point))


class BlockKernel(eqx.Module):
    """A tangent kernel whose rows come in named blocks.

    Attributes:
        sizes: Number of points of each block, by its name, in the order of the rows.
        matrix: The whole kernel, shape (n, n) with n the sum of the sizes.
    """

    sizes: dict[str, int] = eqx.field(static=True)
    matrix: Float[np.ndarray, "n n"]

    def block(self, name: str, other: str | None = None) -> Float[np.ndarray, "n1 n2"]:
        """The part between two blocks; of a block with itself where one is named.

        Raises:
            ValueError: An unknown name.
        """
        return self.matrix[self._rows(name), self._rows(name if other is None else other)]

    def eigenvalues(self, name: str | None = None) -> Float[np.ndarray, " n1"]:
        """Eigenvalues of a block, or of the whole kernel, descending: the speeds of its modes.

        Raises:
            ValueError: An unknown name.
        """
        return np.linalg.eigvalsh(self.matrix if name is None else self.block(name))[::-1]

    def _rows(self, name: str) -> slice:
        if name not in self.sizes:
            raise ValueError(f"name must be one of {', '.join(self.sizes)}; got {name!r}")
        names = list(self.sizes)
        start = sum(self.sizes[each] for each in names[: names.index(name)])
        return slice(start, start + self.sizes[name])


def differential_ntk(
    apply_fn: ApplyFn,
    params: Parameters,
    parts: Mapping[str, tuple[Operator, Float[AnyArray, "_ d"]]],
    *,
    max_memory_bytes: int | None = None,
) -> BlockKernel:
    """The tangent kernel of residuals and boundary values of a network.

    Args:
        apply_fn: Network u, ``apply_fn(params, x)`` of shape (n, 1) for points x of shape (n, d).
        params: Parameters of the network, a pytree.
        parts: Operator and points, shape (n, d), of each block by its name. An operator takes a
            function of one point to a number and returns another, such as
            ``lambda u: lambda x: -na.networks.laplacian(u)(x)``.
        max_memory_bytes: Bound in bytes on Jacobians and kernel together; ``None`` is no bound.

    Returns:
        The kernel of all blocks, with the eigenvalues of each.

    Raises:
        MemoryBudgetError: Jacobians and kernel do not fit; nothing has been computed.
        ValueError: No parts, points that are empty, not finite or of another precision than the
            parameters, a network with more than one output, an operator that gives no number.

    Example:
        >>> import jax; jax.config.update("jax_enable_x64", True)
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> network = lambda w, x: jnp.sin(x * jnp.pi) * w  # u'' = −π²·sin(πx)·w
        >>> points = jnp.array([[0.5], [0.25]])
        >>> kernel = na.networks.differential_ntk(
        ...     network, jnp.ones(1), {"residual": (na.networks.laplacian, points)}
        ... )
        >>> round(float(kernel.matrix[0, 0] / jnp.pi**4), 9)
        1.0
    """
    points, dtype = _checked_points(parts)
    check_callable("apply_fn", apply_fn)
    check_parameters(params, dtype)
    network = split(apply_fn, params)
    if (n_out := count_outputs(network, points[0].shape[1:], dtype)) != 1:
        raise ValueError(f"apply_fn must have one output, (n, 1); got {n_out}")
    check_examples_are_independent(network, itertools.chain(*points))
    n, n_parameters = sum(map(len, points)), ravel_pytree(network.trainable)[0].size
    require_memory(
        what=f"the tangent kernel of {n} points and {n_parameters} parameters",
        needed_bytes=(2 * n * n_parameters + n * n) * dtype.itemsize,
        max_bytes=max_memory_bytes,
        way_out="take fewer points, or a smaller network",
    )
    operators = [operator for operator, _ in parts.values()]
    jacobian = np.concatenate(list(map(_gradients(network), operators, points)))
    sizes = {name: len(rows) for name, rows in zip(parts, points, strict=True)}
    return BlockKernel(sizes, jacobian @ jacobian.T)


def _gradients(network: Network) -> Callable[[Operator, np.ndarray], np.ndarray]:
    """∂_θ(Du)(x) of an operator D at points x, as a function of both: (n, n_parameters)."""
    flat, unravel = ravel_pytree(network.trainable)

    def value(flat: Array, operator: Operator, point: Array) -> Array:
        found = operator(lambda x: network.one(unravel(flat), x)[0])(point)
        if jnp.shape(found) != ():
            raise ValueError(f"an operator must give a number; got shape {jnp.shape(found)}")
        return found

    gradients = jax.jit(jax.vmap(jax.grad(value), (None, None, 0)), static_argnums=1)
    return lambda operator, points: np.asarray(gradients(flat, operator, jnp.asarray(points)))


def _checked_points(
    parts: Mapping[str, tuple[Operator, Float[AnyArray, "_ d"]]],
) -> tuple[list[Float[np.ndarray, "_ d"]], np.dtype]:
    """The points of each part, all of one precision and one number of coordinates."""
    if not isinstance(parts, Mapping) or not parts:
        raise ValueError(f"parts must map names to (operator, points); got {shown(parts)}")
    found: list[np.ndarray] = []
    for name, part in parts.items():
        if not isinstance(part, tuple) or len(part) != 2:
            raise ValueError(f"parts[{name!r}] must be (operator, points); got {shown(part)}")
        check_callable(f"the operator of parts[{name!r}]", part[0])
        check_inputs(f"the points of parts[{name!r}]", part[1])
        found.append(np.asarray(part[1]))
        check_same_dtype("the first points", found[0], f"those of parts[{name!r}]", found[-1])
        check_same_features("the first points", found[0], f"those of parts[{name!r}]", found[-1])
    return found, found[0].dtype
