"""The kernel of a test network by its definition: Jacobians of one example after the other."""

import functools

import jax
import numpy as np

from tests.kernels.empirical.architectures import ARCHITECTURES, N_OUT


def jacobian_kernel(apply_fn, params, x):
    """Θ_cc'(x, x') in plain JAX, (n, n, N_OUT, N_OUT)."""

    @jax.jit
    def jacobian(params, example):
        return jax.jacrev(lambda params: apply_fn(params, example[None])[0])(params)

    rows = [jax.tree.leaves(jacobian(params, example)) for example in x]
    flat = np.stack([np.concatenate([np.reshape(p, (N_OUT, -1)) for p in row], 1) for row in rows])
    return np.einsum("icp,jdp->ijcd", flat, flat)


@functools.cache
def reference(name):
    """That of an architecture at all its inputs."""
    _, apply_fn, params, x = ARCHITECTURES[name]
    return jacobian_kernel(apply_fn, params, x)


def mean(kernel):
    """The mean over outputs."""
    return np.trace(kernel, axis1=2, axis2=3) / N_OUT
