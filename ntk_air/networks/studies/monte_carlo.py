"""Kernels of networks of finite width, averaged over initialisations, with error bars."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_air._base.checks import check_callable, check_seed, check_whole_number
from ntk_air._base.typing import AnyArray, ApplyFn, Parameters
from ntk_air.kernels.empirical.ntk import empirical_ntk


def empirical_nngp(
    apply_fn: ApplyFn,
    params: Parameters,
    x1: Float[AnyArray, "n1 *features"],
    x2: Float[AnyArray, "n2 *features"] | None = None,
) -> Float[Array, "n1 n"]:
    """The products of a network's outputs, f(x)·f(x')/n_out: its NNGP in the mean over draws.

    Args:
        apply_fn: Network, ``apply_fn(params, x)`` of shape (n, n_out).
        params: Parameters of the network, a pytree.
        x1: Inputs, shape (n1, *features).
        x2: Other inputs, shape (n2, *features); ``None`` stands for ``x1``.

    Raises:
        ValueError: A network whose output is not of shape (n, n_out).

    Example:
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> apply_fn = lambda w, x: x @ w
        >>> na.networks.empirical_nngp(apply_fn, jnp.ones((2, 1)), jnp.eye(2)).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    first = _outputs(apply_fn, params, x1)
    second = first if x2 is None else _outputs(apply_fn, params, x2)
    return jnp.matmul(first, second.T, precision="highest") / first.shape[1]


class MonteCarloKernels(eqx.Module):
    """Means over networks drawn at random, with their standard errors.

    Attributes:
        ntk: Mean of the empirical NTKs, averaged over outputs, shape (n1, n2).
        nngp: Mean of f(x)·f(x')/n_out, shape (n1, n2).
        ntk_standard_error: Standard error of ``ntk``, shape (n1, n2).
        nngp_standard_error: Standard error of ``nngp``, shape (n1, n2).
        n_networks: Number of networks drawn.
    """

    ntk: Float[np.ndarray, "n1 n2"]
    nngp: Float[np.ndarray, "n1 n2"]
    ntk_standard_error: Float[np.ndarray, "n1 n2"]
    nngp_standard_error: Float[np.ndarray, "n1 n2"]
    n_networks: int


def monte_carlo_kernels(
    apply_fn: ApplyFn,
    draw: Callable[[Array], Parameters],
    x1: Float[AnyArray, "n1 *features"],
    x2: Float[AnyArray, "n2 *features"] | None = None,
    *,
    n_networks: int,
    seed: int,
) -> MonteCarloKernels:
    """Average NTK and NNGP of a network over draws of its parameters.

    At finite width the mean differs from the kernel of infinite width by O(1/width), which no
    number of draws removes; the standard errors are of the draws alone.

    Args:
        apply_fn: Network, ``apply_fn(params, x)`` of shape (n, n_out).
        draw: Function from a key of JAX to parameters.
        x1: Inputs, shape (n1, *features), in the precision of the parameters.
        x2: Other inputs, shape (n2, *features); ``None`` stands for ``x1``.
        n_networks: Number of networks drawn, at least 2.
        seed: Seed of the draws; network k has the same parameters whatever ``n_networks`` is.

    Raises:
        ValueError: What ``empirical_ntk`` refuses, and numbers out of range.

    Example:
        >>> import jax; jax.config.update("jax_enable_x64", True)
        >>> import numpy as np
        >>> import ntk_air as na
        >>> draw = lambda key: jax.random.normal(key, (3, 1))
        >>> found = na.networks.monte_carlo_kernels(
        ...     lambda w, x: x @ w, draw, np.eye(2, 3), n_networks=4, seed=0
        ... )
        >>> found.ntk.tolist(), float(found.ntk_standard_error.max())  # of a linear model: fixed
        ([[1.0, 0.0], [0.0, 1.0]], 0.0)
    """
    check_callable("apply_fn", apply_fn)
    check_callable("draw", draw)
    n_networks = check_whole_number("n_networks", n_networks, minimum=2)
    root = jax.random.key(check_seed("seed", seed))
    mean = spread = np.zeros(1)  # Welford's sums, so that one draw is held at a time
    for k in range(n_networks):
        params = draw(jax.random.fold_in(root, k))
        ntk = empirical_ntk(apply_fn, params, x1, x2)
        kernels = np.stack([ntk, np.asarray(empirical_nngp(apply_fn, params, x1, x2))])
        change = kernels - mean
        mean = mean + change / (k + 1)
        spread = spread + change * (kernels - mean)
    errors = np.sqrt(spread / (n_networks - 1) / n_networks)
    return MonteCarloKernels(mean[0], mean[1], errors[0], errors[1], n_networks)


def _outputs(apply_fn: ApplyFn, params: Parameters, x: Any) -> Float[Array, "n n_out"]:
    outputs = apply_fn(params, jnp.asarray(x))
    if getattr(outputs, "ndim", None) != 2:
        raise ValueError(
            f"apply_fn must return outputs of shape (n, n_out); got {np.shape(outputs)}"
        )
    return outputs
