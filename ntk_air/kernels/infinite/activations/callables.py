"""What a callable must be for its expectations to be those of an activation."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Function: TypeAlias = Callable[[Array], Array]

_WIDER = 2.0
"""Pre-activations of four times the unit variance have moments too, or layers soon have none."""

_MOST_AT_THE_ENDS = 1e-6
"""Of a second moment: what the outermost of 64 nodes may hold."""


def check_elementwise(function: Function, points: Float[np.ndarray, " n"]) -> None:
    """Require an array of the argument's shape and dtype, each entry by its own argument alone.

    Args:
        function: activation φ.
        points: arguments to see it at, in one array of two rows and one by one.

    Raises:
        ValueError: an error of the function's own, another shape or dtype, values or derivatives
            that depend on what else the array holds.
    """
    together = jnp.asarray(points[: len(points) // 2 * 2].reshape(2, -1))
    for dtype in {jnp.dtype(jnp.float32), together.dtype}:
        got = _called(lambda x: jax.eval_shape(function, x), together.astype(dtype))
        shape, found = getattr(got, "shape", None), getattr(got, "dtype", None)
        if shape != together.shape or found != dtype:
            what = f"shape {shape} and dtype {found}" if found else f"a {type(got).__name__}"
            raise ValueError(
                "activation must return an array of the shape and dtype of its argument, "
                f"{together.shape} and {dtype}; got {what}"
            )

    def with_derivative(x: Array) -> tuple[Array, Array]:
        return jax.jvp(function, (x,), (jnp.ones_like(x),))

    seen = _called(with_derivative, together)
    alone = _called(jax.vmap(with_derivative), together.reshape(-1, 1))
    for what, one, other in zip(("values", "derivatives"), seen, alone, strict=True):
        one, other = np.asarray(one), np.asarray(other).reshape(one.shape)
        size = np.max(np.abs(other), where=np.isfinite(other), initial=0.0)
        if not np.allclose(one, other, rtol=0, atol=_root_epsilon(one) * size, equal_nan=True):
            raise ValueError(
                f"activation must work element by element; got {what} for an array of "
                f"{one.size} that differ from those one by one, as of softmax or a normalisation"
            )


def check_finite_at(
    nodes: Float[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    slopes: Float[np.ndarray, " n"],
) -> None:
    """Require φ and φ' to be finite where they are looked at, and φ not to be zero."""
    finite = np.isfinite(values) & np.isfinite(slopes)
    if not finite.all():
        raise ValueError(
            "activation must be finite with a finite derivative at the nodes of the "
            f"quadrature; it is not at {', '.join(f'{node:.4g}' for node in nodes[~finite][:5])}"
        )
    if not values.any():
        raise ValueError("activation must not be zero everywhere: its kernels would be zero")


def check_moments(function: Function) -> None:
    """Require E[φ(u)²] to be finite for u of variance 1 and 4."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    for deviation in (1.0, _WIDER):
        values = np.asarray(function(jnp.asarray(deviation * nodes)), np.float64)
        with np.errstate(over="ignore"):
            parts = weights * values**2
        if not parts[[0, 1, -2, -1]].sum() <= _MOST_AT_THE_ENDS * parts.sum() < np.inf:
            raise ValueError(
                "activation must have finite moments under normal laws, E[φ(u)²] < ∞; got values "
                f"up to {np.max(np.abs(values)):.3g} at {deviation * nodes[-1]:.3g}, of which the "
                f"tails of a standard deviation of {deviation:g} make almost all: it must grow "
                "more slowly than exp(c·u²) for every c"
            )


def check_smooth(
    values: Float[np.ndarray, " n_nodes"],
    slopes: Float[np.ndarray, " n_nodes"],
    tolerance: float,
) -> None:
    """Require the coefficients of φ and φ' to fit each other, as integrals do.

    Stein's identity, E[φ'(z)h_k(z)] = √(k + 1)·E[φ(z)h_{k+1}(z)], holds of all that is absolutely
    continuous. It fails of a step, whose derivative is not what JAX takes for it, and where the
    quadrature has not converged.

    Args:
        values: Hermite coefficients of φ at unit variance, by quadrature.
        slopes: those of φ'.
        tolerance: the part, in root mean square, by which they may miss each other.
    """
    off = np.linalg.norm(slopes[:-1] - np.sqrt(np.arange(1.0, len(values))) * values[1:])
    size = np.hypot(np.linalg.norm(slopes), np.linalg.norm(values[1:]))
    rounding = len(values) * np.finfo(values.dtype).eps * np.linalg.norm(values)
    if not off <= tolerance * size + rounding:
        raise ValueError(
            f"activation must be smooth enough for its quadrature with {len(values)} nodes; got "
            f"coefficients of it and of its derivative that miss each other by {off / size:.2g}, "
            f"above {tolerance:g}: use a closed form by its name for a kink at 0, more n_nodes, "
            "or accept errors of about the square of that with QuadratureActivation(…, tolerance=)"
        )


def _called(function: Callable[[Array], Any], x: Array) -> Any:
    try:
        return function(x)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            "activation must be JAX code that works element by element on arrays of any shape; "
            f"got {type(error).__name__} for shape {x.shape}: {reason[:200]}"
        ) from error


def _root_epsilon(values: np.ndarray) -> float:
    return float(np.finfo(values.dtype).eps) ** 0.5
