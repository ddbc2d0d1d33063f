"""What every adapted model must show: its kernel, by the fast path, compiled once."""

import jax
import numpy as np

from ntk_air.kernels.empirical import EmpiricalNTK
from tests.helpers.compilations import count_compilations

LARGE = 12
"""Entries above which a parameter of a test network is a matrix, a filter or a table."""


def in_double(tree):
    """Floating-point leaves in float64."""
    return jax.tree.map(
        lambda leaf: leaf.astype(float) if jax.numpy.issubdtype(leaf.dtype, np.floating) else leaf,
        tree,
    )


def kernel_of_the_call(call, params, x):
    """Θ averaged over outputs from the Jacobian of the library's own call, in reverse mode."""
    # One program, where each operation alone would be one.
    jacobian = jax.jit(jax.jacrev(lambda params: call(params, x)))(params)
    rows = [np.reshape(leaf, (*leaf.shape[:2], -1)) for leaf in jax.tree.leaves(jacobian)]
    stacked = np.concatenate(rows, axis=2)
    return np.einsum("icp,jcp->ij", stacked, stacked) / stacked.shape[1]


def assert_on_the_fast_path(plan):
    """No parameter falls to its Jacobian, and none but small ones to its gradient."""
    routes = {each.name: each.route for each in plan.parameters}
    assert "jacobian" not in routes.values()
    return routes


def check(model, call, x, *, shifts=(), tolerance=1e-12):
    """Kernel, routes and compilations of an adapted model against the library's own call.

    Args:
        model: the adapted model.
        call: the library's, ``call(params, x)``.
        x: inputs.
        shifts: large parameters that are only added, so that their gradient is a cotangent.
        tolerance: of the kernel, relative; a library may round to float32 inside.
    """
    routes = assert_on_the_fast_path(
        EmpiricalNTK(*model, method="layerwise").plan(x, max_memory_bytes=10**8)
    )
    leaves = jax.tree_util.tree_leaves_with_path(model.params)
    for path, leaf in leaves:
        name = f"params{jax.tree_util.keystr(path)}"
        small = leaf.size <= LARGE or any(shift in name for shift in shifts)
        assert routes[name] in ("gram", "explicit") or small, (name, routes[name])
    wanted = kernel_of_the_call(call, model.params, x)
    kernel = EmpiricalNTK(*model, method="layerwise")(x)
    np.testing.assert_allclose(kernel, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())
    with count_compilations() as compiled:
        other = jax.tree.map(lambda leaf: 2 * leaf, model.params)
        compiled.clear()
        EmpiricalNTK(model.apply_fn, other, method="layerwise")(x)
    assert compiled == []
