"""A network replaced by its Taylor polynomial in the parameters."""

from typing import Any

import jax

from ntk_air._base.checks import check_callable, check_floating, check_whole_number
from ntk_air._base.typing import ApplyFn, Parameters


def taylor_model(apply_fn: ApplyFn, params: Parameters, *, order: int = 1) -> ApplyFn:
    """The Taylor polynomial of a network in its parameters, around those given.

    Order 1 is the linearised network, whose training is exactly that of its empirical NTK
    (Lee et al. 2019, section 2.2); a network of finite width leaves it as its kernel moves.

    Args:
        apply_fn: Network, ``apply_fn(params, x)``.
        params: Parameters θ₀ to expand around, a pytree of floating-point arrays.
        order: Highest order that is kept, at least 0.

    Returns:
        A function of (params, x) like the network: Σ_{k ≤ order} (1/k!)·∂ᵏf[θ − θ₀, …] at θ₀.

    Raises:
        ValueError: A network that is no function, an order that is no whole number.

    Example:
        >>> import jax.numpy as jnp
        >>> import ntk_air as na
        >>> cubic = lambda w, x: (x * w) ** 3
        >>> model = na.networks.taylor_model(cubic, jnp.array(1.0), order=2)
        >>> float(model(jnp.array(2.0), jnp.array(1.0)))  # 1 + 3 + 3 of 8
        7.0
    """
    check_callable("apply_fn", apply_fn)
    order = check_whole_number("order", order)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        check_floating(f"params{jax.tree_util.keystr(path)}", leaf)

    def model(moved: Parameters, x: Any) -> Any:
        change = jax.tree.map(lambda new, old: new - old, moved, params)
        term = lambda at: apply_fn(at, x)  # noqa: E731  (each derivative wraps the last)
        value, factorial = term(params), 1
        for k in range(1, order + 1):
            term, factorial = _along(term, change), factorial * k
            value = jax.tree.map(
                lambda sum_, part, factorial=factorial: sum_ + part / factorial,
                value,
                term(params),
            )
        return value

    return model


def _along(function: Any, change: Parameters) -> Any:
    """The derivative of a function of the parameters along a change of them."""
    return lambda at: jax.jvp(function, (at,), (change,))[1]
